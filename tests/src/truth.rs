//! Decisions that a real kernel made, and how to put the same packets through our director.
//!
//! The format is described in `tests/fixtures/kernel-truth/README.md`.

mod states;
mod tally;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use equipoise_core::{
    Address, CannotCreate, Decision, Director, ForwardingMethod, KernelProfile, Observer, Outcome,
    Packet, Parameter, Persistence, Policy, Protocol, Scheduling, ServerConfig, ServiceConfig,
    ServiceIndex, ServiceKey, Settings, Tag, TcpFlags, Timeouts, Timestamp,
};
use serde::Deserialize;

pub use states::StateSequence;
pub use tally::Tally;

/// One line of a `*.jsonl` file.
#[derive(Debug, Deserialize)]
pub struct Scenario {
    /// Its name, such as `wlc-churn`.
    pub name: String,
    /// Which of IPVS's schedulers decided.
    pub scheduler: String,
    flags: Vec<String>,
    profile: Profile,
    family: String,
    service: Service,
    persistent: Option<Persistent>,
    one_packet: bool,
    forward: Forward,
    timeouts: Option<[u32; 3]>,
    dests: Vec<Destination>,
    events: Vec<Event>,
    decisions: Vec<Option<usize>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Profile {
    Current,
    Classic,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Forward {
    Masq,
    Droute,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Service {
    Address {
        proto: String,
        addr: IpAddr,
        port: u16,
    },
    Mark {
        fwmark: u32,
    },
}

#[derive(Debug, Deserialize)]
struct Persistent {
    timeout: u32,
    netmask: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Destination {
    addr: IpAddr,
    port: u16,
    weight: u32,
    #[serde(default)]
    u_threshold: u32,
    #[serde(default)]
    l_threshold: u32,
}

#[derive(Debug, Deserialize)]
struct Event {
    t: String,
    c: Option<serde_json::Value>,
    src: Option<IpAddr>,
    #[serde(default)]
    sport: u16,
    dst: Option<IpAddr>,
    #[serde(default)]
    dport: u16,
    r: Option<serde_json::Value>,
    dest: Option<usize>,
    dests: Option<Vec<[u32; 4]>>,
    weight: Option<u32>,
    #[serde(default)]
    u_threshold: u32,
    #[serde(default)]
    l_threshold: u32,
    addr: Option<IpAddr>,
    #[serde(default)]
    port: u16,
    ms: Option<u64>,
    name: Option<String>,
    value: Option<u32>,
}

/// Scenarios of a `*.jsonl` text.
///
/// # Panics
/// Where a line is not one.
pub fn scenarios(text: &str) -> Vec<Scenario> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| {
                panic!("not a scenario: {error}: {}…", &line[..line.len().min(120)])
            })
        })
        .collect()
}

/// Keeps each decision's server by tag.
#[derive(Default)]
struct Recorder(BTreeMap<u64, Option<u32>>);

impl Observer for Recorder {
    fn decided(&mut self, decision: &Decision) {
        self.0.insert(decision.tag.0, decision.server);
    }
}

/// What our director said to one event that has an entry in `decisions`.
enum Answer {
    Decision(Tag),
    Known(Option<u32>),
}

const SERVICE: ServiceIndex = ServiceIndex(0);

struct Run<'a> {
    scenario: &'a Scenario,
    director: Director<Recorder>,
    now: Timestamp,
    /// Endpoint and weight of each destination, by its index in the scenario.
    destinations: Vec<Destination>,
    /// Address and port of the server with each id.
    servers: Vec<(IpAddr, u16)>,
    flows: BTreeMap<String, Packet>,
    answers: Vec<(usize, Answer)>,
    tally: Tally,
}

/// Puts a scenario through a director with `policy`, one call for each decision or `batching`.
///
/// # Panics
/// Where the scenario has something that this module does not know.
pub fn run(scenario: &Scenario, policy: &Arc<dyn Policy>, batching: bool) -> Tally {
    let mut run = Run::start(scenario, policy, batching);
    for (number, event) in scenario.events.iter().enumerate() {
        run.event(number, event);
    }
    run.finish()
}

