//! A director that is told of quiet packets in sums does what one does that sees them all: random
//! lives of TCP connections, their packets passed by address, by flow, and held back by the rules.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

#[path = "quiet/host.rs"]
mod host;

use std::collections::BTreeMap;
use std::sync::Arc;

use equipoise_core::batch::Kind;
use equipoise_core::{
    Address, CannotCreate, Counters, Decision, Director, Fault, Flow, ForwardingMethod,
    KernelProfile, Load, Needs, Observer, Outcome, Packet, Parameter, Persistence, Policy,
    Protocol, Scheduler, Scheduling, Server, ServerConfig, ServerId, ServiceConfig,
    ServiceIdentity, ServiceIndex, ServiceKey, Settings, Sysctls, Tag, TcpFlags, Timeouts,
    Timestamp, Traffic,
};
use host::Host;
use proptest::prelude::*;

/// Gives the servers that are not quiesced in turn, or, by loads, the one with the least.
#[derive(Clone, Copy, Debug)]
struct Turns {
    batch_limit: usize,
    by_loads: bool,
}

impl Policy for Turns {
    fn start(
        &self,
        _: Timestamp,
        _: &ServiceIdentity,
        _: &[Parameter],
        _: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        Ok(Box::new(TurnsScheduler {
            policy: *self,
            servers: Vec::new(),
            next: 0,
        }))
    }
}

struct TurnsScheduler {
    policy: Turns,
    servers: Vec<Server>,
    next: usize,
}

impl TurnsScheduler {
    fn decide(&mut self) -> Option<usize> {
        let places = 0..self.servers.len();
        let usable = |&place: &usize| self.servers[place].weight > 0;
        if self.policy.by_loads {
            let load = |&place: &usize| {
                let server = &self.servers[place];
                256 * server.active + server.inactive
            };
            return places.filter(usable).min_by_key(load);
        }
        let next = places
            .map(|turn| (self.next + turn) % self.servers.len())
            .find(usable)?;
        self.next = next + 1;
        Some(next)
    }
}

impl Scheduler for TurnsScheduler {
    fn needs(&self) -> Needs {
        if self.policy.by_loads {
            Needs::LOADS
        } else {
            Needs::empty()
        }
    }

    fn set_servers(&mut self, servers: &[Server]) -> Result<(), Fault> {
        self.servers = servers.to_vec();
        Ok(())
    }

    fn schedule(
        &mut self,
        _: Timestamp,
        _: &Flow,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        for load in changed.unwrap_or_default() {
            for server in self.servers.iter_mut().filter(|s| s.id == load.server) {
                (server.active, server.inactive) = (load.active, load.inactive);
            }
        }
        Ok(self.decide().map(|place| self.servers[place].id))
    }

    fn batch_limit(&self) -> usize {
        self.policy.batch_limit
    }

    fn run(&mut self, _: &[u64], events: &[u32], answers: &mut Vec<u32>) -> Result<(), Fault> {
        for event in events {
            if Kind::of(*event).is_some_and(Kind::is_arrival) {
                answers.push(self.decide().map_or(u32::MAX, |place| place as u32));
            }
        }
        Ok(())
    }
}

/// Everything that is told, in order; packets of refused connections in sum.
#[derive(Debug, Default, PartialEq)]
struct Told {
    decisions: Vec<Decision>,
    counted: Vec<(Timestamp, ServiceIndex, u32, Counters)>,
    closed: Vec<(usize, ServiceIndex, u32, Flow, Traffic)>,
    later: u64,
}

impl Observer for Told {
    fn decided(&mut self, decision: &Decision) {
        self.decisions.push(*decision);
    }

    fn counted(&mut self, at: Timestamp, service: ServiceIndex, server: u32, counters: Counters) {
        self.counted.push((at, service, server, counters));
    }

    fn closed(&mut self, service: ServiceIndex, server: u32, flow: &Flow, traffic: &Traffic) {
        let counted = self.counted.len();
        self.closed
            .push((counted, service, server, *flow, *traffic));
    }

    fn refused_later_packets(&mut self, _: ServiceIndex, packets: u64) {
        self.later += packets;
    }
}

const fn address(last: u32) -> Address {
    Address::v4(0x0a00_0000 + last)
}

/// Masquerading, direct routing, persistent, without servers, with thresholds.
const SERVICES: [(Address, u16); 5] = [
    (address(1), 80),
    (address(2), 80),
    (address(3), 80),
    (address(4), 80),
    (address(5), 80),
];

