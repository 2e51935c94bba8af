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
    /// The last chosen place; none stands for the head of the list.
    cursor: Option<Place>,
}

impl Algorithm for Rr {
    const NAME: &'static str = "rr";
    const SUMMARY: &'static str = "each server in turn";
    const NEEDS: Needs = Needs::empty();
    const PROMISE: Promise = Promise::Equal;

    fn configure(_: &Setup<'_>) -> Result<Self, String> {
        Ok(Self { cursor: None })
    }

    fn servers_changed(&mut self, change: Change, _: &Servers) {
        self.cursor = match (change, self.cursor) {
            (Change::Bind, _) | (_, None) => None,
            (Change::Add(place), Some(cursor)) if place <= cursor => Some(cursor + 1),
            // A deleted cursor steps back, so that its successor is next.
            (Change::Delete { place, .. }, Some(cursor)) if place <= cursor => {
                cursor.checked_sub(1)
            }
            (_, cursor) => cursor,
        };
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, _: &Arrival) -> Option<Place> {
        let after = self.cursor.map_or(0, |cursor| cursor + 1);
        let (before, behind) = servers.rows().split_at_checked(after)?;
        let usable = |rows: &[Server]| rows.iter().position(is_usable);
        let chosen = match usable(behind) {
            Some(offset) => after + offset,
            None => usable(before)?,
        };
        self.cursor = Some(chosen);
        Some(chosen)
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