impl<'a> Run<'a> {
    fn start(scenario: &'a Scenario, policy: &Arc<dyn Policy>, batching: bool) -> Self {
        let profile = match scenario.profile {
            Profile::Current => KernelProfile::Current,
            Profile::Classic => KernelProfile::Classic,
        };
        let settings = Settings {
            profile,
            timeouts: timeouts(scenario.timeouts),
            batching,
            ..Settings::default()
        };
        let now = Timestamp(1_000 * Timestamp::SECOND);
        let mut director = Director::new(settings, Recorder::default());
        director.advance(now);
        let scheduling = Scheduling {
            policy: Arc::clone(policy),
            parameters: scenario.parameters(),
            seed: 1,
            fallback: None,
        };
        let service = director
            .add_service(scenario.service(), scheduling)
            .expect("the service");
        assert_eq!(service, SERVICE);
        let mut run = Self {
            scenario,
            director,
            now,
            destinations: Vec::new(),
            servers: Vec::new(),
            flows: BTreeMap::new(),
            answers: Vec::new(),
            tally: Tally {
                scenarios: 1,
                ..Tally::default()
            },
        };
        for destination in &scenario.dests {
            run.add(destination.clone());
        }
        run
    }

    fn add(&mut self, destination: Destination) {
        let config = self.scenario.server(&destination);
        let id = self.director.add_server(SERVICE, config).expect("a server") as usize;
        let endpoint = (destination.addr, destination.port);
        if id == self.servers.len() {
            self.servers.push(endpoint);
        }
        assert_eq!(self.servers[id], endpoint);
        self.destinations.push(destination);
    }

    fn event(&mut self, number: usize, event: &Event) {
        match event.t.as_str() {
            "weight" => {
                let at = event.dest.expect("dest");
                let mut edited = self.destinations[at].clone();
                edited.weight = event.weight.expect("weight");
                edited.u_threshold = event.u_threshold;
                edited.l_threshold = event.l_threshold;
                let config = self.scenario.server(&edited);
                self.destinations[at] = edited;
                self.director.edit_server(SERVICE, config).expect("an edit");
            }
            "add" => {
                assert_eq!(
                    event.dest,
                    Some(self.destinations.len()),
                    "additions go on numbering"
                );
                self.add(Destination {
                    addr: event.addr.expect("addr"),
                    port: event.port,
                    weight: event.weight.expect("weight"),
                    u_threshold: event.u_threshold,
                    l_threshold: event.l_threshold,
                });
            }
            "del" => {
                let gone = &self.destinations[event.dest.expect("dest")];
                let address = Address::from(gone.addr);
                self.director
                    .delete_server(SERVICE, address, gone.port)
                    .expect("a deletion");
            }
            "sysctl" => self.sysctl(event),
            "wait" => {
                self.now.0 += event.ms.expect("ms") * 1_000_000;
                self.director.advance(self.now);
            }
            "expired" => self.expired(number, event),
            "counts" => self.counts(number, event),
            _ => self.packet(number, event),
        }
    }

    fn sysctl(&mut self, event: &Event) {
        let mut sysctls = self.director.sysctls();
        let value = event.value.expect("value");
        match event.name.as_deref().expect("name") {
            "sloppy_tcp" => sysctls.sloppy_tcp = value != 0,
            "expire_nodest_conn" => sysctls.expire_nodest_conn = value != 0,
            "expire_quiescent_template" => sysctls.expire_quiescent_template = value != 0,
            "conn_reuse_mode" => sysctls.conn_reuse_mode = value,
            // Given to the policy as a parameter, before its first packet.
            "lblc_expiration" | "lblcr_expiration" => {
                assert!(
                    self.answers.is_empty(),
                    "an expiration that changes under way"
                );
            }
            other => panic!("sysctl {other}"),
        }
        self.director.set_sysctls(sysctls);
    }

