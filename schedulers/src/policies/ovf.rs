//! `ovf`: weighted overflow.
//!
//! Decision: the greatest weight among usable servers whose active connections do not exceed it;
//! so each takes one more than its weight, and then there is no destination.
//! Ties: the newest real server. Never a quiesced or overloaded one.
//! Reference: Linux `ip_vs_ovf`. Deviations: none.

use alloc::string::String;

use equipoise_core::Needs;

use crate::sdk::{Algorithm, Arrival, Place, Promise, Servers, Setup};

/// Weighted overflow.
#[derive(Debug)]
pub struct Ovf;

impl Algorithm for Ovf {
    const NAME: &'static str = "ovf";
    const SUMMARY: &'static str = "fill the greatest weight first, then overflow to the next";
    const NEEDS: Needs = Needs::LOADS;
    const PROMISE: Promise = Promise::None;

    fn configure(_: &Setup<'_>) -> Result<Self, String> {
        Ok(Self)
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, _: &Arrival) -> Option<Place> {
        let mut best: Option<(Place, u32)> = None;
        for (place, server) in servers.usable() {
            let heavier = best.is_none_or(|(_, weight)| server.weight > weight);
            if heavier && server.active <= server.weight {
                best = Some((place, server.weight));
            }
        }
        best.map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::Ovf;
    use crate::testing::check;

    #[test]
    fn vectors() {
        check::<Ovf>("+A:2 +B:3 r12", "BBBBAAA-----");
        check::<Ovf>("+A:2 +B:2 r8", "BBBAAA--");
        check::<Ovf>("+A:2 +B:3 oB r2 tA:1000 r1", "AA A");
    }
}
