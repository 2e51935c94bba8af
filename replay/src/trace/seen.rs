//! Packets as they are written down.

use equipoise_core::{FlowId, Timestamp};

use super::reader::Head;
use crate::decode::Decoded;
use crate::track::{Observed, Tracker};

/// A packet with all that was decoded of it, for whoever writes the trace down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) capture: u32,
    pub(crate) number: u64,
    pub(crate) time: Timestamp,
    pub(crate) raw_time_ns: Option<u64>,
    pub(crate) decoded: Decoded,
    pub(crate) flow: FlowId,
    pub(crate) connection: u64,
    /// It is its connection's first response.
    pub(crate) is_response: bool,
}

impl Seen {
    /// None for a packet that was not tracked.
    pub(super) fn of(
        tracker: &Tracker,
        observed: Option<Observed>,
        (time, capture): (Timestamp, u32),
        head: &Head,
    ) -> Option<Self> {
        let (flow, connection) = match observed {
            Some(observed) => (observed.flow, observed.connection),
            None => tracker.carrier()?,
        };
        Some(Self {
            capture,
            number: head.number,
            time,
            raw_time_ns: head.raw_time_ns,
            decoded: head.decoded,
            flow,
            connection,
            is_response: observed.is_some_and(|observed| observed.first_response_ns.is_some()),
        })
    }
}
