//! `wlc`: weighted least-connection.
//!
//! Decision: smallest `overhead / weight`; overhead as the kernel profile counts it.
//! Ties: the newest real server. Never a quiesced or overloaded one.
//! Reference: Linux `ip_vs_wlc`. Deviations: none.

use alloc::string::String;

use equipoise_core::{Needs, Server};

use crate::least::WeightedLeast;
use crate::overhead::{KERNEL, Overhead};
use crate::sdk::{Algorithm, Arrival, Change, ParameterSpec, Place, Promise, Servers, Setup};

/// Weighted least-connection.
#[derive(Debug)]
pub struct Wlc {
    overhead: Overhead,
    candidates: WeightedLeast,
}

impl Algorithm for Wlc {
    const NAME: &'static str = "wlc";
    const SUMMARY: &'static str = "fewest connections for its weight";
    const NEEDS: Needs = Needs::LOADS;
    const PARAMETERS: &'static [ParameterSpec] = &[KERNEL];
    const PROMISE: Promise = Promise::Weights;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(setup: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            overhead: Overhead::configure(setup),
            candidates: WeightedLeast::default(),
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

    #[inline]
    fn schedule(&mut self, _: &Servers, _: &Arrival) -> Option<Place> {
        self.candidates.least()
    }
}

#[cfg(test)]
mod tests {
    use super::Wlc;
    use crate::testing::{check, check_with};

    #[test]
    fn vectors() {
        check::<Wlc>("+A:3 +B:2 +C:1 r18", "CBAABACBAABACBAABA");
        check::<Wlc>("+C:1 +B:2 +A:3 r12", "ABCABAABCABA");
    }

    #[test]
    fn generations_differ_in_near_ties() {
        let scenario = "+A:1 +B:1 tA:256 aB:1 tB:1 r1";
        check::<Wlc>(scenario, "A");
        check_with::<Wlc>(&[("kernel", "classic")], scenario, "B");
    }
}
