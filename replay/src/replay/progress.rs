//! How far a replay has come, for whoever waits for it.

use std::ops::ControlFlow;

use crate::trace::Trace;

/// What a replay is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the captures for the service with the most connections.
    Survey,
    /// Reading them for the runs.
    Replay,
    /// Reading them for a table.
    Extract,
    /// Reading them for what is in them.
    Inspection,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is at.
    pub phase: Phase,
    /// Bytes of the capture files that were read, packed ones as they lie on the disk.
    pub bytes_read: u64,
    /// Bytes that they have in all.
    pub bytes_total: u64,
    /// Frames read.
    pub packets: u64,
    /// Nanoseconds of traffic since the first packet, by the captures' clock.
    pub traffic_ns: u64,
}

/// Hears of progress, after each batch, and may end the replay: what was computed by then is
/// reported as partial. It is called from any thread, from one at a time.
pub trait Watcher: Send {
    /// Goes on or breaks off.
    fn watch(&mut self, progress: &Progress) -> ControlFlow<()>;
}

/// Lets it run.
impl Watcher for () {
    fn watch(&mut self, _: &Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Progress {
    pub(crate) fn of(trace: &Trace, phase: Phase) -> Self {
        let (bytes_read, bytes_total) = trace.bytes();
        Self {
            phase,
            bytes_read,
            bytes_total,
            packets: trace.totals().frames,
            traffic_ns: trace.traffic_ns(),
        }
    }
}
