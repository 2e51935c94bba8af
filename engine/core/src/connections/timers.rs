//! The timers of entries: a wheel of buckets, and the bucket that is open in exact order.
//!
//! A timer is only a promise to look at its entry, at or before the entry's deadline: where the
//! deadline has moved on by then, or lies further ahead than the wheel reaches, the timer is put
//! back. So a packet that prolongs a connection's life does nothing here.

use alloc::vec::Vec;

use super::Slot;
use super::entry::{Entry, NOT_QUEUED};
use super::slab::Slab;
use crate::Timestamp;

/// A bucket is 2 to this many nanoseconds: 0.13 s.
const BUCKET_BITS: u32 = 27;
/// Buckets of the wheel: 18 minutes in all, so that the longest of the kernel's timeouts fits.
const BUCKETS: u32 = 1 << 13;
/// Room for so many timers is left to a bucket that was opened.
const KEPT_CAPACITY: usize = 1 << 8;
/// Timers whose entries are gone or have an earlier one are swept out where they are so many, and
/// more than half as many as entries.
const SWEPT_FROM: usize = 1 << 10;

#[derive(Default)]
pub(super) struct Timers {
    /// Number of the open bucket: its timers, and any of times before it, are in `due`.
    open: u64,
    /// By deadline and then age, the next one last.
    due: Vec<(Timestamp, u64, Slot)>,
    /// The buckets after the open one, at their numbers modulo [`BUCKETS`]; empty before first use.
    wheel: Vec<Vec<Slot>>,
    /// How many timers the wheel holds.
    waiting: usize,
}

impl Entry {
    /// Moves the deadline. Whether that is all: a later one waits for the timer that is there.
    #[inline]
    pub(crate) fn postpone(&mut self, deadline: Timestamp) -> bool {
        let waits = deadline >= self.deadline && self.queued != NOT_QUEUED;
        self.deadline = deadline;
        waits
    }
}

impl Timers {
    /// A timer for an entry whose deadline came to be earlier, or that has none.
    pub(super) fn queue(&mut self, slab: &mut Slab, slot: Slot) {
        let Some(entry) = slab.get_mut(slot) else {
            return;
        };
        let ahead = self.ahead_of(entry.deadline);
        if ahead == 0 {
            entry.queued = self.place(0);
            let timer = (entry.deadline, entry.serial, slot);
            let later = self.due.partition_point(|&other| other > timer);
            self.due.insert(later, timer);
        } else if entry.queued == NOT_QUEUED || ahead < self.ahead_of_place(entry.queued) {
            entry.queued = self.place(ahead);
            self.put(entry.queued, slot);
            let entries = slab.len();
            if self.waiting > entries + entries / 2 + SWEPT_FROM {
                self.sweep(slab);
            }
        }
    }

    fn put(&mut self, place: u32, slot: Slot) {
        if self.wheel.is_empty() {
            self.wheel.resize_with(BUCKETS as usize, Vec::new);
        }
        let bucket = &mut self.wheel[place as usize];
        if bucket.len() == bucket.capacity() {
            // By a quarter, not by twice: half of a million timers would be air.
            bucket.reserve_exact(bucket.len() / 4 + 4);
        }
        bucket.push(slot);
        self.waiting += 1;
    }

    /// False where [`Timers::next_due`] has nothing to give and no bucket to open.
    #[inline]
    pub(super) fn may_have_due(&self, now: Timestamp) -> bool {
        bucket_of(now) > self.open || self.due.last().is_some_and(|&(at, ..)| at <= now)
    }

    /// The next entry whose deadline is at or before `now`, by deadline and then age; it has no
    /// timer any more.
    #[inline]
    pub(super) fn next_due(
        &mut self,
        slab: &mut Slab,
        now: Timestamp,
    ) -> Option<(Slot, Timestamp)> {
        loop {
            while let Some(&(at, serial, slot)) = self.due.last() {
                if at > now {
                    return None;
                }
                self.due.pop();
                // One that is queued elsewhere was here twice.
                let place = self.place(0);
                let entry = slab
                    .get_mut(slot)
                    .filter(|entry| entry.serial == serial && entry.queued == place);
                let Some(entry) = entry else { continue };
                entry.queued = NOT_QUEUED;
                if entry.deadline <= at {
                    return Some((slot, entry.deadline));
                }
                self.queue(slab, slot);
            }
            if bucket_of(now) <= self.open || !self.open_next(slab, bucket_of(now)) {
                return None;
            }
        }
    }

