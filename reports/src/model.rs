//! What a report holds: the trace, what was replayed over it and one [`Run`] for each policy.
//!
//! Plain public fields, filled by whoever ran the replay. Maps are ordered, times are integers, and
//! derived figures are rounded when they are written, so that the JSON of a report is the same on
//! each run. It computes nothing: see [`crate::stats`] and [`crate::timeline`].

mod directors;
mod event;
pub(crate) mod figure;
mod json;
mod run;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use directors::{Alone, DirectorRun, Directors, Divergence};
pub use event::{Churn, Event, Herd, Moves, Settling, Way};
pub use json::{Costs, ReadError};
pub use run::{
    Balance, BalanceOver, Execution, Fault, Latency, Level, Method, Outcome, Reason, Run,
    Scheduler, ServerRun, ServiceRun,
};

/// Name and version of the JSON schema, documented in `docs/report.md`.
pub const SCHEMA: &str = "equipoise.report/1";

/// Everything that one replay has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The replay was broken off: all figures stand for the part of the trace that was read.
    #[serde(default)]
    pub partial: bool,
    /// What was read.
    pub trace: Trace,
    /// What applied to every run.
    pub settings: Settings,
    /// The virtual services, in the order in which they were set up.
    pub services: Vec<Service>,
    /// One for each policy, in the order in which they were given.
    pub runs: Vec<Run>,
    /// Remarks on the replay as a whole, one line each.
    pub warnings: Vec<String>,
    /// Measured with a clock, hence different on each run; none where it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// The captures, read one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Each capture, as given.
    pub captures: Vec<Capture>,
    /// Packets that were decoded to addresses and ports.
    pub decoded_packets: u64,
    /// Packets that were not, by reason.
    pub skipped_packets: BTreeMap<String, u64>,
    /// Factor applied to the time since the first packet; at 0 time stands still.
    #[serde(serialize_with = "figure::write")]
    pub time_scale: f64,
    /// How many clients each client of the captures stands for.
    #[serde(default = "one")]
    pub clients: u64,
    /// What of the captures was taken; none where all was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// TCP connections seen in the captures, of any endpoint.
    pub observed_connections: u64,
    /// What no run saw, for it was inferred to stand in the captures twice.
    #[serde(default)]
    pub left_out: LeftOut,
    /// What is odd about the times of packets.
    #[serde(default)]
    pub clock: Clock,
    /// Which packet counted where one is in a tunnel: `outer` or `inner`.
    #[serde(default)]
    pub tunnels: String,
    /// UDP ports by what was taken for a tunnel to them; none where tunnels were not looked into.
    #[serde(default)]
    pub tunnel_ports: BTreeMap<String, Vec<u16>>,
}

const fn one() -> u64 {
    1
}

/// What of the captures was taken, and how much was left out by that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Packets from this time on, in nanoseconds since the Unix epoch; none: from the first on.
    pub from_ns: Option<u64>,
    /// Packets before this time; none: to the last.
    pub to_ns: Option<u64>,
    /// Decoded packets outside these times.
    pub outside_packets: u64,
    /// Share of the connections, above 0, at most 1.
    #[serde(serialize_with = "figure::write")]
    pub share: f64,
    /// Decoded packets of the others.
    pub unsampled_packets: u64,
}

/// Packets whose time was not taken as it stands in the captures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Packets, skipped ones included, that bear an earlier time than the one before them.
    pub steps_back: u64,
    /// Packets that bear an earlier time than one before them, and were taken at that one's.
    pub retimed_packets: u64,
    /// How much later than they say, at most, in nanoseconds.
    pub retimed_most_ns: u64,
    /// Packets that bear no time and were taken at their predecessor's; skipped ones included.
    pub timeless_packets: u64,
}

/// Packets that were left out of all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Copies that a mirror port made: the same IP packet within a millisecond.
    pub copies: u64,
    /// Connections from a masquerading director to a real server, whose legs from the client are
    /// in the captures, too.
    pub second_legs: u64,
    /// Their packets.
    pub second_leg_packets: u64,
}

/// One capture file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// Its name as given; `-` for standard input.
    pub name: String,
    /// Packets read.
    pub packets: u64,
    /// Bytes that these packets had on the wire.
    pub bytes: u64,
    /// Earliest packet time, in nanoseconds since the Unix epoch; none without packets.
    pub first_ns: Option<u64>,
    /// Latest packet time.
    pub last_ns: Option<u64>,
    /// Link types of its interfaces, in order of appearance.
    pub link_types: Vec<String>,
    /// What was wrong with it, one line each.
    pub warnings: Vec<String>,
}

/// Settings that all runs share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Which generation of the kernel's counting was followed: `classic` or `current`.
    pub kernel: String,
    /// Timeouts in seconds by name: `tcp`, `tcp_fin`, `udp`.
    pub timeouts_s: BTreeMap<String, u32>,
    /// Switches under `net.ipv4.vs`, by name.
    pub sysctls: BTreeMap<String, u64>,
    /// Which packets bear a firewall mark, as given: `7=tcp:10.0.0.0/28:80,443`; of rules that
    /// match one packet the last one holds.
    pub marks: Vec<String>,
    /// The seed that every run's seeds derive from.
    pub seed: u64,
    /// The policy that goes on after a fault, where one was given.
    pub fallback: Option<String>,
}

/// A virtual service that was replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name: `tcp:10.0.0.1:80`, `udp:[2001:db8::1]:53`, `mark 7`.
    pub service: String,
    /// How it came to be replayed.
    pub chosen: Chosen,
    /// Persistence, where it has any.
    pub persistence: Option<Persistence>,
    /// Whether each packet is scheduled for itself (UDP only).
    pub one_packet: bool,
    /// TCP connections to it that the captures show.
    pub observed_connections: u64,
}

/// How a virtual service came to be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Chosen {
    /// Named on the command line.
    Given,
    /// By a line of a rules file.
    Rules,
    /// By a firewall mark on the command line.
    Mark,
    /// The endpoint with the most client connections.
    Automatic {
        /// Its client connections.
        connections: u64,
        /// The next best endpoints, best first.
        runners_up: Vec<RunnerUp>,
    },
}

/// An endpoint that was not chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerUp {
    /// Its name, as a service's.
    pub service: String,
    /// Its client connections.
    pub connections: u64,
}

/// Persistence of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persistence {
    /// Lifetime of a template after its last new connection, in seconds.
    pub timeout_s: u32,
    /// The mask on client addresses: `255.255.255.0` or a prefix length.
    pub netmask: String,
}

/// What was measured with a clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// One for each run, in their order.
    pub costs: Vec<Cost>,
}

/// What a policy's decisions took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The run's policy, as given.
    pub policy: String,
    /// Calls into the policy.
    pub calls: u64,
    /// Decisions that these calls made.
    pub decisions: u64,
    /// Time spent in the calls, in nanoseconds.
    pub total_ns: u64,
}

impl Cost {
    /// Nanoseconds for one decision; none without a decision.
    pub fn ns_per_decision(&self) -> Option<f64> {
        (self.decisions > 0).then(|| self.total_ns as f64 / self.decisions as f64)
    }
}
