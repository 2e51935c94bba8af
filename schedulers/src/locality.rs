//! What `lblc` and `lblcr` share: the table of remembered destination addresses, its periodic
//! collection, and the test that sends a destination elsewhere.
//!
//! Collection follows the kernel's minute timer, but is caught up lazily when a decision comes:
//! nothing reads the table in between.

use alloc::vec::Vec;

use equipoise_core::{Address, Server};

use crate::arithmetic::hash_32;
use crate::sdk::{Accepts, ParameterSpec, Servers, Setup};

/// How long an unused entry lives (`net.ipv4.vs.lblc_expiration` and `lblcr_expiration`). The
/// kernel keeps it as ticks in 31 bits, hence the limit.
pub(crate) const EXPIRATION: ParameterSpec = ParameterSpec {
    key: "expiration",
    accepts: Accepts::Number {
        min: 1,
        max: 8_589_934,
        default: 86_400,
    },
    doc: "seconds that an unused entry, or an unchanged set of servers, lives",
};

const TABLE_BITS: u32 = 10;
const SIZE: usize = 1 << TABLE_BITS;
const MAX_ENTRIES: usize = 16 * SIZE;
const REFUSE_AT: usize = MAX_ENTRIES * 3 / 2;
const SECOND_US: u64 = 1_000_000;
const PERIOD_US: u64 = 60 * SECOND_US;
const PARTIAL_AGE_US: u64 = 360 * SECOND_US;
/// Every so many periods all of the table is checked.
const PERIODS_PER_CHECK: u64 = 30;

/// What was remembered for each destination address.
#[derive(Debug)]
pub(crate) struct Locality<T> {
    buckets: Vec<Vec<Entry<T>>>,
    entries: usize,
    expiration_us: u64,
    next_period_us: u64,
    /// The kernel's counter, 1 to [`PERIODS_PER_CHECK`].
    period: u64,
    /// The bucket at which the next partial collection goes on.
    rover: usize,
}

#[derive(Debug)]
struct Entry<T> {
    address: Address,
    last_used_us: u64,
    value: T,
}

impl<T> Locality<T> {
    pub(crate) fn configure(setup: &Setup<'_>) -> Self {
        Self {
            buckets: (0..SIZE).map(|_| Vec::new()).collect(),
            entries: 0,
            expiration_us: u64::from(setup.number(&EXPIRATION)) * SECOND_US,
            next_period_us: setup.now_us.saturating_add(PERIOD_US),
            period: 1,
            rover: 0,
        }
    }

    /// After this time an unchanged set gives up a server.
    pub(crate) fn expiration_us(&self) -> u64 {
        self.expiration_us
    }

    /// What is remembered of an address, and counts as used now.
    pub(crate) fn recall(&mut self, address: Address, now_us: u64) -> Option<&mut T> {
        self.catch_up(now_us);
        let mut bucket = self.buckets[bucket(address)].iter_mut();
        let entry = bucket.find(|entry| entry.address == address)?;
        entry.last_used_us = now_us;
        Some(&mut entry.value)
    }

    /// Remembers an address anew, unless the table is full.
    pub(crate) fn remember(&mut self, address: Address, now_us: u64, value: T) {
        let bucket = &mut self.buckets[bucket(address)];
        let entry = Entry {
            address,
            last_used_us: now_us,
            value,
        };
        if let Some(old) = bucket.iter_mut().find(|entry| entry.address == address) {
            *old = entry;
        } else if self.entries < REFUSE_AT {
            bucket.push(entry);
            self.entries += 1;
        }
    }

    /// Runs the periods that are due.
    fn catch_up(&mut self, now_us: u64) {
        while self.next_period_us <= now_us {
            if self.entries == 0 {
                let due = (now_us - self.next_period_us) / PERIOD_US + 1;
                self.period = (self.period - 1 + due) % PERIODS_PER_CHECK + 1;
                self.next_period_us = self.next_period_us.saturating_add(due * PERIOD_US);
                return;
            }
            self.collect(self.next_period_us);
            let Some(next) = self.next_period_us.checked_add(PERIOD_US) else {
                return;
            };
            self.next_period_us = next;
        }
    }

