//! Who serves most: connections per server endpoint.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

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

/// Whether a virtual service can be there: at a port of one host.
pub fn can_be_service(endpoint: &Endpoint) -> bool {
    let address = IpAddr::from(endpoint.address);
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    let is_one_host = !(address.is_multicast() || address.is_unspecified() || is_broadcast);
    endpoint.port != 0 && is_one_host
}

/// Endpoints that are counted at a time: a scan reaches millions, none of them often.
const MOST: usize = 1 << 17;

/// All server endpoints, counted as connections end. Where there are too many, the half that can
/// have the fewest connections is forgotten: one of them that comes again is counted from 1.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    counts: BTreeMap<(Protocol, Endpoint), Count>,
    /// The most connections that one can have that was forgotten: so many more may any have that
    /// comes now (Metwally and others, "Efficient Computation of Frequent and Top-k Elements in
    /// Data Streams", 2005).
    forgotten: u64,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    connections: u64,
    /// The number of the first.
    first: u64,
    /// How many more there can have been.
    before: u64,
}

impl Count {
    /// The most connections come first; of equals the one seen first.
    fn rank(&self) -> (Reverse<u64>, u64) {
        (Reverse(self.connections), self.first)
    }

    /// By what there can be.
    fn rank_at_most(&self) -> (Reverse<u64>, u64) {
        (Reverse(self.connections + self.before), self.first)
    }
}

impl Endpoints {
    /// Counts one connection, unless it is a second leg, which no run sees.
    pub fn count(&mut self, connection: &Connection) {
        if connection.is_second_leg {
            return;
        }
        let before = self.forgotten;
        let count = self
            .counts
            .entry((connection.protocol, connection.server))
            .or_insert(Count {
                connections: 0,
                first: connection.number,
                before,
            });
        count.connections += 1;
        count.first = count.first.min(connection.number);
        if self.counts.len() > MOST {
            let mut ranks: Vec<_> = self.counts.values().map(Count::rank_at_most).collect();
            let (_, &mut last, _) = ranks.select_nth_unstable(MOST / 2);
            self.counts.retain(|_, count| count.rank_at_most() <= last);
            self.forgotten = last.0.0;
        }
    }

    /// The one with the most connections first; of equals the one seen first.
    pub fn busiest(&self) -> Vec<EndpointCount> {
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_by_key(|(_, count)| count.rank());
        let count = |(&(protocol, endpoint), count): (_, &Count)| EndpointCount {
            protocol,
            endpoint,
            connections: count.connections,
        };
        counts.into_iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use equipoise_core::{Address, Timestamp};

    use super::*;
    use crate::track::{Basis, Traffic};

    fn connection(number: u64, server: u32) -> Connection {
        let end = |address| Endpoint {
            address: Address::v4(address),
            port: 80,
        };
        Connection {
            number,
            client: end(1),
            server: end(server),
            protocol: Protocol::Tcp,
            basis: Basis::Syn,
            established: false,
            close: None,
            first: Timestamp(0),
            last: Timestamp(0),
            first_response_ns: None,
            to_server: Traffic::default(),
            to_client: Traffic::default(),
            is_second_leg: false,
        }
    }

    /// Of two connections there are enough to fill the table, and what comes late comes seldom.
    #[test]
    fn a_scan_takes_no_more_memory_and_hides_no_service() {
        let mut endpoints = Endpoints::default();
        let scanned = 8 * MOST as u64;
        for number in 0..scanned {
            endpoints.count(&connection(number, 1_000 + number as u32));
            if number < MOST as u64 / 2 + 5_000 {
                endpoints.count(&connection(number, 1_000 + number as u32));
            }
            if number % 40_000 == 39_999 {
                endpoints.count(&connection(number, 7));
            }
            assert!(endpoints.counts.len() <= MOST);
        }
        let busiest = endpoints.busiest();
        assert_eq!(busiest[0].endpoint.address, Address::v4(7));
        assert!(busiest[0].connections > 2, "{busiest:?}");
    }
}