    fn packet(&mut self, number: usize, event: &Event) {
        let connection = event.c.as_ref().expect("a connection").to_string();
        if let (Some(source), Some(destination)) = (event.src, event.dst) {
            let packet = self.scenario.client_packet(event, source, destination);
            self.flows.insert(connection.clone(), packet);
        }
        let client = self.flows[&connection];
        let (from_client, flags) = match event.t.as_str() {
            "syn" => (true, TcpFlags::SYN),
            "ack" => (true, TcpFlags::ACK),
            "psh" => (true, TcpFlags::PSH | TcpFlags::ACK),
            "fin" => (true, TcpFlags::FIN | TcpFlags::ACK),
            "rst" => (true, TcpFlags::RST),
            "udp" | "udp_more" => (true, TcpFlags::empty()),
            "synack" => (false, TcpFlags::SYN | TcpFlags::ACK),
            "s_ack" => (false, TcpFlags::ACK),
            "s_fin" => (false, TcpFlags::FIN | TcpFlags::ACK),
            "s_rst" => (false, TcpFlags::RST),
            other => panic!("event {other}"),
        };
        let packet = if from_client {
            Packet { flags, ..client }
        } else {
            Packet {
                source: client.destination,
                destination: client.source,
                source_port: client.destination_port,
                destination_port: client.source_port,
                mark: 0,
                flags,
                ..client
            }
        };
        let tag = Tag(number as u64);
        let outcome = self.director.packet(self.now, &packet, tag);
        if event.src.is_some() {
            let answer = match outcome {
                Outcome::Decision => Answer::Decision(tag),
                Outcome::Forwarded => Answer::Known(self.server_of(&packet)),
                _ => Answer::Known(None),
            };
            self.answers.push((number, answer));
        } else if event.r.as_ref().and_then(|r| r.as_str()) == Some("drop") && from_client {
            // The local stack drops a reset that belongs to nothing without a word, too.
            let is_dropped = matches!(
                outcome,
                Outcome::Dropped
                    | Outcome::CannotCreate {
                        why: CannotCreate::Reset,
                        ..
                    }
            );
            self.tally.note(is_dropped, || {
                format!("event {number}: the kernel dropped the packet, we: {outcome:?}")
            });
        }
    }

    fn server_of(&mut self, packet: &Packet) -> Option<u32> {
        if self.director.connection(packet)?.server.is_none() {
            self.director.settle();
        }
        self.director.connection(packet)?.server
    }

    fn expired(&mut self, number: usize, event: &Event) {
        let gone = event
            .c
            .as_ref()
            .and_then(|c| c.as_array())
            .expect("connections");
        for connection in gone {
            let packet = self.flows[&connection.to_string()];
            let found = self.director.connection(&packet);
            self.tally.note(found.is_none(), || {
                format!("event {number}: connection {connection} should have expired: {found:?}")
            });
        }
    }

    fn counts(&mut self, number: usize, event: &Event) {
        self.director.settle();
        let ours: Vec<[u32; 3]> = self
            .director
            .servers(SERVICE)
            .map(|view| {
                [
                    view.config.weight,
                    view.counters.active,
                    view.counters.inactive,
                ]
            })
            .collect();
        let order: Vec<(IpAddr, u16)> = self
            .director
            .servers(SERVICE)
            .map(|view| self.servers[view.id as usize])
            .collect();
        let theirs = event.dests.as_ref().expect("dests");
        self.tally.note(ours.len() == theirs.len(), || {
            format!(
                "event {number}: {} servers, the kernel has {}",
                ours.len(),
                theirs.len()
            )
        });
        for (place, row) in theirs.iter().enumerate() {
            let wanted = &self.destinations[row[0] as usize];
            let agrees = order.get(place) == Some(&(wanted.addr, wanted.port))
                && ours.get(place) == Some(&[row[1], row[2], row[3]]);
            self.tally.counter(agrees, || {
                format!(
                    "event {number}: counters of {}:{} are [weight, active, inactive] {:?}, ours {:?}",
                    wanted.addr,
                    wanted.port,
                    &row[1..],
                    ours.get(place)
                )
            });
        }
    }

    fn finish(mut self) -> Tally {
        self.director.settle();
        let wanted = &self.scenario.decisions;
        assert_eq!(
            self.answers.len(),
            wanted.len(),
            "{}: decisions",
            self.scenario.name
        );
        for ((number, answer), wanted) in self.answers.iter().zip(wanted) {
            let ours = match answer {
                Answer::Known(server) => *server,
                Answer::Decision(tag) => {
                    *self.director.observer.0.get(&tag.0).unwrap_or_else(|| {
                        panic!("{}: event {number} undecided", self.scenario.name)
                    })
                }
            };
            let ours = ours.map(|id| self.servers[id as usize]);
            let theirs = wanted.map(|at| (self.destinations[at].addr, self.destinations[at].port));
            self.tally.decision(ours == theirs, || {
                format!("event {number}: the kernel chose {theirs:?}, we {ours:?}")
            });
        }
        for words in &mut self.tally.disagreements {
            let mut named = String::new();
            let _ = write!(named, "{}: {words}", self.scenario.name);
            *words = named;
        }
        self.tally
    }
}

