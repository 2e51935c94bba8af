//! `lblc`: locality-based least-connection.
//!
//! Decision: the server remembered for the destination address, unless it has more active
//! connections than weight while another has less than half of its weight; then, and for a new
//! address, the weighted-least rule, and that server is remembered.
//! Ties: the newest real server. Never a quiesced one; a remembered server is given even while it
//! is overloaded, for the kernel does not look at the flag there.
//! Reference: Linux `ip_vs_lblc`. Deviations: time is exact instead of in ticks; where a partial
//! collection of a crowded table (more than 16,384 addresses) begins is our choice.

use alloc::string::String;

use equipoise_core::{Needs, Server, ServerId};

use crate::least::WeightedLeast;
use crate::locality::{EXPIRATION, Locality, is_crowded};
use crate::overhead::{KERNEL, Overhead};
use crate::sdk::{Algorithm, Arrival, Change, ParameterSpec, Place, Promise, Servers, Setup};

/// Locality-based least-connection.
#[derive(Debug)]
pub struct Lblc {
    overhead: Overhead,
    candidates: WeightedLeast,
    remembered: Locality<ServerId>,
}

impl Algorithm for Lblc {
    const NAME: &'static str = "lblc";
    const SUMMARY: &'static str = "the same server for a destination until it is crowded";
    const NEEDS: Needs = Needs::LOADS.union(Needs::TIME).union(Needs::DESTINATION);
    const PARAMETERS: &'static [ParameterSpec] = &[EXPIRATION, KERNEL];
    const PROMISE: Promise = Promise::None;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(setup: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            overhead: Overhead::configure(setup),
            candidates: WeightedLeast::default(),
            remembered: Locality::configure(setup),
        })
    }

    fn servers_changed(&mut self, _: Change, servers: &Servers) {
        let overhead = self.overhead;
        self.candidates
            .rebuild(servers, |server| overhead.of(server));
    }

    #[inline]
    fn counters_changed(&mut self, place: Place, server: &Server) {
        self.candidates.recount(place, self.overhead.of(server));
    }

    fn flag_changed(&mut self, place: Place, server: &Server) {
        self.candidates
            .update(place, server, self.overhead.of(server));
    }

    fn schedule(&mut self, servers: &Servers, arrival: &Arrival) -> Option<Place> {
        let (address, now_us) = (arrival.destination, arrival.now_us);
        // A deleted server is remembered, but has no place until it comes back.
        let id = self.remembered.recall(address, now_us).copied();
        if let Some(place) = id.and_then(|id| servers.place(id))
            && let Some(server) = servers.get(place)
            && server.weight > 0
            && !is_crowded(server, servers)
        {
            return Some(place);
        }
        let place = self.candidates.least()?;
        let server = servers.get(place)?;
        self.remembered.remember(address, now_us, server.id);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::Lblc;
    use crate::testing::{check, check_with};

    #[test]
    fn a_destination_keeps_its_server() {
        check::<Lblc>(
            "+A:1 +B:1 k1.0.0.1:1 aB:1 tB:1 k1.0.0.1:1 k1.0.0.2:1",
            "1.0.0.1:1->B 1.0.0.1:1->B 1.0.0.2:1->A",
        );
    }

    #[test]
    fn until_it_is_crowded_and_another_is_idle() {
        // B has 2 active at weight 1; A at weight 2 is idle below 1 active.
        let crowd = "+A:2 +B:1 k1.0.0.1:1 aB:2 tB:2";
        let moved = "1.0.0.1:1->B 1.0.0.1:1->A 1.0.0.1:1->A";
        check::<Lblc>(&format!("{crowd} k1.0.0.1:1 aB:0 tB:0 k1.0.0.1:1"), moved);
        check::<Lblc>(
            &format!("{crowd} aA:1 tA:1 k1.0.0.1:1"),
            "1.0.0.1:1->B 1.0.0.1:1->B",
        );
    }

    #[test]
    fn overload_is_not_looked_at_but_weight_and_deletion_are() {
        check::<Lblc>(
            "+A:1 +B:1 k1.0.0.1:1 oB k1.0.0.1:1",
            "1.0.0.1:1->B 1.0.0.1:1->B",
        );
        check::<Lblc>(
            "+A:1 +B:1 k1.0.0.1:1 =B:0 k1.0.0.1:1",
            "1.0.0.1:1->B 1.0.0.1:1->A",
        );
        check::<Lblc>(
            "+A:1 k1.0.0.1:1 oA -A k1.0.0.1:1 +A:1 k1.0.0.1:1",
            "1.0.0.1:1->A 1.0.0.1:1->- 1.0.0.1:1->A",
        );
        check::<Lblc>("+A:1 k1.0.0.1:1 oA k1.0.0.2:1", "1.0.0.1:1->A 1.0.0.2:1->-");
    }

    #[test]
    fn it_is_forgotten_after_its_expiration() {
        let scenario = "+A:1 +B:1 k1.0.0.1:1 aB:1 tB:1 w1799 k1.0.0.1:1 w1801 k1.0.0.1:1";
        let expected = "1.0.0.1:1->B 1.0.0.1:1->B 1.0.0.1:1->A";
        check_with::<Lblc>(&[("expiration", "1800")], scenario, expected);
    }
}