fn director(settings: Settings, policy: Turns) -> Director<Told> {
    let mut director = Director::new(settings, Told::default());
    for (place, (address, port)) in SERVICES.into_iter().enumerate() {
        let key = ServiceKey::Address {
            protocol: Protocol::Tcp,
            address,
            port,
        };
        let config = ServiceConfig {
            key,
            persistence: (place == 2).then_some(Persistence {
                timeout_s: 40,
                netmask: Persistence::EVERY_CLIENT,
            }),
            one_packet: false,
        };
        let scheduling = Scheduling {
            policy: Arc::new(policy),
            parameters: Vec::new(),
            seed: 0,
            fallback: None,
        };
        let service = director.add_service(config, scheduling).expect("a service");
        for number in (0..3).filter(|_| place != 3) {
            let server = server(place, number, 1);
            director.add_server(service, server).expect("a server");
        }
    }
    director
}

fn server(service: usize, number: u32, weight: u32) -> ServerConfig {
    let method = if service == 1 {
        ForwardingMethod::DirectRouting
    } else {
        ForwardingMethod::Masquerading
    };
    ServerConfig {
        address: address(256 + number),
        port: 80,
        weight,
        method,
        upper_threshold: if service == 4 { 2 } else { 0 },
        lower_threshold: 0,
    }
}

/// What a flow's packets go between: clients of each service, services as others' clients, one
/// that is its own, and one that nobody serves.
fn ends(flow: usize) -> [(Address, u16); 2] {
    match flow {
        0..10 => [(address(100), 4000 + flow as u16 / 5), SERVICES[flow % 5]],
        10 => [SERVICES[0], SERVICES[1]],
        11 => [SERVICES[0], SERVICES[3]],
        12 => [SERVICES[0], SERVICES[0]],
        _ => [(address(100), 4000), (address(9), 80)],
    }
}

#[derive(Clone, Debug)]
struct Step {
    gap_ms: u64,
    flow: usize,
    from_client: bool,
    flags: TcpFlags,
    /// The same packet so often again, a third of a second apart.
    repeats: u64,
    /// A server of the first service gets this weight first.
    weight: Option<u32>,
}

