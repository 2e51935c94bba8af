//! `wrr`: weighted round robin.
//!
//! Decision: passes over the list at falling levels of weight; the next usable server whose weight
//! reaches the level. Each addition, edit or deletion starts the rotation at the list's head again.
//! Ties: none; within a level in list order, newest first.
//! Reference: Linux `ip_vs_wrr`. Deviations: none; levels that no usable server reaches are
//! skipped by division, to the same end.

use alloc::string::String;

use equipoise_core::{Needs, Server};

use crate::arithmetic::gcd;
use crate::sdk::{Algorithm, Arrival, Change, Place, Promise, Servers, Setup, is_usable};

/// Weighted round robin.
#[derive(Debug)]
pub struct Wrr {
    /// The last chosen place; none stands for the head of the list.
    cursor: Option<Place>,
    /// From one level to the next: the weights' greatest common divisor.
    step: u32,
    /// The highest level, 0 without a positive weight; it and all others are 1 above a multiple
    /// of `step`, so that the last is 1.
    top: u32,
    level: u32,
}

impl Algorithm for Wrr {
    const NAME: &'static str = "wrr";
    const SUMMARY: &'static str = "each server in turn, as often as its weight says";
    const NEEDS: Needs = Needs::empty();
    const PROMISE: Promise = Promise::Weights;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(_: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            cursor: None,
            step: 1,
            top: 0,
            level: 0,
        })
    }

    fn servers_changed(&mut self, change: Change, servers: &Servers) {
        let weights = servers.rows().iter().map(|server| server.weight);
        self.step = weights.clone().fold(0, gcd).max(1);
        self.top = weights.max().unwrap_or(0).saturating_sub(self.step - 1);
        self.cursor = None;
        if change == Change::Bind || self.level > self.top || self.level == 0 {
            self.level = self.top;
        } else if self.step > 1 {
            self.level = self.level / self.step * self.step + 1;
        }
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, _: &Arrival) -> Option<Place> {
        if self.top == 0 {
            return None;
        }
        let after = self.cursor.map_or(0, |cursor| cursor + 1);
        let chosen = if let Some(offset) = next(servers.rows().get(after..)?, self.level) {
            after + offset
        } else {
            self.descend(servers)?;
            next(servers.rows(), self.level)?
        };
        self.cursor = Some(chosen);
        Some(chosen)
    }
}

impl Wrr {
    /// The end of the list was reached: the next level that some usable server reaches.
    fn descend(&mut self, servers: &Servers) -> Option<()> {
        let weights = servers.usable().map(|(_, server)| server.weight);
        let Some(greatest) = weights.max() else {
            self.give_up();
            return None;
        };
        if self.level > self.step {
            self.level -= self.step;
        } else {
            self.level = self.top;
        }
        let above = self.level.saturating_sub(greatest);
        self.level -= above.div_ceil(self.step) * self.step;
        Some(())
    }

    /// Where the kernel's walk stands after it found every server overloaded: on the last level it
    /// wraps, descends once more and stops at the cursor; else it stops at the wrap.
    fn give_up(&mut self) {
        if self.cursor.is_some() && self.level <= self.step {
            self.level = (self.top - 1) % self.step + 1;
        } else {
            self.cursor = None;
            self.level = self.top;
        }
    }
}

#[inline]
fn next(rows: &[Server], level: u32) -> Option<usize> {
    rows.iter()
        .position(|server| server.weight >= level && is_usable(server))
}

#[cfg(test)]
mod tests {
    use super::Wrr;
    use crate::testing::check;

    #[test]
    fn added_one_by_one() {
        check::<Wrr>("+A:4 +B:3 +C:2 r20", "CBAABACBACBAABACBACB");
        check::<Wrr>("+C:2 +B:3 +A:4 r20", "ABCAABABCABCAABABCAB");
        check::<Wrr>("+A:1 +B:3 r12", "BABBBABBBABB");
        check::<Wrr>("+A:100 +B:50 r12", "BAABAABAABAA");
        check::<Wrr>("+A:10 +B:20 +C:30 r12", "CBACCBCBACCB");
        check::<Wrr>("+A:5 +B:1 +C:1 r14", "CBAAAAACBAAAAA");
        check::<Wrr>("+A:3 +B:2 r10", "BAABABAABA");
    }

    #[test]
    fn bound_to_a_list() {
        check::<Wrr>("+A:4 +B:3 +C:2 I r18", "ABACBACBAABACBACBA");
        check::<Wrr>("+C:2 +B:3 +A:4 I r18", "AABABCABCAABABCABC");
        check::<Wrr>("+A:10 +B:20 +C:30 I r12", "CCBCBACCBCBA");
        check::<Wrr>("+A:5 +B:1 +C:1 I r14", "AAAACBAAAAACBA");
    }

    #[test]
    fn changes_restart_the_rotation() {
        check::<Wrr>("+A:4 +B:3 +C:2 r4 =C:4 r14", "CBAA CACBACBACBACAC");
        check::<Wrr>("+A:4 +B:3 +C:2 r4 -A r10", "CBAA BCBCBBCBCB");
        check::<Wrr>("+A:4 +B:3 +C:2 oA r10", "CBBCBCBBCB");
        check::<Wrr>("+A:2 +B:1 r1 =B:1 r6", "B BAABAA");
        check::<Wrr>("+A:4 +B:3 oA oB r3 uA r4", "--- AAAA");
        check::<Wrr>("+A:2 +B:2 r3 =A:0 r4 =A:2 r8", "BAB BBBB BABABABA");
    }

    #[test]
    fn where_a_vain_walk_ends() {
        // At the wrap, from the head or from a higher level; at the cursor, from the last one.
        check::<Wrr>("+A:4 +B:3 oA oB r1 uA uB r2", "- AB");
        check::<Wrr>("+A:4 +B:3 I r2 oA oB r1 uA uB r1", "AB - A");
        check::<Wrr>("+A:4 +B:3 I r6 oA oB r1 uA uB r2", "ABABAB - AA");
    }

    #[test]
    fn great_weights_take_no_longer() {
        let scenario = "+A:2147483647 +B:1 +C:2147483646 oA oC I r3 oB r2 uB r1";
        check::<Wrr>(scenario, "BBB -- B");
    }
}