impl Scenario {
    fn service(&self) -> ServiceConfig {
        let key = match &self.service {
            Service::Address { proto, addr, port } => ServiceKey::Address {
                protocol: protocol(proto),
                address: (*addr).into(),
                port: *port,
            },
            Service::Mark { fwmark } => {
                let family = match self.family.as_str() {
                    "inet" => equipoise_core::Family::Ipv4,
                    "inet6" => equipoise_core::Family::Ipv6,
                    other => panic!("family {other}"),
                };
                ServiceKey::Mark {
                    family,
                    mark: *fwmark,
                }
            }
        };
        let persistence = self.persistent.as_ref().map(|persistent| Persistence {
            timeout_s: persistent.timeout,
            netmask: persistent
                .netmask
                .as_deref()
                .map_or(Persistence::EVERY_CLIENT, netmask),
        });
        ServiceConfig {
            key,
            persistence,
            one_packet: self.one_packet,
        }
    }

    fn server(&self, destination: &Destination) -> ServerConfig {
        ServerConfig {
            address: destination.addr.into(),
            port: destination.port,
            weight: destination.weight,
            method: match self.forward {
                Forward::Masq => ForwardingMethod::Masquerading,
                Forward::Droute => ForwardingMethod::DirectRouting,
            },
            upper_threshold: destination.u_threshold,
            lower_threshold: destination.l_threshold,
        }
    }

    /// What ipvsadm's flags, the kernel's age and its switches are to our policies.
    fn parameters(&self) -> Vec<Parameter> {
        let mut parameters: Vec<(String, String)> = self
            .flags
            .iter()
            .map(|flag| (flag.clone(), "true".to_owned()))
            .collect();
        let entry = equipoise_schedulers::registry::find(&self.scheduler)
            .unwrap_or_else(|| panic!("no policy {}", self.scheduler));
        let takes = |key: &str| {
            entry
                .parameters
                .iter()
                .any(|parameter| parameter.key == key)
        };
        if takes("kernel") {
            let kernel = match self.profile {
                Profile::Current => "current",
                Profile::Classic => "classic",
            };
            parameters.push(("kernel".to_owned(), kernel.to_owned()));
        }
        let sysctl = format!("{}_expiration", self.scheduler);
        for event in &self.events {
            if event.name.as_deref() == Some(sysctl.as_str()) {
                let value = event.value.expect("value").to_string();
                parameters.push(("expiration".to_owned(), value));
            }
        }
        parameters
            .into_iter()
            .map(|(key, value)| Parameter { key, value })
            .collect()
    }

    fn client_packet(&self, event: &Event, source: IpAddr, destination: IpAddr) -> Packet {
        let (protocol, mark) = match (&self.service, event.t.as_str()) {
            (Service::Address { proto, .. }, _) => (protocol(proto), 0),
            (Service::Mark { fwmark }, "udp" | "udp_more") => (Protocol::Udp, *fwmark),
            (Service::Mark { fwmark }, _) => (Protocol::Tcp, *fwmark),
        };
        Packet {
            source: source.into(),
            destination: destination.into(),
            source_port: event.sport,
            destination_port: event.dport,
            protocol,
            flags: TcpFlags::empty(),
            length: 40,
            mark,
        }
    }
}

fn protocol(name: &str) -> Protocol {
    match name {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => panic!("protocol {other}"),
    }
}

fn netmask(text: &str) -> u128 {
    match text.parse::<std::net::Ipv4Addr>() {
        Ok(mask) => Persistence::ipv4_netmask(mask.to_bits()),
        Err(_) => Persistence::ipv6_prefix(text.parse().expect("a prefix length")),
    }
}

/// `ipvsadm --set`: 0 keeps what is.
fn timeouts(set: Option<[u32; 3]>) -> Timeouts {
    let [tcp, fin, udp] = set.unwrap_or_default();
    let default = Timeouts::default();
    let or = |value, default| if value == 0 { default } else { value };
    Timeouts {
        tcp_s: or(tcp, default.tcp_s),
        tcp_fin_s: or(fin, default.tcp_fin_s),
        udp_s: or(udp, default.udp_s),
    }
}