    /// Opens buckets up to number `last`, until one has timers that may be due.
    fn open_next(&mut self, slab: &mut Slab, last: u64) -> bool {
        while self.open < last {
            if self.waiting == 0 {
                self.open = last;
                return false;
            }
            self.open += 1;
            let place = self.place(0);
            let mut bucket = core::mem::take(&mut self.wheel[place as usize]);
            self.waiting -= bucket.len();
            for slot in bucket.drain(..) {
                let Some(entry) = slab.get_mut(slot).filter(|entry| entry.queued == place) else {
                    continue;
                };
                let ahead = self.ahead_of(entry.deadline);
                if ahead == 0 {
                    self.due.push((entry.deadline, entry.serial, slot));
                } else {
                    entry.queued = self.place(ahead);
                    self.put(entry.queued, slot);
                }
            }
            if bucket.capacity() <= KEPT_CAPACITY {
                // Nothing was put into it meanwhile: no timer is a whole turn of the wheel ahead.
                self.wheel[place as usize] = bucket;
            }
            if !self.due.is_empty() {
                self.due.sort_unstable_by(|one, other| other.cmp(one));
                return true;
            }
        }
        false
    }

    /// Takes out timers that their entries do not wait for.
    fn sweep(&mut self, slab: &Slab) {
        self.waiting = 0;
        for (place, bucket) in (0..).zip(&mut self.wheel) {
            bucket.retain(|&slot| slab.get(slot).is_some_and(|entry| entry.queued == place));
            bucket.sort_unstable();
            bucket.dedup();
            bucket.shrink_to_fit();
            self.waiting += bucket.len();
        }
    }

    /// How many buckets after the open one a deadline falls due, as far as the wheel reaches.
    fn ahead_of(&self, deadline: Timestamp) -> u32 {
        let ahead = bucket_of(deadline).saturating_sub(self.open);
        ahead.min(u64::from(BUCKETS - 1)) as u32
    }

    const fn ahead_of_place(&self, place: u32) -> u32 {
        place.wrapping_sub(self.open as u32) % BUCKETS
    }

    /// Where the wheel has the bucket so many after the open one.
    const fn place(&self, ahead: u32) -> u32 {
        (self.open as u32).wrapping_add(ahead) % BUCKETS
    }
}

const fn bucket_of(at: Timestamp) -> u64 {
    at.0 >> BUCKET_BITS
}

#[cfg(test)]
mod tests {
    extern crate std;

    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::{Binding, Connections, EntryKind, Key, NO_SLOT, NewEntry};
    use super::*;
    use crate::Address;
    use crate::tcp::State;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// A new entry with so many nanoseconds to live.
        Insert(u64),
        /// One of the entries gets another deadline, earlier or later than it has.
        Restart(usize, u64),
        ExpireNow(usize),
        Remove(usize),
        /// Time passes; entries that fall due go, or live so much longer where it is above 0.
        Pass(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        // Within a bucket, within the wheel, beyond it, beyond everything.
        let ns = || {
            prop_oneof![
                2 => 0..3u64,
                4 => 0..1_000_000_000u64,
                8 => 0..1_000_000_000_000u64,
                2 => 0..9_000_000_000_000u64,
                1 => Just(u64::MAX),
            ]
        };
        let gap = prop_oneof![8 => 0..200_000_000_000u64, 1 => 0..20_000_000_000_000u64];
        let again = prop_oneof![4 => Just(0), 1 => 1..100_000_000_000u64];
        prop_oneof![
            6 => ns().prop_map(Step::Insert),
            4 => (any::<usize>(), ns()).prop_map(|(which, ns)| Step::Restart(which, ns)),
            1 => any::<usize>().prop_map(Step::ExpireNow),
            1 => any::<usize>().prop_map(Step::Remove),
            3 => (gap, again).prop_map(|(gap, again)| Step::Pass(gap, again)),
        ]
    }

