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

/// All server endpoints, the one with the most connections first; of equals the one seen first.
pub fn survey(connections: &[Connection]) -> Vec<EndpointCount> {
    let mut places = BTreeMap::new();
    let mut counts: Vec<EndpointCount> = Vec::new();
    for connection in connections {
        let place = *places
            .entry((connection.protocol, connection.server))
            .or_insert_with(|| {
                counts.push(EndpointCount {
                    protocol: connection.protocol,
                    endpoint: connection.server,
                    connections: 0,
                });
                counts.len() - 1
            });
        counts[place].connections += 1;
    }
    counts.sort_by_key(|count| std::cmp::Reverse(count.connections));
    counts
}
