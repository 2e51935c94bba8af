//! Native twin, component, one by one or in batches: the same traffic gives the same decisions,
//! the same counters and the same events, whatever happens to services in between.
//!
//! `SEED=n cargo test --test parity` plays one seed.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use equipoise_core::{
    Address, CannotCreate, Counters, Decision, Director, Family, ForwardingMethod, KernelProfile,
    Observer, Outcome, Packet, Persistence, Policy, Protocol, Reason, Request, Scheduling,
    ServerConfig, ServiceConfig, ServiceIndex, ServiceKey, Settings, Sysctls, Tag, TcpFlags,
    Timestamp,
};
use equipoise_schedulers::registry::{self, Entry};
use equipoise_tests::typed::TypedOnly;
use equipoise_wasm::{ComponentPolicy, Engine, Limits};

const SEEDS: u64 = 12;
const STEPS: u32 = 1_500;

/// `SplitMix64`: what the test does is a function of its seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// What an observer sees, to be compared as a whole. Batches may tell of different servers, and of
/// closed connections, in another order.
#[derive(Default, PartialEq)]
struct Record {
    decisions: Vec<(Tag, Option<u32>, Reason, bool)>,
    counters: BTreeMap<u32, Vec<(Timestamp, Counters)>>,
    closed: u64,
    later: u64,
}

impl Observer for Record {
    fn decided(&mut self, decision: &Decision) {
        let Decision {
            tag,
            server,
            reason,
            overloaded,
            ..
        } = *decision;
        self.decisions.push((tag, server, reason, overloaded));
    }

    fn counted(&mut self, at: Timestamp, _: ServiceIndex, server: u32, counters: Counters) {
        self.counters
            .entry(server)
            .or_default()
            .push((at, counters));
    }

    fn closed(
        &mut self,
        _: ServiceIndex,
        server: u32,
        flow: &equipoise_core::Flow,
        traffic: &equipoise_core::Traffic,
    ) {
        // A sum of numbers that change with any of their parts.
        let words = [
            u64::from(server),
            u64::from(flow.client_port),
            traffic.packets_in,
            traffic.bytes_out,
        ];
        let mixed = words
            .iter()
            .fold(1, |mixed, word| Chance(mixed ^ word).next());
        self.closed = self.closed.wrapping_add(mixed);
    }

    fn refused_later_packets(&mut self, _: ServiceIndex, packets: u64) {
        self.later += packets;
    }
}

/// One random life of a service.
struct Life {
    chance: Chance,
    director: Director<Record>,
    service: ServiceIndex,
    mark: u32,
    protocol: Protocol,
    now: Timestamp,
    thresholds: bool,
    method: Option<ForwardingMethod>,
    listed: BTreeMap<u8, ServerConfig>,
    flows: Vec<Packet>,
}

impl Life {
    fn begin(seed: u64, entry: &Entry, policy: &Arc<dyn Policy>) -> Self {
        let mut chance = Chance(seed);
        let sysctls = Sysctls {
            conn_reuse_mode: [0, 1, 1, 3][chance.below(4) as usize],
            expire_nodest_conn: chance.one_in(3),
            expire_quiescent_template: chance.one_in(3),
            sloppy_tcp: chance.one_in(5),
            ..Sysctls::default()
        };
        let profile = [KernelProfile::Classic, KernelProfile::Current][chance.below(2) as usize];
        let settings = Settings {
            profile,
            sysctls,
            batching: true,
            ..Settings::default()
        };
        let mut director = Director::new(settings, Record::default());
        let now = Timestamp(1_000 * Timestamp::SECOND);
        director.advance(now);
        let protocol = if chance.one_in(4) {
            Protocol::Udp
        } else {
            Protocol::Tcp
        };
        let mark = if chance.one_in(3) { 7 } else { 0 };
        let key = if mark == 0 {
            ServiceKey::Address {
                protocol,
                address: Address::v4(0x0a00_0001),
                port: 80,
            }
        } else {
            ServiceKey::Mark {
                family: Family::Ipv4,
                mark,
            }
        };
        let persistence = chance.one_in(3).then(|| Persistence {
            timeout_s: 30,
            netmask: Persistence::ipv4_netmask(0xffff_ff00),
        });
        let config = ServiceConfig {
            key,
            persistence,
            one_packet: chance.one_in(3),
        };
        let parameters = entry
            .parameters
            .iter()
            .filter(|spec| spec.accepts.default_text() == "false" && seed.is_multiple_of(2))
            .map(|spec| equipoise_core::Parameter {
                key: spec.key.to_owned(),
                value: "true".to_owned(),
            })
            .collect();
        let scheduling = Scheduling {
            policy: Arc::clone(policy),
            parameters,
            seed,
            fallback: None,
        };
        let service = director.add_service(config, scheduling).expect("a service");
        let thresholds = chance.one_in(3);
        let method = if chance.one_in(4) {
            None
        } else {
            Some(
                [
                    ForwardingMethod::Masquerading,
                    ForwardingMethod::DirectRouting,
                ][chance.below(2) as usize],
            )
        };
        let mut life = Self {
            chance,
            director,
            service,
            mark,
            protocol,
            now,
            thresholds,
            method,
            listed: BTreeMap::new(),
            flows: Vec::new(),
        };
        for _ in 0..4 {
            life.reconfigure();
        }
        life
    }

