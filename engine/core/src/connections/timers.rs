//! The timers of entries: a wheel of buckets of about a second, and the open bucket in exact order.
//!
//! A timer is only a promise to look at its entry, at or before the entry's deadline: where the
//! deadline has moved on by then, or lies further ahead than the wheel reaches, the timer is put
//! back. So a packet that prolongs a connection's life does nothing here.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::Slot;
use super::entry::{Entry, NOT_QUEUED};
use super::slab::Slab;
use crate::Timestamp;

/// A bucket is 2 to this many nanoseconds: 1.07 s.
const BUCKET_BITS: u32 = 30;
/// Buckets of the wheel, 18 minutes in all.
const BUCKETS: u32 = 1 << 10;
/// Timers of entries that are gone or have an earlier timer are swept out where there are this
/// many, and more than half as many as entries.
const SWEPT_FROM: usize = 1 << 10;

pub(super) struct Timers {
    /// The bucket that is open: timers of it, and of any time before it, are in `due`.
    open: u32,
    /// By deadline, then age.
    due: BinaryHeap<Reverse<(Timestamp, u64, Slot)>>,
    /// The buckets after the open one, by their numbers modulo [`BUCKETS`]; empty before first use.
    wheel: Vec<Vec<Slot>>,
    /// How many timers the wheel holds.
    waiting: usize,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            open: 0,
            due: BinaryHeap::new(),
            wheel: Vec::new(),
            waiting: 0,
        }
    }
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
        let last = self.open.saturating_add(BUCKETS - 1);
        let bucket = bucket_of(entry.deadline).clamp(self.open, last);
        if bucket == self.open {
            entry.queued = bucket;
            self.due.push(Reverse((entry.deadline, entry.serial, slot)));
        } else if bucket < entry.queued {
            entry.queued = bucket;
            self.put(bucket, slot);
            let entries = slab.len();
            if self.waiting > entries + entries / 2 + SWEPT_FROM {
                self.sweep(slab);
            }
        }
    }

    fn put(&mut self, bucket: u32, slot: Slot) {
        if self.wheel.is_empty() {
            self.wheel.resize_with(BUCKETS as usize, Vec::new);
        }
        self.wheel[(bucket % BUCKETS) as usize].push(slot);
        self.waiting += 1;
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
            while let Some(&Reverse((at, serial, slot))) = self.due.peek() {
                if at > now {
                    return None;
                }
                self.due.pop();
                // One that is queued elsewhere was here twice.
                let entry = slab
                    .get_mut(slot)
                    .filter(|entry| entry.serial == serial && entry.queued == self.open);
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
    fn open_next(&mut self, slab: &mut Slab, last: u32) -> bool {
        while self.open < last {
            if self.waiting == 0 {
                self.open = last;
                return false;
            }
            self.open += 1;
            let bucket = core::mem::take(&mut self.wheel[(self.open % BUCKETS) as usize]);
            self.waiting -= bucket.len();
            for slot in bucket {
                if let Some(entry) = slab.get_mut(slot)
                    && entry.queued == self.open
                {
                    entry.queued = NOT_QUEUED;
                    self.queue(slab, slot);
                }
            }
            if !self.due.is_empty() {
                return true;
            }
        }
        false
    }

    /// Takes out timers that their entries do not wait for.
    fn sweep(&mut self, slab: &Slab) {
        self.waiting = 0;
        for ahead in 1..BUCKETS {
            let number = self.open.saturating_add(ahead);
            let bucket = &mut self.wheel[(number % BUCKETS) as usize];
            bucket.retain(|&slot| slab.get(slot).is_some_and(|entry| entry.queued == number));
            bucket.sort_unstable();
            bucket.dedup();
            bucket.shrink_to_fit();
            self.waiting += bucket.len();
        }
    }
}

/// Times beyond the year 2116 of Unix's epoch share one bucket.
const fn bucket_of(at: Timestamp) -> u32 {
    const LAST: u64 = (NOT_QUEUED - 1) as u64;
    let bucket = at.0 >> BUCKET_BITS;
    if bucket < LAST {
        bucket as u32
    } else {
        LAST as u32
    }
}
