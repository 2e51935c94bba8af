//! `rr`: round robin.
//!
//! Decision: the next usable server after the last one chosen, in list order; of the weight only
//! zero or not counts.
//! Ties: none; the first pick is the newest server.
//! Reference: Linux `ip_vs_rr`. Deviations: none.

use alloc::string::String;

use equipoise_core::{Needs, Server};

use crate::sdk::{Algorithm, Arrival, Change, Place, Promise, Servers, Setup, is_usable};

/// Round robin.
#[derive(Debug)]
pub struct Rr {
    /// The place after the last chosen one, where the search begins; 0 for the head of the list.
    next: Place,
}

impl Algorithm for Rr {
    const NAME: &'static str = "rr";
    const SUMMARY: &'static str = "each server in turn";
    const NEEDS: Needs = Needs::empty();
    const PROMISE: Promise = Promise::Equal;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(_: &Setup<'_>) -> Result<Self, String> {
        Ok(Self { next: 0 })
    }

    fn servers_changed(&mut self, change: Change, _: &Servers) {
        self.next = match change {
            Change::Bind => 0,
            Change::Add(place) if place < self.next => self.next + 1,
            // Also where the last chosen one is deleted: its successor is next.
            Change::Delete { place, .. } if place < self.next => self.next - 1,
            _ => self.next,
        };
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, _: &Arrival) -> Option<Place> {
        let chosen = if servers.is_usable(self.next) {
            self.next
        } else {
            search(servers.rows(), self.next)?
        };
        self.next = chosen + 1;
        Some(chosen)
    }
}

/// The first usable place from `next` on, around the end of the list.
#[inline(never)]
fn search(rows: &[Server], next: Place) -> Option<Place> {
    let (before, behind) = rows.split_at_checked(next)?;
    match behind.iter().position(is_usable) {
        Some(offset) => Some(next + offset),
        None => before.iter().position(is_usable),
    }
}

#[cfg(test)]
mod tests {
    use super::Rr;
    use crate::testing::check;

    #[test]
    fn vectors() {
        check::<Rr>("+A:1 +B:1 +C:1 r7", "CBACBAC");
        check::<Rr>("+A:1 +B:1 +C:1 r1 +D:1 r6", "C BADCBA");
        check::<Rr>("+A:1 +B:0 +C:1 r6", "CACACA");
        check::<Rr>("+A:1 +B:1 +C:1 oC r4", "BABA");
        check::<Rr>("+A:1 +B:1 +C:1 r2 -B r4", "CB ACAC");
        check::<Rr>("+A:1 +B:1 +C:1 r1 -C r4", "C BABA");
    }
}
