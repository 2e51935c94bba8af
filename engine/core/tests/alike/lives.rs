//! Random lives of connections, policies to decide them, and an observer that keeps everything.

use std::sync::Arc;

use equipoise_core::batch::Kind;
use equipoise_core::{
    Address, Counters, Decision, Director, Fault, FaultReport, Flow, ForwardingMethod,
    KernelProfile, Load, Needs, Observer, Packet, Parameter, Persistence, Policy, Protocol,
    Scheduler, Scheduling, Server, ServerConfig, ServerId, ServiceConfig, ServiceIdentity,
    ServiceIndex, ServiceKey, Settings, Sysctls, Tag, TcpFlags, Timeouts, Timestamp, Traffic,
};
use proptest::prelude::*;

/// Gives the servers that are not quiesced in turn, or, by loads, the one with the least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    pub(crate) batch_limit: usize,
    pub(crate) by_loads: bool,
    /// An instance fails at its decision of this number.
    pub(crate) fails_at: Option<u32>,
}

impl Turns {
    pub(crate) const TYPED: Self = Self {
        batch_limit: 0,
        by_loads: false,
        fails_at: None,
    };
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
            decided: 0,
        }))
    }
}

struct TurnsScheduler {
    policy: Turns,
    servers: Vec<Server>,
    next: usize,
    decided: u32,
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
        if self.policy.fails_at == Some(self.decided) {
            return Err(Fault::FuelExhausted);
        }
        self.decided += 1;
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
pub(crate) struct Told {
    pub(crate) decisions: Vec<Decision>,
    pub(crate) counted: Vec<(Timestamp, ServiceIndex, u32, Counters)>,
    pub(crate) closed: Vec<(usize, ServiceIndex, u32, Flow, Traffic)>,
    pub(crate) faults: Vec<FaultReport>,
    pub(crate) later: u64,
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

    fn faulted(&mut self, report: &FaultReport) {
        self.faults.push(report.clone());
    }
}

pub(crate) const fn address(last: u32) -> Address {
    Address::v4(0x0a00_0000 + last)
}

/// A virtual service, its servers all alike.
#[derive(Clone, Copy)]
pub(crate) struct Service {
    pub(crate) protocol: Protocol,
    pub(crate) end: (Address, u16),
    pub(crate) is_persistent: bool,
    pub(crate) method: ForwardingMethod,
    pub(crate) servers: u32,
    pub(crate) upper_threshold: u32,
}

impl Service {
    pub(crate) const fn plain(last: u32) -> Self {
        Self {
            protocol: Protocol::Tcp,
            end: (address(last), 80),
            is_persistent: false,
            method: ForwardingMethod::Masquerading,
            servers: 3,
            upper_threshold: 0,
        }
    }

    pub(crate) const fn server(&self, number: u32, weight: u32) -> ServerConfig {
        ServerConfig {
            address: address(256 + number),
            port: 80,
            weight,
            method: self.method,
            upper_threshold: self.upper_threshold,
            lower_threshold: 0,
        }
    }
}

pub(crate) fn director(
    settings: Settings,
    services: &[Service],
    policy: Turns,
    fallback: Option<Turns>,
) -> Director<Told> {
    let mut director = Director::new(settings, Told::default());
    for service in services {
        let config = ServiceConfig {
            key: ServiceKey::Address {
                protocol: service.protocol,
                address: service.end.0,
                port: service.end.1,
            },
            persistence: service.is_persistent.then_some(Persistence {
                timeout_s: 40,
                netmask: Persistence::EVERY_CLIENT,
            }),
            one_packet: false,
        };
        let scheduling = Scheduling {
            policy: Arc::new(policy),
            parameters: Vec::new(),
            seed: 0,
            fallback: fallback.map(|policy| Arc::new(policy) as Arc<dyn Policy>),
        };
        let index = director.add_service(config, scheduling).expect("a service");
        for number in 0..service.servers {
            let server = service.server(number, 1);
            director.add_server(index, server).expect("a server");
        }
    }
    director
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) gap_ms: u64,
    pub(crate) flow: usize,
    pub(crate) from_client: bool,
    pub(crate) flags: TcpFlags,
    /// The same packet so often again, a third of a second apart.
    pub(crate) repeats: u64,
    /// A server of the first service gets this weight first.
    pub(crate) weight: Option<u32>,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
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

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
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

pub(crate) const POLICIES: [Turns; 4] = [
    Turns::TYPED,
    Turns {
        by_loads: true,
        ..Turns::TYPED
    },
    Turns {
        batch_limit: 3,
        ..Turns::TYPED
    },
    Turns {
        batch_limit: 1024,
        ..Turns::TYPED
    },
];

pub(crate) type End = (Address, u16);

pub(crate) enum Event {
    /// The first server of the first service gets this weight.
    Weight(u32),
    Packet(Timestamp, Packet, Tag),
}

pub(crate) fn events(
    steps: &[Step],
    between: impl Fn(usize) -> (Protocol, [End; 2]),
) -> Vec<Event> {
    let mut events = Vec::new();
    let mut now_ms = 1_700_000_000_000;
    for step in steps {
        now_ms += step.gap_ms;
        events.extend(step.weight.map(Event::Weight));
        let (protocol, [mut from, mut to]) = between(step.flow);
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
                protocol,
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
