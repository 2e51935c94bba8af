//! `url_hash`: the same server for the same URL, as nginx's `hash $request_uri`.
//!
//! Decision: by the target of the connection's first HTTP request, byte for byte as it was sent
//! (nginx makes `/path` of `http://host/path`, and so does this). Plain: bits 16 to 30 of its CRC-32
//! select a unit of weight, servers in the order in which they were added; so nearly every URL moves
//! when the set changes. `consistent`: each unit of weight is 160 points on a ring, the next point
//! decides; only what belongs to a changed server moves.
//! A server of weight 0 counts as removed, an overloaded one as failing: nginx's next attempts,
//! twenty at most. After these, and for connections without such a target, smooth weighted round
//! robin as nginx's.
//! Servers are named `address:port` on the ring, IPv6 addresses in brackets.
//! Ties: points of the same hash belong to the server that was added first.
//! Deviation: where the ring would have more than 2^20 points it has about as many, each server its
//! share by weight and at least one, so that it stays within a component's memory.
//! Reference: decisions of nginx 1.22.1, tests/fixtures/nginx; the ring is ketama's, as of `Cache::Memcached::Fast`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::IpAddr;

use crc32fast::Hasher;
use equipoise_core::{Needs, Request, Server};

use crate::sdk::{
    Accepts, Algorithm, Arrival, Change, ParameterSpec, Place, Promise, Servers, Setup, is_usable,
};

const CONSISTENT: ParameterSpec = ParameterSpec {
    key: "consistent",
    accepts: Accepts::Switch,
    doc: "choose by a ring of hashes: a change of the set moves its own share only",
};

/// Of the ring, for each unit of weight.
const POINTS: u64 = 160;
const MOST_POINTS: u64 = 1 << 20;
/// Further servers that are tried where the first cannot take the connection.
const ATTEMPTS: u32 = 20;

/// Hashing of URLs.
#[derive(Debug)]
pub struct UrlHash {
    is_consistent: bool,
    /// Hash and age (0 is the oldest server), in order.
    ring: Vec<(u32, u32)>,
    is_stale: bool,
    /// By place, for the connections that go round.
    current: Vec<i64>,
}

impl Algorithm for UrlHash {
    const NAME: &'static str = "url_hash";
    const SUMMARY: &'static str = "hash of the first request's URL, as nginx's `hash $request_uri`";
    const NEEDS: Needs = Needs::empty();
    const PARAMETERS: &'static [ParameterSpec] = &[CONSISTENT];
    const PROMISE: Promise = Promise::Weights;
    const IN_IPVS: bool = false;
    const READS_REQUESTS: bool = true;

    fn configure(setup: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            is_consistent: setup.switch(&CONSISTENT),
            ring: Vec::new(),
            is_stale: false,
            current: Vec::new(),
        })
    }

    fn servers_changed(&mut self, change: Change, servers: &Servers) {
        // A list is told of several times before the first decision.
        self.is_stale = self.is_consistent;
        match change {
            Change::Add(place) => self.current.insert(place, 0),
            Change::Delete { place, .. } => {
                self.current.remove(place);
            }
            Change::Bind | Change::Edit => {}
        }
        self.current.resize(servers.len(), 0);
    }

    /// Without a request that has a URL.
    fn schedule(&mut self, servers: &Servers, _: &Arrival) -> Option<Place> {
        self.go_round(servers)
    }

    fn schedule_request(
        &mut self,
        servers: &Servers,
        _: &Arrival,
        request: &Request<'_>,
    ) -> Option<Place> {
        let url = match request {
            Request::Http { target, .. } => path_of(target),
            Request::Tls { .. } | Request::Quic { .. } => None,
        };
        let chosen = url.and_then(|url| {
            if self.is_consistent {
                self.on_ring(servers, url)
            } else {
                by_weight(servers, url)
            }
        });
        chosen.or_else(|| self.go_round(servers))
    }
}

impl UrlHash {
    fn on_ring(&mut self, servers: &Servers, url: &[u8]) -> Option<Place> {
        if self.is_stale {
            self.is_stale = false;
            self.ring = ring(servers);
        }
        let hash = crc32fast::hash(url);
        let first = self.ring.partition_point(|&(point, _)| point < hash);
        (0..=ATTEMPTS as usize).find_map(|attempt| {
            let point = (first + attempt).checked_rem(self.ring.len())?;
            let place = servers.len() - 1 - self.ring[point].1 as usize;
            servers.is_usable(place).then_some(place)
        })
    }

