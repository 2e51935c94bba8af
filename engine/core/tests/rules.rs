//! Rules that no recording covers: marks with persistence, port 0, timers, faults and fallbacks.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use equipoise_core::batch::Kind;
use equipoise_core::{
    Address, CannotCreate, Decision, Director, Fault, FaultReport, Flow, ForwardingMethod, Load,
    Needs, Observer, Outcome, Packet, Parameter, Persistence, Policy, Protocol, Reason, Refusal,
    Scheduler, Scheduling, Server, ServerConfig, ServerId, ServiceConfig, ServiceIdentity,
    ServiceIndex, ServiceKey, Settings, State, Sysctls, Tag, TcpFlags, Timeouts, Timestamp,
};

/// Gives the servers in turn, the newest first; fails at the calls it is told to fail at.
#[derive(Clone, Default)]
struct Turns {
    /// Numbers of decisions at which an instance fails, counted over all instances.
    fails_at: Vec<u32>,
    /// What it does then: an unknown server, or this.
    fault: Option<Fault>,
    reads_loads: bool,
    batch_limit: usize,
    asked: Arc<AtomicU32>,
    started: Arc<AtomicU32>,
    /// Events that came in a call after its last arrival.
    untimely: Arc<AtomicU32>,
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
struct Told {
    decisions: Vec<String>,
    faults: Vec<FaultReport>,
    later: u64,
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

fn trap() -> Fault {
    Fault::Trapped {
        message: String::from("unreachable"),
    }
}

const CLIENT: u32 = 0xc612_0001;
const VIP: Address = Address::v4(0x0a00_0001);

fn syn(client: u32, port: u16) -> Packet {
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

fn server(number: u32) -> ServerConfig {
    ServerConfig {
        address: Address::v4(0x0a01_0000 + number),
        port: 80,
        weight: 1,
        method: ForwardingMethod::Masquerading,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn tcp(port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: VIP,
        port,
    }
}

struct Set {
    director: Director<Told>,
    service: ServiceIndex,
    tag: u64,
}

impl Set {
    fn up(
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

    fn plain(policy: &Turns) -> Self {
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

    fn delete_servers(&mut self) {
        for number in 0..3 {
            let server = server(number);
            self.director
                .delete_server(self.service, server.address, server.port)
                .expect("gone");
        }
    }

    fn send(&mut self, seconds: u64, packet: &Packet) -> Outcome {
        self.tag += 1;
        let now = Timestamp(seconds * Timestamp::SECOND);
        self.director.packet(now, packet, Tag(self.tag))
    }

    fn decisions(&mut self) -> String {
        self.director.settle();
        self.director.observer.decisions.join(" ")
    }
}

#[test]
fn a_batch_waits_and_then_answers_in_order() {
    let mut set = Set::plain(&Turns {
        batch_limit: 1024,
        ..Turns::default()
    });
    for port in 1..=5 {
        assert_eq!(set.send(0, &syn(CLIENT, port)), Outcome::Decision);
    }
    assert!(set.director.observer.decisions.is_empty());
    assert_eq!(set.decisions(), "2 1 0 2 1");
}

#[test]
fn what_comes_after_the_last_arrival_is_told_with_the_next() {
    let policy = Turns {
        batch_limit: 1024,
        reads_loads: true,
        ..Turns::default()
    };
    let mut set = Set::plain(&policy);
    set.send(0, &syn(CLIENT, 1));
    set.send(0, &syn(CLIENT, 2));
    // Both time out in SYN_RECV, one of them with its decision still to come.
    set.director.settle();
    set.send(90, &syn(CLIENT, 3));
    set.director.advance(Timestamp(200 * Timestamp::SECOND));
    set.delete_servers();
    assert_eq!(set.decisions(), "2 1 0");
    assert_eq!(policy.asked.load(Relaxed), 3);
    assert_eq!(policy.untimely.load(Relaxed), 0);
}

#[test]
fn packets_after_a_refused_syn_belong_to_nothing() {
    for batch_limit in [0, 1024] {
        let mut set = Set::plain(&Turns {
            batch_limit,
            ..Turns::default()
        });
        set.delete_servers();
        set.send(0, &syn(CLIENT, 1));
        let data = Packet {
            flags: TcpFlags::ACK,
            ..syn(CLIENT, 1)
        };
        let outcomes = [set.send(0, &data), set.send(0, &data)];
        // A SYN again is a new chance, and a new refusal.
        set.send(0, &syn(CLIENT, 1));
        assert_eq!(set.decisions(), "-n -n", "batch {batch_limit}");
        let seen_at_once = outcomes
            .iter()
            .filter(|o| matches!(o, Outcome::CannotCreate { .. }))
            .count() as u64;
        assert_eq!(
            seen_at_once + set.director.observer.later,
            2,
            "batch {batch_limit}"
        );
        assert_eq!(set.director.connection_count(), 0);
    }
}

#[test]
fn the_first_fault_ends_a_service_without_a_fallback() {
    for (batch_limit, traps) in [(0, true), (0, false), (1024, false)] {
        let policy = Turns {
            fails_at: vec![2],
            fault: traps.then(trap),
            batch_limit,
            ..Turns::default()
        };
        let mut set = Set::plain(&policy);
        for port in 1..=5 {
            set.send(0, &syn(CLIENT, port));
        }
        assert_eq!(set.decisions(), "2 1 -!", "batch {batch_limit}");
        let faults = &set.director.observer.faults;
        assert_eq!(faults.len(), 1);
        assert_eq!(
            (faults[0].first, faults[0].last),
            (Some(Tag(3)), Some(Tag(3)))
        );
        assert!(set.director.is_stopped());
        assert_eq!(set.send(0, &syn(CLIENT, 9)), Outcome::Stopped);
        assert_eq!(
            policy.started.load(Relaxed),
            1,
            "a faulted instance is not called again"
        );
    }
}

#[test]
fn a_trap_in_a_batch_names_the_packets_of_the_call() {
    let policy = Turns {
        fails_at: vec![2],
        fault: Some(trap()),
        batch_limit: 1024,
        ..Turns::default()
    };
    let mut set = Set::plain(&policy);
    for port in 1..=5 {
        set.send(0, &syn(CLIENT, port));
    }
    // No answer came back, so the first connection of the call bears the fault.
    assert_eq!(set.decisions(), "-!");
    let faults = &set.director.observer.faults;
    assert_eq!(
        (faults[0].first, faults[0].last),
        (Some(Tag(1)), Some(Tag(5)))
    );
}

#[test]
fn a_fault_leaves_nothing_waiting() {
    let policy = Turns {
        fails_at: vec![2],
        batch_limit: 1024,
        ..Turns::default()
    };
    let mut set = Set::plain(&policy);
    for port in 1..=5 {
        set.send(0, &syn(CLIENT, port));
    }
    // A second SYN cannot wait for the decision on the first.
    assert_eq!(set.send(0, &syn(CLIENT, 5)), Outcome::Stopped);
    assert_eq!(set.decisions(), "2 1 -!");
    assert_eq!(set.director.connection_count(), 2);
}

#[test]
fn with_a_fallback_a_fresh_instance_goes_on() {
    for (batch_limit, wanted) in [(0, "2 1 2f 2 1 0"), (1024, "2 1 2f 1f 0f 2f")] {
        let policy = Turns {
            fails_at: vec![2],
            batch_limit,
            ..Turns::default()
        };
        let config = ServiceConfig {
            key: tcp(80),
            persistence: None,
            one_packet: false,
        };
        let settings = Settings {
            batching: true,
            ..Settings::default()
        };
        let mut set = Set::up(settings, config, &policy, Some(Turns::default()));
        for port in 1..=6 {
            set.send(0, &syn(CLIENT, port));
        }
        assert_eq!(set.decisions(), wanted, "batch {batch_limit}");
        assert_eq!(policy.started.load(Relaxed), 2);
        set.send(0, &syn(CLIENT, 9));
        assert!(
            !set.decisions().ends_with('f'),
            "the fresh instance decides"
        );
        assert!(!set.director.is_stopped());
    }
}

#[test]
fn a_policy_that_keeps_missing_its_deadline_is_set_aside() {
    let policy = Turns {
        fails_at: (1..100).collect(),
        fault: Some(Fault::DeadlineExceeded),
        ..Turns::default()
    };
    let config = ServiceConfig {
        key: tcp(80),
        persistence: None,
        one_packet: false,
    };
    let mut set = Set::up(Settings::default(), config, &policy, Some(Turns::default()));
    for port in 1..=6 {
        set.send(0, &syn(CLIENT, port));
    }
    assert_eq!(set.decisions(), "2 2f 1f 0f 2f 1f");
    assert_eq!(policy.asked.load(Relaxed), 4);
    assert_eq!(set.director.observer.faults.len(), 3);
}

#[test]
fn a_quiesced_answer_is_a_fault() {
    let mut set = Set::plain(&Turns::default());
    let quiesced = ServerConfig {
        weight: 0,
        ..server(2)
    };
    set.director
        .edit_server(set.service, quiesced)
        .expect("an edit");
    set.send(0, &syn(CLIENT, 1));
    assert_eq!(
        set.director.observer.faults[0].fault,
        Fault::QuiescedServer { answer: 2 }
    );
}

fn persistent(key: ServiceKey) -> ServiceConfig {
    let persistence = Some(Persistence {
        timeout_s: 50,
        netmask: Persistence::EVERY_CLIENT,
    });
    ServiceConfig {
        key,
        persistence,
        one_packet: false,
    }
}

#[test]
fn a_mark_keeps_a_client_on_one_server_over_ports_and_protocols() {
    let key = ServiceKey::Mark {
        family: equipoise_core::Family::Ipv4,
        mark: 7,
    };
    let settings = Settings {
        batching: true,
        ..Settings::default()
    };
    let turns = Turns {
        batch_limit: 1024,
        ..Turns::default()
    };
    let mut set = Set::up(settings, persistent(key), &turns, None);
    let marked = |packet: Packet| Packet { mark: 7, ..packet };
    set.send(0, &marked(syn(CLIENT, 1)));
    set.send(
        0,
        &marked(Packet {
            destination_port: 443,
            ..syn(CLIENT, 2)
        }),
    );
    let datagram = Packet {
        protocol: Protocol::Udp,
        flags: TcpFlags::empty(),
        ..syn(CLIENT, 3)
    };
    set.send(0, &marked(datagram));
    set.send(0, &marked(syn(CLIENT + 1, 1)));
    assert_eq!(set.send(0, &syn(CLIENT, 4)), Outcome::NotServed);
    assert_eq!(set.decisions(), "2 2t 2t 1");
}

#[test]
fn a_port_0_service_keeps_a_client_over_ports_of_one_protocol() {
    let mut set = Set::up(
        Settings::default(),
        persistent(tcp(0)),
        &Turns::default(),
        None,
    );
    set.send(0, &syn(CLIENT, 1));
    set.send(
        0,
        &Packet {
            destination_port: 443,
            ..syn(CLIENT, 2)
        },
    );
    assert_eq!(set.decisions(), "2 2t");
}

#[test]
fn a_port_0_service_without_persistence_refuses_every_port() {
    let config = ServiceConfig {
        key: tcp(0),
        persistence: None,
        one_packet: false,
    };
    let mut set = Set::up(Settings::default(), config, &Turns::default(), None);
    set.send(0, &syn(CLIENT, 1));
    assert_eq!(set.decisions(), "-p");
}

#[test]
fn another_port_of_a_persistent_ftp_service_passes_where_there_is_no_destination() {
    for batch_limit in [0, 1024] {
        let settings = Settings {
            batching: true,
            ..Settings::default()
        };
        let policy = Turns {
            batch_limit,
            ..Turns::default()
        };
        let mut set = Set::up(settings, persistent(tcp(21)), &policy, None);
        let to = |client: u32, destination_port: u16| Packet {
            destination_port,
            ..syn(client, 4000 + destination_port)
        };
        // A server there is: the client's commands and data go to the same one.
        assert_eq!(set.send(0, &to(CLIENT, 2000)), Outcome::Decision);
        assert_eq!(set.send(0, &to(CLIENT, 21)), Outcome::Decision);
        set.delete_servers();
        let passes = Outcome::CannotCreate {
            service: set.service,
            why: CannotCreate::FtpData,
        };
        // Refusals of the service's own port stay refusals, also while they wait.
        assert_eq!(set.send(0, &to(CLIENT + 1, 21)), Outcome::Decision);
        assert_eq!(set.send(0, &to(CLIENT + 1, 2001)), passes);
        assert_eq!(set.send(0, &to(CLIENT, 2001)), passes);
        assert_eq!(set.send(0, &to(CLIENT, 21)), Outcome::Dropped);
        assert_eq!(set.decisions(), "2 2t -n", "batch {batch_limit}");
        assert_eq!(set.director.observer.later, 0, "batch {batch_limit}");
        assert_eq!(set.director.connection_count(), 2, "batch {batch_limit}");
        assert_eq!(policy.asked.load(Relaxed), 4, "batch {batch_limit}");
    }
}

#[test]
fn a_template_lives_on_in_steps_of_60_seconds_while_it_controls_connections() {
    let timeouts = Timeouts {
        tcp_s: 1_000,
        ..Timeouts::default()
    };
    let settings = Settings {
        timeouts,
        ..Settings::default()
    };
    let mut set = Set::up(settings, persistent(tcp(80)), &Turns::default(), None);
    set.send(0, &syn(CLIENT, 1));
    set.send(
        1,
        &Packet {
            flags: TcpFlags::ACK,
            ..syn(CLIENT, 1)
        },
    );
    // Due at 50 and again every 60 seconds, until the connection has gone at 1001.
    set.send(990, &syn(CLIENT, 2));
    assert_eq!(set.decisions(), "2 2t");
    // Its own timeout is 60 seconds now, not 50: restarted at 990, due at 1050.
    set.send(1_049, &syn(CLIENT, 3));
    assert_eq!(set.decisions(), "2 2t 2t");
    // Both are due at 1109, the older one first: the template still controls, and goes at 1169.
    set.send(1_169, &syn(CLIENT, 4));
    assert_eq!(set.decisions(), "2 2t 2t 1");
}

#[test]
fn timers_fire_before_the_packet_that_comes_at_their_deadline() {
    let mut set = Set::plain(&Turns::default());
    set.send(0, &syn(CLIENT, 1));
    assert_eq!(set.send(59, &syn(CLIENT, 1)), Outcome::Forwarded);
    assert_eq!(set.send(59 + 60, &syn(CLIENT, 1)), Outcome::Decision);
    assert_eq!(set.decisions(), "2 1");
}

#[test]
fn time_never_goes_back() {
    let mut set = Set::plain(&Turns::default());
    set.send(100, &syn(CLIENT, 1));
    set.send(3, &syn(CLIENT, 2));
    assert_eq!(set.director.now(), Timestamp(100 * Timestamp::SECOND));
}

#[test]
fn reuse_of_a_closed_connection_follows_the_switch() {
    let reset = |packet: Packet| Packet {
        flags: TcpFlags::RST,
        ..packet
    };
    for (conn_reuse_mode, wanted) in [(0, "2"), (1, "2 1r"), (2, "2 1r")] {
        let sysctls = Sysctls {
            conn_reuse_mode,
            ..Sysctls::default()
        };
        let config = ServiceConfig {
            key: tcp(80),
            persistence: None,
            one_packet: false,
        };
        let settings = Settings {
            sysctls,
            ..Settings::default()
        };
        let mut set = Set::up(settings, config, &Turns::default(), None);
        let packet = syn(CLIENT, 1);
        set.send(0, &packet);
        set.send(
            0,
            &Packet {
                flags: TcpFlags::ACK,
                ..packet
            },
        );
        set.send(0, &reset(packet));
        set.send(0, &packet);
        assert_eq!(set.decisions(), wanted, "mode {conn_reuse_mode}");
        let state = set.director.connection(&packet).map(|view| view.state);
        assert_eq!(state, Some(State::SynRecv));
    }
}

#[test]
fn one_packet_scheduling_decides_each_datagram_and_keeps_nothing() {
    let key = ServiceKey::Address {
        protocol: Protocol::Udp,
        address: VIP,
        port: 80,
    };
    let config = ServiceConfig {
        key,
        persistence: None,
        one_packet: true,
    };
    let turns = Turns {
        batch_limit: 1024,
        ..Turns::default()
    };
    let settings = Settings {
        batching: true,
        ..Settings::default()
    };
    let mut set = Set::up(settings, config, &turns, None);
    let datagram = Packet {
        protocol: Protocol::Udp,
        flags: TcpFlags::empty(),
        ..syn(CLIENT, 1)
    };
    for _ in 0..4 {
        set.send(0, &datagram);
    }
    assert_eq!(set.decisions(), "2 1 0 2");
    assert_eq!(set.director.connection_count(), 0);
}

#[test]
fn a_reply_to_a_refused_client_that_is_a_service_itself_is_scheduled_there() {
    for batch_limit in [0, 1024] {
        let mut set = Set::plain(&Turns {
            batch_limit,
            ..Turns::default()
        });
        set.delete_servers();
        let other = Address::v4(0x0a00_0002);
        let key = ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: other,
            port: 80,
        };
        let config = ServiceConfig {
            key,
            persistence: None,
            one_packet: false,
        };
        let scheduling = Scheduling {
            policy: Arc::new(Turns::default()),
            parameters: Vec::new(),
            seed: 0,
            fallback: None,
        };
        let second = set.director.add_service(config, scheduling).expect("two");
        set.director
            .add_server(second, server(9))
            .expect("a server");
        let from_service = Packet {
            source: other,
            source_port: 80,
            ..syn(CLIENT, 1)
        };
        let reply = Packet {
            source: VIP,
            destination: other,
            flags: TcpFlags::SYN | TcpFlags::ACK,
            ..from_service
        };
        set.send(0, &from_service);
        assert_eq!(set.send(0, &reply), Outcome::Decision);
        assert_eq!(set.decisions(), "-n 0", "batch {batch_limit}");
    }
}

#[test]
fn the_real_port_is_the_servers_unless_persistence_was_reached_by_another() {
    let plain = ServiceConfig {
        key: tcp(80),
        persistence: None,
        one_packet: false,
    };
    assert_eq!(plain.real_port(8080, 80), 8080);
    assert_eq!(plain.real_port(0, 80), 80);
    assert_eq!(persistent(tcp(80)).real_port(8080, 80), 8080);
    assert_eq!(persistent(tcp(0)).real_port(8080, 443), 443);
    let mark = ServiceKey::Mark {
        family: equipoise_core::Family::Ipv4,
        mark: 7,
    };
    assert_eq!(persistent(mark).real_port(8080, 443), 443);
}