    fn collect(&mut self, now_us: u64) {
        if self.period.is_multiple_of(PERIODS_PER_CHECK) {
            for bucket in 0..SIZE {
                self.forget(bucket, now_us, self.expiration_us);
            }
            self.period = 1;
        } else if self.entries <= MAX_ENTRIES {
            self.period += 1;
        } else {
            let goal = ((self.entries - MAX_ENTRIES) * 4 / 3).min(MAX_ENTRIES / 2);
            let enough = self.entries - goal;
            for _ in 0..SIZE {
                if self.entries <= enough {
                    break;
                }
                self.forget(self.rover, now_us, PARTIAL_AGE_US);
                self.rover = (self.rover + 1) % SIZE;
            }
        }
    }

    fn forget(&mut self, bucket: usize, now_us: u64, age_us: u64) {
        let bucket = &mut self.buckets[bucket];
        let before = bucket.len();
        bucket.retain(|entry| now_us.saturating_sub(entry.last_used_us) < age_us);
        self.entries -= before - bucket.len();
    }
}

fn bucket(address: Address) -> usize {
    hash_32(address.fold(), TABLE_BITS) as usize
}

/// Whether a remembered server has more active connections than weight while another one is less
/// than half as busy as its own weight allows.
pub(crate) fn is_crowded(server: &Server, servers: &Servers) -> bool {
    let idle = |other: &Server| u64::from(other.active) * 2 < u64::from(other.weight);
    server.active > server.weight && servers.rows().iter().any(idle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SERVICE;

    const MINUTE: u64 = PERIOD_US;

    fn table() -> Locality<u32> {
        Locality::configure(&Setup::of_defaults(&SERVICE))
    }

    fn address(n: usize) -> Address {
        Address::v4(n as u32)
    }

    #[test]
    fn unused_entries_go_at_the_first_full_check_after_their_expiration() {
        let mut table = table();
        table.remember(address(1), 0, 1);
        table.remember(address(2), MINUTE, 2);
        // Full checks come at minutes 30, 60, …; 86,400 s are 1,440 minutes.
        table.catch_up(1440 * MINUTE - 1);
        assert_eq!(table.entries, 2);
        table.catch_up(1440 * MINUTE);
        assert_eq!(table.entries, 1);
        table.catch_up(1470 * MINUTE - 1);
        assert_eq!(table.entries, 1);
        table.catch_up(1470 * MINUTE);
        assert_eq!((table.entries, table.period), (0, 1));
        table.catch_up(1471 * MINUTE);
        assert_eq!(table.period, 2);
        table.catch_up(u64::MAX);
    }

    #[test]
    fn use_keeps_an_entry() {
        let mut table = table();
        table.remember(address(1), 0, 7);
        assert_eq!(table.recall(address(1), 1439 * MINUTE).copied(), Some(7));
        assert_eq!(table.recall(address(1), 1441 * MINUTE).copied(), Some(7));
        assert_eq!(table.recall(address(2), 1441 * MINUTE), None);
    }

    #[test]
    fn a_crowded_table_is_thinned_and_then_refuses() {
        let mut table = table();
        for n in 0..REFUSE_AT + 5 {
            table.remember(address(n), 0, 0);
        }
        assert_eq!(table.entries, REFUSE_AT);
        table.catch_up(5 * MINUTE);
        assert_eq!(table.entries, REFUSE_AT, "nothing is 360 s old yet");
        table.catch_up(6 * MINUTE);
        // The goal is half of the limit, checked bucket by bucket of about 24.
        let removed = REFUSE_AT - table.entries;
        assert!(
            (MAX_ENTRIES / 2..MAX_ENTRIES / 2 + 48).contains(&removed),
            "{removed}"
        );
        assert_eq!(table.period, 1, "a partial collection does not count");
    }
}