fn step() -> impl Strategy<Value = Step> {
    let ack = TcpFlags::ACK;
    let gap_ms = prop_oneof![
        12 => 0..50u64,
        4 => 1_000..6_000u64,
        2 => 6_000..130_000u64,
        1 => 130_000..1_900_000u64,
    ];
    let flags = prop_oneof![
        10 => Just(ack),
        4 => Just(ack | TcpFlags::PSH),
        5 => Just(TcpFlags::SYN),
        2 => Just(TcpFlags::SYN | ack),
        3 => Just(TcpFlags::FIN | ack),
        1 => Just(TcpFlags::RST),
        1 => Just(TcpFlags::PSH),
    ];
    let repeats = prop_oneof![3 => Just(0), 1 => 1..8u64, 1 => 8..200u64];
    let weight = prop_oneof![20 => Just(None), 1 => (0..2u32).prop_map(Some)];
    (gap_ms, 0..14usize, any::<bool>(), flags, repeats, weight).prop_map(
        |(gap_ms, flow, from_client, flags, repeats, weight)| Step {
            gap_ms,
            flow,
            from_client,
            flags,
            repeats,
            weight,
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let timeouts = prop_oneof![
        Just(Timeouts::default()),
        (1..40u32, 1..40u32).prop_map(|(tcp_s, tcp_fin_s)| Timeouts {
            tcp_s,
            tcp_fin_s,
            udp_s: 300,
        }),
    ];
    (timeouts, 0..4u32, any::<bool>(), any::<bool>()).prop_map(
        |(timeouts, conn_reuse_mode, expire_nodest_conn, classic)| Settings {
            profile: if classic {
                KernelProfile::Classic
            } else {
                KernelProfile::Current
            },
            sysctls: Sysctls {
                conn_reuse_mode,
                expire_nodest_conn,
                ..Sysctls::default()
            },
            timeouts,
            batching: true,
        },
    )
}

const POLICIES: [Turns; 4] = [
    Turns {
        batch_limit: 0,
        by_loads: false,
    },
    Turns {
        batch_limit: 0,
        by_loads: true,
    },
    Turns {
        batch_limit: 3,
        by_loads: false,
    },
    Turns {
        batch_limit: 1024,
        by_loads: false,
    },
];

enum Event {
    /// The first server of the first service gets this weight.
    Weight(u32),
    Packet(Timestamp, Packet, Tag),
}

fn events(steps: &[Step]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut now_ms = 1_700_000_000_000;
    for step in steps {
        now_ms += step.gap_ms;
        events.extend(step.weight.map(Event::Weight));
        let [mut from, mut to] = ends(step.flow);
        if !step.from_client {
            std::mem::swap(&mut from, &mut to);
        }
        for repeat in 0..=step.repeats {
            now_ms += 333 * repeat.min(1);
            let number = events.len() as u64;
            let packet = Packet {
                source: from.0,
                source_port: from.1,
                destination: to.0,
                destination_port: to.1,
                protocol: Protocol::Tcp,
                flags: step.flags,
                length: 40 + number as u32 % 7,
                mark: 0,
            };
            let now = Timestamp(now_ms * 1_000_000 + number);
            events.push(Event::Packet(now, packet, Tag(number)));
        }
    }
    events
}

fn edit(director: &mut Director<Told>, weight: u32) {
    director
        .edit_server(ServiceIndex(0), server(0, 0, weight))
        .expect("an edit");
}

type Ignored = BTreeMap<(ServiceIndex, CannotCreate), u64>;

/// By address, every packet. What is due at once goes before a change and before the end, as with
/// the host.
fn watch(mut director: Director<Told>, events: &[Event]) -> (Told, Ignored) {
    let mut ignored = Ignored::new();
    for event in events {
        match event {
            Event::Weight(weight) => {
                let now = director.now();
                director.advance(now);
                edit(&mut director, *weight);
            }
            Event::Packet(now, packet, tag) => {
                let outcome = director.packet(*now, packet, *tag);
                if let Outcome::CannotCreate { service, why } = outcome {
                    *ignored.entry((service, why)).or_default() += 1;
                }
                if packet.flags == TcpFlags::SYN | TcpFlags::ACK {
                    director.first_response(packet, now.0);
                }
            }
        }
    }
    let now = director.now();
    director.advance(now);
    director.finish();
    (director.observer, ignored)
}

/// By flow, through a host that holds back within `limit`.
fn host(director: Director<Told>, events: &[Event], limit: u64) -> Host<Told> {
    let mut host = Host::new(director, limit);
    for event in events {
        match event {
            Event::Weight(weight) => edit(host.director_now(), *weight),
            Event::Packet(now, packet, tag) => host.packet(*now, packet, *tag),
        }
    }
    host.finish();
    host
}

/// Packets of refused connections are told by the one way or the other.
fn sum(told: &mut Told, ignored: &Ignored) -> u64 {
    std::mem::take(&mut told.later) + ignored.values().sum::<u64>()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn held_back_packets_change_nothing(
        steps in proptest::collection::vec(step(), 1..150),
        settings in settings(),
        policy in proptest::sample::select(POLICIES.to_vec()),
    ) {
        let events = events(&steps);
        let (mut all, ignored) = watch(director(settings, policy), &events);
        let by_flow = host(director(settings, policy), &events, 0);
        prop_assert_eq!(&by_flow.ignored, &ignored);
        prop_assert_eq!(&by_flow.director.observer, &all);

        let mut holding = host(director(settings, policy), &events, settings.quiet_limit());
        prop_assert_eq!(holding.made, by_flow.made);
        let held_sum = sum(&mut holding.director.observer, &holding.ignored);
        prop_assert_eq!(held_sum, sum(&mut all, &ignored));
        prop_assert_eq!(&holding.director.observer, &all);
    }
}

#[test]
fn the_host_of_these_tests_holds_most_packets_back() {
    let step = |flags, from_client, repeats| Step {
        gap_ms: 1,
        flow: 0,
        from_client,
        flags,
        repeats,
        weight: None,
    };
    let steps = [
        step(TcpFlags::SYN, true, 0),
        step(TcpFlags::SYN | TcpFlags::ACK, false, 0),
        step(TcpFlags::ACK, false, 0),
        step(TcpFlags::ACK, true, 10),
        step(TcpFlags::ACK, false, 10),
        step(TcpFlags::ACK, true, 99),
    ];
    let settings = Settings::default();
    let limit = settings.quiet_limit();
    let host = host(director(settings, POLICIES[0]), &events(&steps), limit);
    // Both ends talk for the first 22; of the client's last hundred only those are held back that
    // come within five seconds of the server's last.
    assert!((20..40).contains(&host.held), "{}", host.held);
    let [(.., traffic)] = &host.director.observer.closed[..] else {
        panic!("one connection")
    };
    assert_eq!((traffic.packets_in, traffic.packets_out), (112, 13));
}
