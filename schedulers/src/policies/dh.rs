//! `dh`: destination hashing.
//!
//! Decision: the address that the client connects to, hashed to one of 256 buckets, which the
//! servers share in list order; weights do not count.
//! Ties: none. A bucket whose server is quiesced or overloaded has no destination.
//! Reference: Linux `ip_vs_dh`. Deviations: none; the kernel's table is the bucket's number modulo
//! the length of the list, for an edit never moves a server.

use alloc::string::String;

use equipoise_core::Needs;

use crate::arithmetic::hash_32;
use crate::sdk::{Algorithm, Arrival, Place, Promise, Servers, Setup};

const TABLE_BITS: u32 = 8;

/// Destination hashing.
#[derive(Debug)]
pub struct Dh;

impl Algorithm for Dh {
    const NAME: &'static str = "dh";
    const SUMMARY: &'static str = "always the same server for a destination address";
    const NEEDS: Needs = Needs::DESTINATION;
    const PROMISE: Promise = Promise::None;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(_: &Setup<'_>) -> Result<Self, String> {
        Ok(Self)
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, arrival: &Arrival) -> Option<Place> {
        let bucket = hash_32(arrival.destination.fold(), TABLE_BITS) as usize;
        let place = bucket.checked_rem(servers.len())?;
        servers.is_usable(place).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::Dh;
    use crate::testing::check;

    #[test]
    fn vectors() {
        check::<Dh>(
            "+A:1 +B:9 +C:1 k10.0.0.1:1 k10.0.0.2:2 k10.0.0.3:3 k192.168.1.1:4 k192.168.1.100:5",
            "10.0.0.1:1->C 10.0.0.2:2->A 10.0.0.3:3->B 192.168.1.1:4->B 192.168.1.100:5->A",
        );
        check::<Dh>("+A:1 =A:0 +B:1 k10.0.0.1:1", "10.0.0.1:1->-");
        check::<Dh>("k10.0.0.1:1", "10.0.0.1:1->-");
    }
}
