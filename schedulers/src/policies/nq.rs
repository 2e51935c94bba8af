//! `nq`: never queue.
//!
//! Decision: the first usable server without an active connection, whatever its weight; if none is
//! idle, the smallest `(active + 1) / weight`. UDP connections are never active, so a UDP service
//! stays with its newest usable server.
//! Ties: the newest real server. Never a quiesced or overloaded one.
//! Reference: Linux `ip_vs_nq`. Deviations: none.

use alloc::string::String;

use equipoise_core::{Needs, Server};

use crate::least::WeightedLeast;
use crate::sdk::{Algorithm, Arrival, Change, Place, Promise, Servers, Setup};

/// What an idle server scores.
const IDLE: i32 = 1;

/// Never queue.
#[derive(Debug)]
pub struct Nq {
    candidates: WeightedLeast,
}

impl Algorithm for Nq {
    const NAME: &'static str = "nq";
    const SUMMARY: &'static str = "an idle server if there is one, else as sed";
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
        let idle = self.candidates.first_of(IDLE);
        idle.or_else(|| self.candidates.least())
    }
}

#[inline]
fn overhead(server: &Server) -> i32 {
    server.active.wrapping_add(1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::Nq;
    use crate::testing::check;

    #[test]
    fn vectors() {
        check::<Nq>("+A:1 +B:2 +C:3 r12", "CBACCBCBCCBA");
        check::<Nq>("+A:10 +B:1 r12", "BAAAAAAAAAAA");
        check::<Nq>("+A:1 +B:0 +C:1 oC r1", "A");
    }
}
