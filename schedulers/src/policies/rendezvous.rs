//! `rendezvous`: weighted rendezvous hashing.
//!
//! Decision: each usable server draws a number from a hash of the client's address (with `port` its
//! port too) and the server's own address and port; the least `-ln(number) / weight` wins. So a
//! server that goes gives its clients to the others by weight, one that comes takes its share from
//! all, and nobody else moves.
//! Ties: the newest real server. Never a quiesced or overloaded one.
//! Reference: Thaler and Ravishankar 1998 (highest random weight); the weights by the logarithmic
//! method of Schindelhauer and Schomaker 2005. IPVS has none of it.

use alloc::string::String;
use alloc::vec::Vec;

use equipoise_core::{Address, Needs};
use siphasher::sip::SipHasher13;

use crate::sdk::{
    Accepts, Algorithm, Arrival, Change, ParameterSpec, Place, Promise, Servers, Setup,
};

const PORT: ParameterSpec = ParameterSpec {
    key: "port",
    accepts: Accepts::Switch,
    doc: "hash the client's port too",
};

/// Weighted rendezvous hashing.
#[derive(Debug)]
pub struct Rendezvous {
    port: bool,
    /// Hashes of the servers' ends, by place.
    ends: Vec<u64>,
}

impl Algorithm for Rendezvous {
    const NAME: &'static str = "rendezvous";
    const SUMMARY: &'static str =
        "same server for a client, by weight; a change moves its own share";
    const NEEDS: Needs = Needs::CLIENT;
    const PARAMETERS: &'static [ParameterSpec] = &[PORT];
    const PROMISE: Promise = Promise::Weights;
    const ALWAYS_CHOOSES: bool = true;
    const IN_IPVS: bool = false;

    fn configure(setup: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            port: setup.switch(&PORT),
            ends: Vec::new(),
        })
    }

    fn servers_changed(&mut self, _: Change, servers: &Servers) {
        let ends = servers.rows().iter();
        self.ends = ends
            .map(|server| hash(server.address, server.port))
            .collect();
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, arrival: &Arrival) -> Option<Place> {
        let port = if self.port { arrival.client_port } else { 0 };
        let client = hash(arrival.client, port);
        let mut best = None;
        let mut least = f64::INFINITY;
        for (place, server) in servers.usable() {
            let drawn = number(client ^ self.ends[place]);
            let weight = f64::from(server.weight);
            // The logarithm is never less than this, and most servers lose by it.
            if best.is_some() && 1.0 - drawn >= least * weight {
                continue;
            }
            let cost = -libm::log(drawn) / weight;
            if best.is_none() || cost < least {
                (best, least) = (Some(place), cost);
            }
        }
        best
    }
}

/// SipHash-1-3 with a key of zeros, of the address and then the port in network order.
#[inline]
fn hash(address: Address, port: u16) -> u64 {
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&address.0.to_be_bytes());
    bytes[16..].copy_from_slice(&port.to_be_bytes());
    SipHasher13::new().hash(&bytes)
}

/// Between 0 and 1, neither included; both hashes are mixed as by `SplitMix64` (Steele, Lea and
/// Flood 2014).
#[inline]
fn number(hashes: u64) -> f64 {
    let mut z = hashes.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    // 52 bits and a half: exact.
    ((z >> 12) as f64 + 0.5) / 4_503_599_627_370_496.0
}

#[cfg(test)]
mod tests {
    use equipoise_core::{Address, Flow};

    use super::Rendezvous;
    use crate::sdk::Instance;
    use crate::testing::{FLOW, check, check_with, configured, servers};

    /// Expected values are another implementation's, in another language.
    #[test]
    fn vectors() {
        let clients = "k10.0.0.1:1 k10.0.0.2:1 k1.2.3.4:1 k192.168.1.1:1";
        check::<Rendezvous>(
            &format!("+A:1 +B:1 +C:1 {clients} -C {clients}"),
            "10.0.0.1:1->C 10.0.0.2:1->A 1.2.3.4:1->C 192.168.1.1:1->C \
             10.0.0.1:1->A 10.0.0.2:1->A 1.2.3.4:1->A 192.168.1.1:1->B",
        );
        check::<Rendezvous>(
            "+A:1 +B:1 +C:9 k10.0.0.3:1 k10.0.0.2:1",
            "10.0.0.3:1->C 10.0.0.2:1->A",
        );
        check_with::<Rendezvous>(
            &[("port", "true")],
            "+A:1 +B:1 +C:1 k10.0.0.1:1 k10.0.0.1:2 k10.0.0.1:3 k10.0.0.1:4",
            "10.0.0.1:1->B 10.0.0.1:2->A 10.0.0.1:3->C 10.0.0.1:4->C",
        );
        check::<Rendezvous>("+A:1 +B:0 oA k10.0.0.1:1", "10.0.0.1:1->-");
    }

    const KEYS: u32 = 60_000;

    /// The servers of many clients, by id, with these weights.
    fn choices(instance: &mut Instance<Rendezvous>, weights: &[u32]) -> Vec<Option<u32>> {
        instance.set_servers(servers(weights));
        let chosen = (0..KEYS).map(|client| {
            let flow = Flow {
                client: Address::v4(0x0a00_0000 + client),
                ..FLOW
            };
            instance.schedule(0, &flow, []).map(|id| id.0)
        });
        chosen.collect()
    }

    #[test]
    fn shares_are_those_of_the_weights() {
        let mut instance = configured::<Rendezvous>();
        let weights = [1, 2, 3, 10, 100];
        let chosen = choices(&mut instance, &weights);
        // Chi-square with 4 degrees of freedom: 18.5 is passed once in a thousand times.
        let mut chi_square = 0.0;
        for (id, weight) in weights.into_iter().enumerate() {
            let count = chosen.iter().filter(|&&one| one == Some(id as u32)).count();
            let expected = f64::from(KEYS) * f64::from(weight) / 116.0;
            chi_square += (count as f64 - expected).powi(2) / expected;
        }
        assert!(chi_square < 18.5, "{chi_square}");
    }

    #[test]
    fn only_clients_of_what_changed_move() {
        let mut instance = configured::<Rendezvous>();
        let before = choices(&mut instance, &[3, 1, 4, 1, 5]);
        let pairs = |after: Vec<Option<u32>>| before.iter().copied().zip(after);
        // One goes.
        let after = choices(&mut instance, &[3, 1, 0, 1, 5]);
        let moved = pairs(after).filter(|(one, other)| one != other);
        assert!(moved.into_iter().all(|(one, _)| one == Some(2)));
        // One comes.
        let after = choices(&mut instance, &[3, 1, 4, 1, 5, 2]);
        let moved: Vec<_> = pairs(after).filter(|(one, other)| one != other).collect();
        assert!(moved.iter().all(|&(_, other)| other == Some(5)));
        // Of 16 parts it takes two: within five standard deviations.
        let expected = f64::from(KEYS) / 8.0;
        assert!((moved.len() as f64 - expected).abs() < 5.0 * (expected * 7.0 / 8.0).sqrt());
        // One weighs more.
        let after = choices(&mut instance, &[3, 1, 4, 4, 5]);
        let moved = pairs(after).filter(|(one, other)| one != other);
        assert!(moved.into_iter().all(|(_, other)| other == Some(3)));
    }
}
