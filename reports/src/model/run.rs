//! One policy over the whole trace: what each service and each real server got.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::directors::Directors;
use super::event::{Churn, Event};
use super::figure;
use crate::timeline::Timeline;

/// One policy over the whole trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The policy as given, parameters included; `rules` where each service keeps its own.
    pub policy: String,
    /// What each virtual service got, in the order of [`super::Report::services`].
    pub services: Vec<ServiceRun>,
    /// The policy's first fault.
    pub fault: Option<Fault>,
}

/// One virtual service under one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRun {
    /// The service's name, as in [`super::Service::service`].
    pub service: String,
    /// What decided.
    pub scheduler: Scheduler,
    /// Connections that got a server, those under a template and reused ones included.
    pub connections: u64,
    /// How evenly they were spread; none without connections.
    pub balance: Option<Balance>,
    /// Packets that create a connection or would, by what became of them.
    pub reasons: BTreeMap<Reason, u64>,
    /// Connections that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Packets of the service that could not create a connection and belonged to none, by kind.
    pub ignored_packets: BTreeMap<String, u64>,
    /// Connections by what their clients asked for first, where the policy reads requests: `http`,
    /// `tls`, `quic`, or `none` that can be read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub first_requests: BTreeMap<String, u64>,
    /// Answers that named an overloaded server; they were followed.
    pub overloaded_answers: u64,
    /// One for each real server, in the order in which they were added.
    pub servers: Vec<ServerRun>,
    /// Concurrent connections of each server.
    pub timeline: Option<Timeline>,
    /// What the scenario's events did, in their order; none without a scenario.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// What moves without an event; none without a scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
    /// What each director did; none without several in the scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directors: Option<Directors>,
}

impl ServiceRun {
    /// All connections that were refused.
    pub fn refused_connections(&self) -> u64 {
        self.refused.values().sum()
    }

    /// The most concurrent connections that one server had.
    pub fn highest_peak(&self) -> u64 {
        let peaks = self.servers.iter().map(|server| server.concurrent.peak);
        peaks.max().unwrap_or(0)
    }
}

/// What decided for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduler {
    /// The policy, parameters included.
    pub policy: String,
    /// SHA-256 of the component in hexadecimal; none for native code.
    pub digest: Option<String>,
    /// How it was run.
    pub execution: Execution,
}

/// How a policy was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Execution {
    /// A component, many decisions in one call.
    ComponentBatch,
    /// A component, one call for each decision.
    ComponentTyped,
    /// Native code.
    Native,
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ComponentBatch => "component-batch",
            Self::ComponentTyped => "component-typed",
            Self::Native => "native",
        })
    }
}

/// What became of a packet that creates a connection or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The policy chose the server.
    Scheduled,
    /// A persistence template did.
    Template,
    /// A new connection took over the ports of one that was closing; the policy chose the server.
    Reused,
    /// There was no server to go to.
    NoDestination,
    /// The fallback chose, after a fault.
    Fallback,
    /// The policy failed here.
    Fault,
}

/// The name that JSON and CSV have for it.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheduled => "scheduled",
            Self::Template => "template",
            Self::Reused => "reused",
            Self::NoDestination => "no-destination",
            Self::Fallback => "fallback",
            Self::Fault => "fault",
        })
    }
}

/// How evenly connections were spread over the real servers; see [`crate::stats::Distribution`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// What was compared between servers.
    pub over: BalanceOver,
    /// Largest divided by mean: 1 is even.
    #[serde(serialize_with = "figure::write")]
    pub max_over_mean: f64,
    /// Standard deviation (of the population) divided by mean: 0 is even.
    #[serde(serialize_with = "figure::write")]
    pub coefficient_of_variation: f64,
    /// Jain's index: 1 is even, 1/n is all on one of n servers.
    #[serde(serialize_with = "figure::write")]
    pub jain: f64,
}

/// What [`Balance`] compares between servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BalanceOver {
    /// Connections divided by the promised share.
    Promise,
    /// Connections as they are: the policy promises no shares.
    Connections,
}

impl fmt::Display for BalanceOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Promise => "promise",
            Self::Connections => "connections",
        })
    }
}

/// How packets reach a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Masquerading.
    Nat,
    /// Direct routing.
    Dr,
    /// Tunneling.
    Tun,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat => "nat",
            Self::Dr => "dr",
            Self::Tun => "tun",
        })
    }
}

/// One real server under one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerRun {
    /// Its address and port: `10.1.0.1:80`, `[2001:db8::2]:80`.
    pub server: String,
    /// How packets reach it.
    pub method: Method,
    /// Its weight; 0 is quiesced.
    pub weight: u32,
    /// Connections at which it becomes overloaded; 0 for never.
    pub upper_threshold: u32,
    /// Connections below which it is available again; 0 for three quarters of the upper one.
    pub lower_threshold: u32,
    /// Connections it got.
    pub connections: u64,
    /// Its part of the service's connections, from 0 to 1; none without connections.
    #[serde(serialize_with = "figure::write_option")]
    pub share: Option<f64>,
    /// The part that its weight promises; none where the policy promises none.
    #[serde(serialize_with = "figure::write_option")]
    pub promised_share: Option<f64>,
    /// Connections in an active state, as the kernel counts them.
    pub active: Level,
    /// All entries of the connection table, lingering ones included.
    pub entries: Level,
    /// TCP entries that count as active, and all UDP entries.
    pub concurrent: Level,
    /// Bytes (IP length) from clients.
    pub bytes_in: u64,
    /// Bytes (IP length) to clients.
    pub bytes_out: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Time to the first response byte as the capture shows it: that of the server that was
    /// captured, not a prediction for this one; none where none was seen.
    pub observed_first_response: Option<Latency>,
}

/// A level over the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// The highest value.
    pub peak: u64,
    /// The mean over time; none where time stood still.
    #[serde(serialize_with = "figure::write_option")]
    pub mean: Option<f64>,
}

/// A summary of times; quantiles by nearest rank, within 0.4 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Times observed.
    pub count: u64,
    /// Their mean, in microseconds.
    #[serde(serialize_with = "figure::write")]
    pub mean_us: f64,
    /// Half of them are at most this.
    #[serde(serialize_with = "figure::write")]
    pub median_us: f64,
    /// 95 % of them are at most this.
    #[serde(serialize_with = "figure::write")]
    pub p95_us: f64,
    /// 99 % of them are at most this.
    #[serde(serialize_with = "figure::write")]
    pub p99_us: f64,
}

/// The first time that a policy failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What it did.
    pub what: String,
    /// For which virtual service.
    pub service: String,
    /// In which capture; none outside any packet.
    pub capture: Option<String>,
    /// At which packet of it, counted from 1.
    pub packet: Option<u64>,
    /// The connection to decide: `tcp 192.0.2.7:40001 -> 10.0.0.1:80`.
    pub connection: Option<String>,
    /// What happened then.
    pub outcome: Outcome,
}

/// What happened after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The run ended there.
    Ended,
    /// The fallback went on.
    Fallback,
}
