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

/// All server endpoints, counted as connections end. Where there are too many, the half with the
/// fewest connections is forgotten: one of them that comes again is counted from 1.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    counts: BTreeMap<(Protocol, Endpoint), Count>,
}

/// Connections, and the number of the first.
type Count = (u64, u64);

/// The most connections come first; of equals the one seen first.
fn rank(&(count, first): &Count) -> (Reverse<u64>, u64) {
    (Reverse(count), first)
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
        if self.counts.len() > MOST {
            let mut ranks: Vec<_> = self.counts.values().map(rank).collect();
            let (_, &mut last, _) = ranks.select_nth_unstable(MOST / 2);
            self.counts.retain(|_, count| rank(count) <= last);
        }
    }

    /// The one with the most connections first; of equals the one seen first.
    pub fn busiest(&self) -> Vec<EndpointCount> {
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_by_key(|(_, count)| rank(count));
        let count = |(&(protocol, endpoint), &(connections, _))| EndpointCount {
            protocol,
            endpoint,
            connections,
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

    #[test]
    fn a_scan_takes_no_more_memory_and_hides_no_service() {
        let mut endpoints = Endpoints::default();
        let scanned = 5 * MOST as u64;
        let mut served = 0;
        for number in 0..scanned {
            endpoints.count(&connection(number, 1_000 + number as u32));
            // Seen late, and not often.
            if number > scanned / 2 && number % 10_000 == 0 {
                endpoints.count(&connection(number, 7));
                served += 1;
            }
            assert!(endpoints.counts.len() <= MOST);
        }
        let busiest = endpoints.busiest();
        assert_eq!(busiest[0].endpoint.address, Address::v4(7));
        assert_eq!(busiest[0].connections, served);
        assert_eq!(busiest[1].endpoint.address, Address::v4(1_000));
    }
}
