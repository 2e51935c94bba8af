//! `lc`: least-connection.
//!
//! Decision: smallest overhead, as the kernel profile counts it; of the weight only zero or not
//! counts.
//! Ties: the newest real server. Never a quiesced or overloaded one.
//! Reference: Linux `ip_vs_lc`. Deviations: none.

use alloc::string::String;

use equipoise_core::Needs;

use crate::overhead::{KERNEL, Overhead};
use crate::sdk::{Algorithm, Arrival, ParameterSpec, Place, Promise, Servers, Setup};

/// Least-connection.
#[derive(Debug)]
pub struct Lc {
    overhead: Overhead,
}

impl Algorithm for Lc {
    const NAME: &'static str = "lc";
    const SUMMARY: &'static str = "fewest connections";
    const NEEDS: Needs = Needs::LOADS;
    const PARAMETERS: &'static [ParameterSpec] = &[KERNEL];
    const PROMISE: Promise = Promise::Equal;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(setup: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            overhead: Overhead::configure(setup),
        })
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, _: &Arrival) -> Option<Place> {
        // Unsigned here, unlike the weighted rule. Of equals `min_by_key` takes the first.
        let (place, _) = servers
            .usable()
            .min_by_key(|(_, server)| self.overhead.of(server).cast_unsigned())?;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::Lc;
    use crate::testing::{check, check_with};

    #[test]
    fn vectors() {
        check::<Lc>("+A:1 +B:1 +C:1 r9", "CBACBACBA");
        check::<Lc>("+A:1 +B:100 +C:1 r9", "CBACBACBA");
        check::<Lc>("+A:1 +B:1 tA:257 aB:1 tB:1 r1", "B");
        check::<Lc>("+A:1 +B:1 tA:256 aB:1 tB:1 r1", "A");
        check_with::<Lc>(
            &[("kernel", "classic")],
            "+A:1 +B:1 tA:256 aB:1 tB:1 r1",
            "B",
        );
        check_with::<Lc>(
            &[("kernel", "classic")],
            "+A:1 +B:1 tA:255 aB:1 tB:1 r1",
            "A",
        );
    }
}