    fn insert(connections: &mut Connections, number: u128) -> Slot {
        let key = Key {
            client: Address(number),
            destination: Address(0),
            client_port: 0,
            destination_port: 0,
            protocol: None,
        };
        let new = NewEntry {
            key,
            service: 0,
            binding: Binding::Server(0),
            kind: EntryKind::Connection,
            state: State::None,
            input_only: false,
            template: NO_SLOT,
        };
        connections.insert(&new, None)
    }

    proptest! {
        #[test]
        fn entries_fall_due_by_deadline_and_then_age(
            start in prop_oneof![Just(0), Just(1_700_000_000_000_000_000), Just(u64::MAX / 2)],
            steps in proptest::collection::vec(step(), 1..400),
        ) {
            let mut connections = Connections::default();
            let mut now = start;
            prop_assert_eq!(connections.next_due(Timestamp(now)), None);
            // Deadline, age, slot.
            let mut model = BTreeSet::new();
            for (age, step) in (0_u64..).zip(steps) {
                let nth = |model: &BTreeSet<(u64, u64, Slot)>, which: usize| {
                    model.iter().nth(which % model.len().max(1)).copied()
                };
                match step {
                    Step::Insert(ns) => {
                        let slot = insert(&mut connections, u128::from(age));
                        let deadline = now.saturating_add(ns);
                        connections.restart(slot, Timestamp(deadline));
                        model.insert((deadline, age, slot));
                    }
                    Step::Restart(which, ns) => {
                        if let Some(old) = nth(&model, which) {
                            let deadline = now.saturating_add(ns);
                            connections.restart(old.2, Timestamp(deadline));
                            model.remove(&old);
                            model.insert((deadline, old.1, old.2));
                        }
                    }
                    Step::ExpireNow(which) => {
                        if let Some(old) = nth(&model, which) {
                            connections.expire_now(old.2, Timestamp(now));
                            model.remove(&old);
                            model.insert((now, old.1, old.2));
                        }
                    }
                    Step::Remove(which) => {
                        if let Some(old) = nth(&model, which) {
                            prop_assert!(connections.remove(old.2).is_some());
                            model.remove(&old);
                        }
                    }
                    Step::Pass(gap, again) => {
                        now = now.saturating_add(gap);
                        let mut prolonged = 0;
                        while let Some((slot, due)) = connections.next_due(Timestamp(now)) {
                            let first = model.pop_first();
                            prop_assert_eq!(first.map(|(at, _, slot)| (slot, at)), Some((slot, due.0)));
                            let Some((at, age, slot)) = first else { break };
                            if again > 0 && prolonged < 20 {
                                prolonged += 1;
                                connections.restart(slot, Timestamp(at.saturating_add(again)));
                                model.insert((at.saturating_add(again), age, slot));
                            } else {
                                connections.remove(slot);
                            }
                        }
                        let first = model.first().copied();
                        prop_assert!(first.is_none_or(|(at, ..)| at > now), "{first:?} at {now}");
                    }
                }
                prop_assert_eq!(connections.len(), model.len());
            }
        }
    }

    #[test]
    fn timers_that_nobody_waits_for_are_swept_out() {
        let mut connections = Connections::default();
        let slot = insert(&mut connections, 0);
        let second = |s: u64| Timestamp(s * Timestamp::SECOND);
        for number in 1..100_000 {
            // A connection that ends well before its first timer.
            let short = insert(&mut connections, number);
            connections.restart(short, second(900));
            connections.restart(short, second(10));
            connections.remove(short);
        }
        connections.restart(slot, second(5));
        assert!(
            connections.timers.waiting <= 2 * SWEPT_FROM,
            "{}",
            connections.timers.waiting
        );
        assert_eq!(connections.next_due(second(900)), Some((slot, second(5))));
        connections.remove(slot);
        assert_eq!(connections.next_due(second(900)), None);
    }
}
