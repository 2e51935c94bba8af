//! What a scenario's events did to a run.

use serde::{Deserialize, Serialize};

use super::figure;

/// One event of a scenario, as one run met it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened: `remove 10.1.0.2:80`.
    pub event: String,
    /// When, in nanoseconds since the Unix epoch; none where the run ended before.
    pub at_ns: Option<u64>,
    /// Connections that were decided by then, refused ones included.
    pub after_connections: Option<u64>,
    /// Active connections at the server when it ceased to answer or was removed; of a director's
    /// restart all that were lost; where directors join or leave those that went to one that did
    /// not know them.
    pub broken: u64,
    /// Active connections whose packets went to another director from then on.
    #[serde(default)]
    pub remapped: u64,
    /// Connections that were sent to it between its end and the notice of it.
    pub lost: u64,
    /// How the service settled, until it changed again; none where nothing came or turned to its
    /// servers.
    #[serde(default)]
    pub settling: Option<Settling>,
    /// Clients that had another connection before the next event of the service.
    pub moves: Moves,
}

/// What new connections did after an event, until the service changed again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settling {
    /// Connections that got a server.
    pub connections: u64,
    /// What one server got of them; none where there were less than a hundred.
    pub herd: Option<Herd>,
    /// After so many nanoseconds each server's share of a hundred connections was what its weight
    /// says, and stayed so for a hundred more; none where that did not come to pass.
    pub rebalanced_ns: Option<u64>,
}

/// What a server got of a hundred connections in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Herd {
    /// The server that came or has another weight; else the one that got most above its share.
    pub server: String,
    /// Its share by its weight.
    #[serde(serialize_with = "figure::write")]
    pub fair: f64,
    /// Its share of the first hundred.
    #[serde(serialize_with = "figure::write")]
    pub first: f64,
    /// Its largest share of any hundred among the first thousand.
    #[serde(serialize_with = "figure::write")]
    pub peak: f64,
}

/// Clients that connected before an event and after it: where the last connection before and the
/// first after went. Those under a persistence template count, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moves {
    /// How many there are.
    pub clients: u64,
    /// How many of them went to another server.
    pub moved: u64,
    /// How many had to, if servers have shares by their weights: the distance between the shares
    /// before and after.
    #[serde(serialize_with = "figure::write")]
    pub least: f64,
    /// Those that moved, by where from and where to.
    pub ways: Vec<Way>,
}

/// Clients that moved from one server to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The server before.
    pub from: String,
    /// The server after.
    pub to: String,
    /// How many clients.
    pub clients: u64,
}

/// Clients that connected again between events: what moves without a reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churn {
    /// Connections of clients that had connected since the last event.
    pub again: u64,
    /// How many of them went to another server than the one before.
    pub moved: u64,
}