    fn step(&mut self, number: u32) {
        if self.chance.one_in(60) {
            self.reconfigure();
        }
        self.now.0 += match self.chance.below(40) {
            0 => self.chance.below(100) * Timestamp::SECOND,
            1..8 => self.chance.below(Timestamp::SECOND),
            _ => 0,
        };
        let packet = if self.flows.is_empty() || self.chance.one_in(4) {
            self.new_flow()
        } else {
            self.old_flow()
        };
        let tag = Tag(u64::from(number));
        let mut outcome = self.director.packet(self.now, &packet, tag);
        if matches!(outcome, Outcome::AwaitsRequest { .. }) {
            let target = [b'/', b'a' + number as u8 % 26];
            let request = Request::Http {
                method: "GET",
                target: &target,
                host: None,
            };
            let request = (!self.chance.one_in(8)).then_some(&request);
            outcome = self.director.request(self.now, &packet, request, tag);
        }
        // In a batch, a packet after a refused SYN is known for what it is only later.
        if matches!(
            outcome,
            Outcome::CannotCreate {
                why: CannotCreate::MidStream,
                ..
            }
        ) {
            self.director.observer.later += 1;
        }
    }

    fn new_flow(&mut self) -> Packet {
        let other_port = self.mark != 0 && self.chance.one_in(2);
        let packet = Packet {
            source: Address::v4(0xc612_0000 + self.chance.below(600) as u32),
            destination: Address::v4(0x0a00_0001),
            source_port: 1_024 + self.chance.below(400) as u16,
            destination_port: if other_port { 443 } else { 80 },
            protocol: self.protocol,
            flags: if self.protocol == Protocol::Tcp {
                TcpFlags::SYN
            } else {
                TcpFlags::empty()
            },
            length: 40 + self.chance.below(1_000) as u32,
            mark: self.mark,
        };
        self.flows.push(packet);
        packet
    }

    fn old_flow(&mut self) -> Packet {
        let recent = self.flows.len().min(40);
        let place = self.flows.len() - 1 - self.chance.below(recent as u64) as usize;
        let mut packet = self.flows[place];
        let kinds = [
            TcpFlags::ACK,
            TcpFlags::ACK | TcpFlags::PSH,
            TcpFlags::FIN | TcpFlags::ACK,
            TcpFlags::RST,
            TcpFlags::SYN,
            TcpFlags::ACK,
        ];
        if self.protocol == Protocol::Tcp {
            packet.flags = kinds[self.chance.below(kinds.len() as u64) as usize];
        }
        if self.chance.one_in(3) {
            (packet.source, packet.destination) = (packet.destination, packet.source);
            (packet.source_port, packet.destination_port) =
                (packet.destination_port, packet.source_port);
            packet.mark = 0;
            if packet.flags == TcpFlags::SYN {
                packet.flags |= TcpFlags::ACK;
            }
        }
        packet
    }

