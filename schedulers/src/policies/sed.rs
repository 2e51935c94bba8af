//! `sed`: shortest expected delay.
//!
//! Decision: smallest `(active + 1) / weight`; inactive connections do not count.
//! Ties: the newest real server. Never a quiesced or overloaded one.
//! Reference: Linux `ip_vs_sed`. Deviations: none.

use alloc::string::String;

use equipoise_core::{Needs, Server};

use crate::least::WeightedLeast;
use crate::sdk::{Algorithm, Arrival, Change, Place, Promise, Servers, Setup};

/// Shortest expected delay.
#[derive(Debug)]
pub struct Sed {
    candidates: WeightedLeast,
}

impl Algorithm for Sed {
    const NAME: &'static str = "sed";
    const SUMMARY: &'static str = "fewest active connections for its weight, the new one included";
    const NEEDS: Needs = Needs::LOADS;
    const PROMISE: Promise = Promise::Weights;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(_: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            candidates: WeightedLeast::default(),
        })
    }

    fn servers_changed(&mut self, _: Change, servers: &Servers) {
        self.candidates.rebuild(servers, overhead);
    }

    #[inline]
    fn counters_changed(&mut self, place: Place, server: &Server) {
        self.candidates.recount(place, overhead(server));
    }

    fn flag_changed(&mut self, place: Place, server: &Server) {
        self.candidates.update(place, server, overhead(server));
    }

    #[inline]
    fn schedule(&mut self, _: &Servers, _: &Arrival) -> Option<Place> {
        self.candidates.least()
    }
}

#[inline]
fn overhead(server: &Server) -> i32 {
    server.active.wrapping_add(1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::Sed;
    use crate::testing::check;

    #[test]
    fn vectors() {
        check::<Sed>("+A:1 +B:2 +C:3 r12", "CBCCBACBCCBA");
        check::<Sed>("+C:3 +B:2 +A:1 r12", "CBCABCCBCABC");
        check::<Sed>("+A:10 +B:1 r12", "AAAAAAAAABAA");
        check::<Sed>("+A:1 +B:1 tB:1000 r1", "B");
    }
}
