//! Who serves most: connections per server endpoint.

use std::collections::BTreeMap;

use equipoise_core::{Endpoint, Protocol};

use super::Connection;

/// A server endpoint and how many connections clients made to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointCount {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The server's address and port.
    pub endpoint: Endpoint,
    /// Connections to it, those in progress when the capture began included.
    pub connections: u64,
}

/// All server endpoints, counted as connections end.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// Connections, and the number of the first.
    counts: BTreeMap<(Protocol, Endpoint), (u64, u64)>,
}

impl Endpoints {
    /// Counts one connection, unless it is a second leg, which no run sees.
    pub fn count(&mut self, connection: &Connection) {
        if connection.is_second_leg {
            return;
        }
        let (count, first) = self
            .counts
            .entry((connection.protocol, connection.server))
            .or_insert((0, connection.number));
        *count += 1;
        *first = connection.number.min(*first);
    }

    /// The one with the most connections first; of equals the one seen first.
    pub fn busiest(&self) -> Vec<EndpointCount> {
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_by_key(|(_, (count, first))| (std::cmp::Reverse(*count), *first));
        let count = |(&(protocol, endpoint), &(connections, _))| EndpointCount {
            protocol,
            endpoint,
            connections,
        };
        counts.into_iter().map(count).collect()
    }
}