    /// Smooth weighted round robin.
    fn go_round(&mut self, servers: &Servers) -> Option<Place> {
        let mut total = 0;
        let mut best: Option<Place> = None;
        for place in (0..servers.len()).rev() {
            let Some(server) = servers.get(place).filter(|server| is_usable(server)) else {
                continue;
            };
            let weight = i64::from(server.weight);
            total += weight;
            self.current[place] += weight;
            if best.is_none_or(|best| self.current[place] > self.current[best]) {
                best = Some(place);
            }
        }
        self.current[best?] -= total;
        best
    }
}

/// The plain way: each attempt adds a hash of its own.
fn by_weight(servers: &Servers, url: &[u8]) -> Option<Place> {
    let total: u64 = servers.rows().iter().map(|s| u64::from(s.weight)).sum();
    let mut sum = 0;
    (0..=ATTEMPTS).find_map(|attempt| {
        let mut hasher = Hasher::new();
        if attempt > 0 {
            hasher.update(decimal(attempt).as_bytes());
        }
        hasher.update(url);
        sum += u64::from(hasher.finalize() >> 16 & 0x7fff);
        let mut unit = sum.checked_rem(total)?;
        let oldest_first = servers.rows().iter().enumerate().rev();
        for (place, server) in oldest_first {
            match unit.checked_sub(u64::from(server.weight)) {
                Some(rest) => unit = rest,
                None => return is_usable(server).then_some(place),
            }
        }
        None
    })
}

fn decimal(number: u32) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{number}");
    text
}

/// All points in order, each hash once.
fn ring(servers: &Servers) -> Vec<(u32, u32)> {
    let total: u64 = servers.rows().iter().map(|s| u64::from(s.weight)).sum();
    let mut ring = Vec::new();
    for (age, server) in servers.rows().iter().rev().enumerate() {
        let weight = u64::from(server.weight);
        let points = if total * POINTS <= MOST_POINTS {
            weight * POINTS
        } else {
            // A light server among very heavy ones still has its point.
            (weight * MOST_POINTS / total).max(weight.min(1))
        };
        let (base, mut hash) = (name_hash(server), 0_u32);
        for _ in 0..points {
            let mut hasher = base.clone();
            hasher.update(&hash.to_le_bytes());
            hash = hasher.finalize();
            ring.push((hash, age as u32));
        }
    }
    ring.sort_unstable();
    ring.dedup_by_key(|&mut (hash, _)| hash);
    ring
}

/// What precedes the number of a point: address, a zero byte, port in decimal.
fn name_hash(server: &Server) -> Hasher {
    let mut name = String::new();
    // Writing to a string cannot fail.
    let _ = match IpAddr::from(server.address) {
        IpAddr::V4(address) => write!(name, "{address}\0{}", server.port),
        IpAddr::V6(address) => write!(name, "[{address}]\0{}", server.port),
    };
    let mut hasher = Hasher::new();
    hasher.update(name.as_bytes());
    hasher
}

/// Path and query; none of `*` and `host:port`.
fn path_of(target: &[u8]) -> Option<&[u8]> {
    if target.starts_with(b"/") {
        return Some(target);
    }
    let scheme = target.windows(3).position(|three| three == b"://")?;
    let rest = &target[scheme + 3..];
    match rest.iter().position(|byte| b"/?".contains(byte)) {
        Some(begin) => Some(&rest[begin..]),
        None => Some(b"/"),
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_POINTS, ring};
    use crate::sdk::Servers;
    use crate::testing::servers;

    /// What nginx decides is in tests/fixtures/nginx; these weights are beyond what it was asked.
    #[test]
    fn heavy_servers_share_what_points_there_may_be() {
        let mut heavy = vec![65_535; 16];
        heavy.extend([32_768, 16, 1, 0]);
        let mut listed = Servers::default();
        listed.replace(servers(&heavy));
        let mut points = vec![0_u64; heavy.len()];
        for (_, age) in ring(&listed) {
            points[age as usize] += 1;
        }
        assert!(points.iter().sum::<u64>() <= MOST_POINTS);
        // Some hashes are drawn twice.
        assert!((60_000..=65_000).contains(&points[0]), "{points:?}");
        assert!((30_000..=32_500).contains(&points[16]), "{points:?}");
        assert!((14..=16).contains(&points[17]), "{points:?}");
        assert_eq!(points[18..], [1, 0]);
    }
}
