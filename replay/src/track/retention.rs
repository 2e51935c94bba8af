//! When a silent flow is forgotten.

use std::collections::BTreeMap;

use equipoise_core::Timestamp;

use super::flow::{Flow, Phase};

/// Silence after which a flow is forgotten, in nanoseconds. A later packet of its 5-tuple begins
/// another connection.
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

    /// When a flow that begins now is looked at first.
    pub(super) fn first_check(&self, now: Timestamp) -> u64 {
        now.0
            .saturating_add(self.over_ns.min(self.udp_idle_ns))
            .saturating_add(1)
    }

    /// The time until which a flow is kept if it stays silent.
    pub(super) fn until(&self, flow: &Flow) -> u64 {
        let silence = match flow.phase() {
            Phase::Over => self.over_ns,
            Phase::Closing => self.closing_ns,
            Phase::Open => self.open_ns,
            Phase::Datagrams => self.udp_idle_ns,
        };
        flow.last().saturating_add(silence).saturating_add(1)
    }
}

/// Flows by the second in which they are looked at next: each is in it once.
#[derive(Default)]
pub(super) struct Checks {
    seconds: BTreeMap<u64, Vec<u32>>,
    /// The end of the first second.
    next: Option<u64>,
}

impl Checks {
    pub(super) fn add(&mut self, at: u64, flow: u32) {
        if at == u64::MAX {
            return;
        }
        let second = at / Timestamp::SECOND + 1;
        self.seconds.entry(second).or_default().push(flow);
        let at = second.saturating_mul(Timestamp::SECOND);
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    #[inline]
    pub(super) fn are_due(&self, now: Timestamp) -> bool {
        self.next.is_some_and(|next| next <= now.0)
    }

    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<u32> {
        while let Some(mut first) = self.seconds.first_entry() {
            let at = first.key().saturating_mul(Timestamp::SECOND);
            if at > now.0 {
                self.next = Some(at);
                return None;
            }
            if let Some(flow) = first.get_mut().pop() {
                return Some(flow);
            }
            first.remove();
        }
        self.next = None;
        None
    }
}
