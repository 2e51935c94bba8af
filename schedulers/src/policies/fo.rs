//! `fo`: weighted fail-over.
//!
//! Decision: the greatest weight among usable servers.
//! Ties: the newest real server. Never a quiesced or overloaded one.
//! Reference: Linux `ip_vs_fo`. Deviations: none.

use alloc::string::String;

use equipoise_core::Needs;

use crate::sdk::{Algorithm, Arrival, Place, Promise, Servers, Setup};

/// Weighted fail-over.
#[derive(Debug)]
pub struct Fo;

impl Algorithm for Fo {
    const NAME: &'static str = "fo";
    const SUMMARY: &'static str = "all to the greatest weight that is usable";
    const NEEDS: Needs = Needs::empty();
    const PROMISE: Promise = Promise::None;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(_: &Setup<'_>) -> Result<Self, String> {
        Ok(Self)
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, _: &Arrival) -> Option<Place> {
        // Of equals `max_by_key` takes the last, which reversed is the newest.
        let oldest_first = servers.rows().iter().enumerate().rev();
        let usable = oldest_first.filter(|(place, _)| servers.is_usable(*place));
        usable
            .max_by_key(|(_, server)| server.weight)
            .map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::Fo;
    use crate::testing::check;

    #[test]
    fn vectors() {
        check::<Fo>(
            "+A:1 +B:3 +C:3 +D:2 r1 oC r1 oB r1 uB oB oD r1 oA r1",
            "C B D A -",
        );
    }
}
