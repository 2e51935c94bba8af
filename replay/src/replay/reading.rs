//! The trace as the runs take it in: read, marked, its clients multiplied; and what is noted of it
//! on the way.

use super::clients::Clients;
use super::services::Watch;
use crate::capture::CaptureError;
use crate::trace::{Event, Trace};

/// A trace being replayed.
pub(super) struct Reading {
    pub(super) trace: Trace,
    pub(super) watch: Watch,
    pub(super) clients: Clients,
    /// Captures that could not be read to their end.
    pub(super) errors: Vec<CaptureError>,
}

impl Reading {
    /// Replaces the content of `batch` by what happens next; false at the end.
    pub(super) fn next(&mut self, batch: &mut Vec<Event>) -> bool {
        let more = next_batch(&mut self.trace, batch, &mut self.errors);
        self.prepare(batch);
        more
    }

    /// The first that is taken of the trace; none where `goes_on` says so before.
    pub(super) fn first(
        &mut self,
        batch: &mut Vec<Event>,
        mut goes_on: impl FnMut(&Trace) -> bool,
    ) -> Option<bool> {
        loop {
            let more = self.next(batch);
            if !more || !batch.is_empty() {
                return Some(more);
            }
            if !goes_on(&self.trace) {
                return None;
            }
        }
    }

    /// Ends the trace before its end: the content of `batch` is replaced by what is held back.
    pub(super) fn break_off(&mut self, batch: &mut Vec<Event>) {
        self.trace.break_off(batch);
        self.prepare(batch);
    }

    fn prepare(&mut self, batch: &mut Vec<Event>) {
        // Only what was asked for first is of interest here.
        if let Some(requests) = self.trace.requests() {
            requests.finished(|_| {});
        }
        self.watch.mark(batch);
        self.clients.multiply(batch);
        self.trace
            .ended()
            .for_each(|ended| self.watch.count(&ended));
    }
}

/// False at the end. A capture that breaks ends there, and the others go on.
pub(super) fn next_batch(
    trace: &mut Trace,
    batch: &mut Vec<Event>,
    errors: &mut Vec<CaptureError>,
) -> bool {
    loop {
        match trace.next_batch(batch) {
            Ok(more) => return more,
            Err(error) => errors.push(error),
        }
    }
}
