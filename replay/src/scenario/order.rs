//! The order in which events happen, as far as it is known before the replay.

use equipoise_core::Timestamp;

use super::When;
use crate::transform::Bound;

/// How far the events are followed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    /// The latest of each kind: times are no durations before the first packet is known, and
    /// neither are numbers of connections.
    time: Option<Timestamp>,
    duration: Option<u64>,
    connections: Option<u64>,
    /// The latest event's time, where it has one.
    now: Option<Bound>,
    /// Events so far whose time is not known: all behind them may be later than they say.
    unknown: u64,
}

/// When a server is removed that is there until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaves {
    at: Option<Bound>,
    /// As of its cause.
    unknown: u64,
}

impl Order {
    /// Goes on to an event; whether it may stand behind those before it.
    pub(super) fn follows(&mut self, when: When) -> bool {
        self.now = None;
        match when {
            When::At(bound) => {
                self.now = Some(bound);
                match bound {
                    Bound::At(time) => self.time.replace(time).is_none_or(|last| last <= time),
                    Bound::After(ns) => self.duration.replace(ns).is_none_or(|last| last <= ns),
                }
            }
            When::After(connections) => {
                self.unknown += 1;
                let last = self.connections.replace(connections);
                last.is_none_or(|last| last <= connections)
            }
        }
    }

    /// So long after the latest event.
    pub(super) fn in_time(&self, ns: u64) -> Leaves {
        let at = self.now.map(|now| match now {
            Bound::At(Timestamp(at)) => Bound::At(Timestamp(at.saturating_add(ns))),
            Bound::After(after) => Bound::After(after.saturating_add(ns)),
        });
        Leaves {
            at,
            unknown: self.unknown,
        }
    }

    /// Whether the latest event certainly comes before a removal.
    pub(super) fn is_before(&self, leaves: Leaves) -> bool {
        // With none of unknown time in between, both are late alike.
        self.unknown == leaves.unknown
            && match (self.now, leaves.at) {
                (Some(Bound::At(now)), Some(Bound::At(end))) => now < end,
                (Some(Bound::After(now)), Some(Bound::After(end))) => now < end,
                _ => false,
            }
    }
}