    fn reconfigure(&mut self) {
        let number = self.chance.below(6) as u8;
        let upper_threshold = if self.thresholds {
            self.chance.below(8) as u32
        } else {
            0
        };
        let config = ServerConfig {
            address: Address::v4(0x0a01_0001 + u32::from(number)),
            port: 80,
            weight: [0, 1, 1, 2, 3, 10][self.chance.below(6) as usize],
            method: self.method.unwrap_or(if number.is_multiple_of(2) {
                ForwardingMethod::Masquerading
            } else {
                ForwardingMethod::Tunneling
            }),
            upper_threshold,
            lower_threshold: if self.chance.one_in(2) {
                upper_threshold / 2
            } else {
                0
            },
        };
        let done = if !self.listed.contains_key(&number) {
            self.listed.insert(number, config);
            self.director.add_server(self.service, config).map(|_| ())
        } else if self.chance.one_in(3) {
            self.listed.remove(&number);
            self.director
                .delete_server(self.service, config.address, config.port)
        } else {
            self.listed.insert(number, config);
            self.director.edit_server(self.service, config)
        };
        done.expect("a change that the kernel would take");
        self.check_counters();
    }

    /// The counters of every server are what the connection table says.
    fn check_counters(&mut self) {
        self.director.settle();
        let mut seen: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        let mut flows = self.flows.clone();
        flows.sort_by_key(|packet| (packet.source, packet.source_port, packet.destination_port));
        flows.dedup_by_key(|packet| (packet.source, packet.source_port, packet.destination_port));
        for packet in flows {
            if let Some(view) = self.director.connection(&packet) {
                let counts = seen.entry(view.server.expect("settled")).or_default();
                if view.state.is_active() {
                    counts.0 += 1;
                } else {
                    counts.1 += 1;
                }
            }
        }
        for view in self.director.servers(self.service) {
            let (active, inactive) = seen.get(&view.id).copied().unwrap_or_default();
            // A connection that was replaced, or whose server went, is counted until its timer
            // fires at the next packet, though no packet finds it.
            assert!(view.counters.active >= active, "{view:?} {seen:?}");
            assert!(view.counters.inactive >= inactive, "{view:?} {seen:?}");
            assert!(
                view.counters.stateless <= view.counters.inactive,
                "{view:?}"
            );
        }
    }

    fn end(mut self) -> Record {
        self.check_counters();
        // Long after every timer: nothing is left, and the counters say so.
        self.now = self.now.plus_seconds(100_000);
        self.director.advance(self.now);
        self.director.settle();
        assert_eq!(self.director.connection_count(), 0);
        for view in self.director.servers(self.service) {
            assert_eq!(view.counters, Counters::default(), "{view:?}");
        }
        self.director.finish();
        self.director.observer
    }
}

fn live(seed: u64, entry: &Entry, policy: &Arc<dyn Policy>) -> Record {
    let mut life = Life::begin(seed, entry, policy);
    for number in 0..STEPS {
        life.step(number);
    }
    life.end()
}

#[test]
fn every_way_to_run_a_policy_decides_alike() {
    let engine = Engine::new(Limits::default()).expect("an engine");
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    };
    let mut decisions = 0;
    for entry in registry::all() {
        let native: Arc<dyn Policy> = Arc::new(entry.native);
        let bytes = entry
            .component
            .unwrap_or_else(|| panic!("no component of {}", entry.name));
        let component: Arc<dyn Policy> =
            Arc::new(ComponentPolicy::load(&engine, bytes, entry.name).expect("a component"));
        let typed =
            |policy: &Arc<dyn Policy>| Arc::new(TypedOnly(Arc::clone(policy))) as Arc<dyn Policy>;
        for &seed in &seeds {
            let wanted = live(seed, entry, &typed(&native));
            let ways = [
                ("native batch", &native),
                ("component", &typed(&component)),
                ("component batch", &component),
            ];
            for (way, policy) in ways {
                let got = live(seed, entry, policy);
                let first = wanted
                    .decisions
                    .iter()
                    .zip(&got.decisions)
                    .find(|(a, b)| a != b);
                assert_eq!(
                    first, None,
                    "{} seed {seed}: {way} (right) differs",
                    entry.name
                );
                assert!(
                    wanted == got,
                    "{} seed {seed}: {way}: counters differ",
                    entry.name
                );
            }
            decisions += wanted.decisions.len();
        }
    }
    println!("{decisions} decisions alike in four ways");
    assert!(decisions > 0);
}
