//! When a silent flow is forgotten.

use std::collections::{BTreeMap, VecDeque};

use equipoise_core::Timestamp;

use super::flow::{Flow, Phase};

/// Silence that ends a connection, in nanoseconds: a later packet of its 5-tuple begins another
/// one. A flow is forgotten then, or later while some director has an entry for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Closed by both ends or by a reset, or never answered: a SYN is repeated at most 64 s after
    /// the one before (Linux, `tcp_syn_retries` 6), and IPVS keeps what is closed for 120 s.
    pub over_ns: u64,
    /// Closed by one end as far as the capture shows: as long as IPVS knows an idle connection.
    pub closing_ns: u64,
    /// Open.
    pub open_ns: u64,
    /// UDP: IPVS's default timeout.
    pub udp_idle_ns: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            over_ns: 120 * Timestamp::SECOND,
            closing_ns: 900 * Timestamp::SECOND,
            open_ns: 86_400 * Timestamp::SECOND,
            udp_idle_ns: 300 * Timestamp::SECOND,
        }
    }
}

/// Until a flow that somebody wants is looked at again.
pub(super) const AGAIN_NS: u64 = 5 * Timestamp::SECOND;

impl Retention {
    /// Nothing is forgotten, and no silence ends a flow of datagrams.
    pub const FOR_EVER: Self = Self {
        over_ns: u64::MAX,
        closing_ns: u64::MAX,
        open_ns: u64::MAX,
        udp_idle_ns: u64::MAX,
    };

    /// When a flow that began at a time is looked at first: a moment after the earliest time at which
    /// it may be forgotten, since few are so short that it is that time; at a full second, for many to
    /// be looked at at a time.
    pub(super) fn first_check(&self, begin: u64) -> u64 {
        let shortest = begin.saturating_add(self.shortest());
        match shortest.checked_add(AGAIN_NS) {
            Some(check) => end_of(check / Timestamp::SECOND + 1),
            None => u64::MAX,
        }
    }

    pub(super) fn shortest(&self) -> u64 {
        let of_tcp = self.over_ns.min(self.closing_ns).min(self.open_ns);
        of_tcp.min(self.udp_idle_ns)
    }

    /// Whether a flow has been silent for so long that its connection is over.
    pub(super) fn is_over(&self, flow: &Flow, now: Timestamp) -> bool {
        now.0.saturating_sub(flow.last()) > self.silence(flow)
    }

    /// The time until which its connection is not over if it stays silent.
    pub(super) fn until(&self, flow: &Flow) -> u64 {
        let last = flow.last().saturating_add(self.silence(flow));
        last.saturating_add(1)
    }

    fn silence(&self, flow: &Flow) -> u64 {
        match flow.phase() {
            Phase::Over => self.over_ns,
            Phase::Closing => self.closing_ns,
            Phase::Open => self.open_ns,
            Phase::Datagrams => self.udp_idle_ns,
        }
    }
}

/// Flows in the order in which they are looked at: each is in it once.
pub(super) struct Checks {
    /// Those that were not looked at yet, in the order in which they began.
    fresh: VecDeque<u32>,
    /// When the first of them is due.
    fresh_due: u64,
    /// Those to be looked at again, by the second after that time.
    again: BTreeMap<u64, Vec<u32>>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            fresh: VecDeque::new(),
            fresh_due: u64::MAX,
            again: BTreeMap::new(),
        }
    }
}

impl Checks {
    /// Adds a flow that begins, to be looked at from `at` on.
    #[inline]
    pub(super) fn add(&mut self, at: u64, flow: u32) {
        if self.fresh.is_empty() {
            self.fresh_due = at;
        }
        self.fresh.push_back(flow);
    }

    /// Adds a flow to be looked at again after a time.
    pub(super) fn add_again(&mut self, at: u64, flow: u32) {
        if at < u64::MAX {
            let second = at / Timestamp::SECOND + 1;
            self.again.entry(second).or_default().push(flow);
        }
    }

    /// When the first is due.
    #[inline]
    pub(super) fn due(&self) -> u64 {
        let again = self.again.first_key_value();
        again.map_or(self.fresh_due, |(&second, _)| {
            self.fresh_due.min(end_of(second))
        })
    }

    /// The next flow that is due. `first_check` gives the time for one that began and was not looked
    /// at yet; it is asked ahead of that, so that the flow is at hand by then.
    pub(super) fn next_due(
        &mut self,
        now: Timestamp,
        first_check: impl Fn(u32) -> u64,
    ) -> Option<u32> {
        if self.fresh_due <= now.0 {
            let flow = self.fresh.pop_front();
            let next = self.fresh.front();
            self.fresh_due = next.map_or(u64::MAX, |&next| first_check(next));
            if flow.is_some() {
                return flow;
            }
        }
        while let Some(mut first) = self.again.first_entry() {
            if end_of(*first.key()) > now.0 {
                return None;
            }
            if let Some(flow) = first.get_mut().pop() {
                return Some(flow);
            }
            first.remove();
        }
        None
    }
}

const fn end_of(second: u64) -> u64 {
    second.saturating_mul(Timestamp::SECOND)
}
