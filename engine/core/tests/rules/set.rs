//! A director of one service, and a policy to decide for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use equipoise_core::batch::Kind;
use equipoise_core::{
    Address, Decision, Director, Fault, FaultReport, Flow, ForwardingMethod, Load, Needs, Observer,
    Outcome, Packet, Parameter, Policy, Protocol, Reason, Refusal, Scheduler, Scheduling, Server,
    ServerConfig, ServerId, ServiceConfig, ServiceIdentity, ServiceIndex, ServiceKey, Settings,
    Tag, TcpFlags, Timestamp,
};

/// Gives the servers in turn, the newest first; fails at the calls it is told to fail at.
#[derive(Clone, Default)]
pub(crate) struct Turns {
    /// Numbers of decisions at which an instance fails, counted over all instances.
    pub(crate) fails_at: Vec<u32>,
    /// What it does then: an unknown server, or this.
    pub(crate) fault: Option<Fault>,
    pub(crate) reads_loads: bool,
    pub(crate) batch_limit: usize,
    pub(crate) asked: Arc<AtomicU32>,
    pub(crate) started: Arc<AtomicU32>,
    /// Events that came in a call after its last arrival.
    pub(crate) untimely: Arc<AtomicU32>,
}

impl Policy for Turns {
    fn start(
        &self,
        _: Timestamp,
        _: &ServiceIdentity,
        _: &[Parameter],
        _: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        self.started.fetch_add(1, Relaxed);
        Ok(Box::new(TurnsScheduler {
            policy: self.clone(),
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
    fn decide(&mut self) -> Result<Option<usize>, Fault> {
        let number = self.policy.asked.fetch_add(1, Relaxed);
        if self.policy.fails_at.contains(&number) {
            return match &self.policy.fault {
                Some(fault) => Err(fault.clone()),
                None => Ok(Some(77)),
            };
        }
        if self.servers.is_empty() {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some((self.next - 1) % self.servers.len()))
    }
}

impl Scheduler for TurnsScheduler {
    fn needs(&self) -> Needs {
        if self.policy.reads_loads {
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
        _: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        let place = self.decide()?;
        Ok(place.map(|place| {
            self.servers
                .get(place)
                .map_or(ServerId(77), |server| server.id)
        }))
    }

    fn batch_limit(&self) -> usize {
        self.policy.batch_limit
    }

    fn run(&mut self, _: &[u64], events: &[u32], answers: &mut Vec<u32>) -> Result<(), Fault> {
        let mut untimely = 0;
        for event in events {
            untimely += 1;
            if Kind::of(*event).is_some_and(Kind::is_arrival) {
                untimely = 0;
                let place = self.decide()?;
                answers.push(place.map_or(u32::MAX, |place| place as u32));
            }
        }
        self.policy.untimely.fetch_add(untimely, Relaxed);
        Ok(())
    }
}

/// Decisions in words, and faults.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) decisions: Vec<String>,
    pub(crate) faults: Vec<FaultReport>,
    pub(crate) later: u64,
}

impl Observer for Told {
    fn decided(&mut self, decision: &Decision) {
        let server = decision
            .server
            .map_or(String::from("-"), |id| id.to_string());
        let reason = match decision.reason {
            Reason::Scheduled => "",
            Reason::Template => "t",
            Reason::Reused => "r",
            Reason::Fallback => "f",
            Reason::Fault => "!",
            Reason::NoDestination(Refusal::WrongPort) => "p",
            _ => "n",
        };
        self.decisions.push(format!("{server}{reason}"));
    }

    fn faulted(&mut self, report: &FaultReport) {
        self.faults.push(report.clone());
    }

    fn refused_later_packets(&mut self, _: ServiceIndex, packets: u64) {
        self.later += packets;
    }
}

pub(crate) fn trap() -> Fault {
    Fault::Trapped {
        message: String::from("unreachable"),
    }
}

pub(crate) const CLIENT: u32 = 0xc612_0001;
pub(crate) const VIP: Address = Address::v4(0x0a00_0001);

pub(crate) fn syn(client: u32, port: u16) -> Packet {
    Packet {
        source: Address::v4(client),
        destination: VIP,
        source_port: port,
        destination_port: 80,
        protocol: Protocol::Tcp,
        flags: TcpFlags::SYN,
        length: 60,
        mark: 0,
    }
}

pub(crate) fn server(number: u32) -> ServerConfig {
    ServerConfig {
        address: Address::v4(0x0a01_0000 + number),
        port: 80,
        weight: 1,
        method: ForwardingMethod::Masquerading,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

pub(crate) fn tcp(port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: VIP,
        port,
    }
}

pub(crate) struct Set {
    pub(crate) director: Director<Told>,
    pub(crate) service: ServiceIndex,
    tag: u64,
}

impl Set {
    pub(crate) fn up(
        settings: Settings,
        config: ServiceConfig,
        policy: &Turns,
        fallback: Option<Turns>,
    ) -> Self {
        let mut director = Director::new(settings, Told::default());
        let scheduling = Scheduling {
            policy: Arc::new(policy.clone()),
            parameters: Vec::new(),
            seed: 0,
            fallback: fallback.map(|policy| Arc::new(policy) as Arc<dyn Policy>),
        };
        let service = director.add_service(config, scheduling).expect("a service");
        for number in 0..3 {
            director
                .add_server(service, server(number))
                .expect("a server");
        }
        Self {
            director,
            service,
            tag: 0,
        }
    }

    pub(crate) fn plain(policy: &Turns) -> Self {
        let config = ServiceConfig {
            key: tcp(80),
            persistence: None,
            one_packet: false,
        };
        Self::up(
            Settings {
                batching: true,
                ..Settings::default()
            },
            config,
            policy,
            None,
        )
    }

    pub(crate) fn delete_servers(&mut self) {
        for number in 0..3 {
            let server = server(number);
            self.director
                .delete_server(self.service, server.address, server.port)
                .expect("gone");
        }
    }

    pub(crate) fn send(&mut self, seconds: u64, packet: &Packet) -> Outcome {
        self.tag += 1;
        let now = Timestamp(seconds * Timestamp::SECOND);
        self.director.packet(now, packet, Tag(self.tag))
    }

    pub(crate) fn decisions(&mut self) -> String {
        self.director.settle();
        self.director.observer.decisions.join(" ")
    }
}
