//! What several directors of a scenario did with one virtual service.

use serde::{Deserialize, Serialize};

use super::figure;

/// What several directors did with one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Directors {
    /// Each that there ever is, by its number.
    pub each: Vec<DirectorRun>,
    /// How far they agree.
    pub divergence: Divergence,
    /// What one of them would have done alone.
    pub alone: Alone,
}

/// What one director did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectorRun {
    /// Its name: `d1`.
    pub director: String,
    /// Connections that got a server here.
    pub connections: u64,
    /// How many of them were decided by the policy or its fallback, and not by a template.
    pub decisions: u64,
    /// Connections that got none here.
    pub refused: u64,
    /// Connections that came from another director, which had told of them: no decision.
    pub taken_over: u64,
}

/// Whether a client gets the same server wherever its connections arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// Clients (by address) that connected by several directors between two events; one counts
    /// again after each event.
    pub clients: u64,
    /// Those of them whose last servers from these directors were not all the same.
    pub differed: u64,
}

/// The same run with one director.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alone {
    /// Connections of each server, in the order of the rows.
    pub connections: Vec<u64>,
    /// The largest difference between what all directors together gave a server and this, divided
    /// by this; over servers that got something here, none where there is none.
    #[serde(serialize_with = "figure::write_option")]
    pub largest_difference: Option<f64>,
}

impl Alone {
    /// Compares with what several did, server by server.
    pub fn new(connections: Vec<u64>, together: &[u64]) -> Self {
        let differences = connections
            .iter()
            .zip(together)
            .filter(|&(&alone, _)| alone > 0)
            .map(|(&alone, &together)| alone.abs_diff(together) as f64 / alone as f64);
        let largest_difference = differences.reduce(f64::max);
        Self {
            connections,
            largest_difference,
        }
    }
}
