//! Several captures as one trace in time order.
//!
//! Owns merging, the trace's clock, which never goes back, and what is counted on the way. Bytes
//! are decoded as they are read and never kept, so memory is a buffer per capture and the tracker.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use equipoise_core::{Packet, Timestamp};

use crate::capture::{Capture, CaptureError, Source, Warning};
use crate::decode::{Decoded, Skipped, decode};
use crate::track::{Observed, Tracker};

/// Packets in a batch at most.
pub const BATCH: usize = 4_096;

/// A packet in its place in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TracePacket {
    /// Its capture, from 0 in the order given.
    pub capture: u32,
    /// Its place in that capture, from 1, skipped frames counted.
    pub number: u64,
    /// When, by the trace's clock.
    pub time: Timestamp,
    /// When, as the capture has it; none where it does not say.
    pub raw_time_ns: Option<u64>,
    /// What the engine needs.
    pub packet: Packet,
    /// What the tracker said.
    pub observed: Observed,
    /// TCP or UDP payload in bytes.
    pub payload_length: u32,
}

/// What was counted while reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames read, skipped ones included.
    pub frames: u64,
    /// Frames passed over, by reason.
    pub skipped: BTreeMap<Skipped, u64>,
    /// Frames with an earlier time than their predecessor in the capture.
    pub clock_steps_back: u64,
    /// Frames to which the capture gives no time.
    pub without_time: u64,
}

/// What was counted of one capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureFacts {
    /// Frames read, skipped ones included.
    pub packets: u64,
    /// Bytes that these frames had on the wire.
    pub bytes: u64,
    /// The earliest time.
    pub first_ns: Option<u64>,
    /// The latest time.
    pub last_ns: Option<u64>,
    /// Link types by `LINKTYPE_` number, in order of appearance.
    pub link_types: Vec<u16>,
}

/// One capture of the trace.
#[derive(Clone, Copy, Debug)]
pub struct CaptureView<'a> {
    /// Its name as given.
    pub name: &'a str,
    /// What was counted so far.
    pub facts: &'a CaptureFacts,
    /// What is wrong with it.
    pub warning: Option<&'a Warning>,
}

/// A trace being read.
pub struct Trace {
    readers: Vec<Reader>,
    /// The next packet of each capture that has one, the earliest on top; of equals the capture
    /// given first.
    heads: BinaryHeap<Reverse<(Timestamp, u32)>>,
    tracker: Tracker,
    totals: Totals,
    errors: Vec<CaptureError>,
}

struct Reader {
    capture: Capture,
    /// The time of the latest frame that had one, to lend to those without.
    last_ns: u64,
    /// The latest time of a packet, which later ones do not fall behind.
    clock: Timestamp,
    head: Option<Head>,
    facts: CaptureFacts,
}

struct Head {
    number: u64,
    raw_time_ns: Option<u64>,
    decoded: Decoded,
}

impl Trace {
    /// Opens all captures.
    pub fn open(sources: &[Source]) -> Result<Self, CaptureError> {
        Self::with_tracker(sources, Tracker::default())
    }

    /// Opens all captures, with a tracker that may have settings of its own.
    pub fn with_tracker(sources: &[Source], tracker: Tracker) -> Result<Self, CaptureError> {
        let mut trace = Self {
            readers: Vec::new(),
            heads: BinaryHeap::new(),
            tracker,
            totals: Totals::default(),
            errors: Vec::new(),
        };
        for source in sources {
            trace.readers.push(Reader {
                capture: source.open()?,
                last_ns: 0,
                clock: Timestamp::default(),
                head: None,
                facts: CaptureFacts::default(),
            });
        }
        for index in 0..trace.readers.len() {
            trace.advance(index);
        }
        Ok(trace)
    }

    /// Replaces the content of `batch` by the next packets, at most [`BATCH`]; false at the end.
    ///
    /// A capture that cannot be read to its end ends where it breaks, and the others go on: its
    /// error comes in place of the end, one error a call where there are several.
    pub fn next_batch(&mut self, batch: &mut Vec<TracePacket>) -> Result<bool, CaptureError> {
        batch.clear();
        while batch.len() < BATCH {
            let Some(Reverse((time, capture))) = self.heads.pop() else {
                break;
            };
            if let Some(head) = self.readers[capture as usize].head.take() {
                batch.push(TracePacket {
                    capture,
                    number: head.number,
                    time,
                    raw_time_ns: head.raw_time_ns,
                    packet: head.decoded.packet,
                    observed: self.tracker.track(time, &head.decoded),
                    payload_length: head.decoded.payload_length,
                });
            }
            self.advance(capture as usize);
        }
        if batch.is_empty() && !self.errors.is_empty() {
            return Err(self.errors.remove(0));
        }
        Ok(!batch.is_empty())
    }

    /// What was counted so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What was observed so far.
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// The captures, in the order given.
    pub fn captures(&self) -> impl Iterator<Item = CaptureView<'_>> {
        self.readers.iter().map(|reader| CaptureView {
            name: reader.capture.name(),
            facts: &reader.facts,
            warning: reader.capture.warning(),
        })
    }

    /// Warnings so far, in the order of the captures.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.readers
            .iter()
            .filter_map(|reader| reader.capture.warning())
    }

    /// Reads one capture on to its next packet and queues that.
    fn advance(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        loop {
            let frame = match reader.capture.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => return self.errors.push(error),
            };
            self.totals.frames += 1;
            reader.facts.packets += 1;
            reader.facts.bytes += u64::from(frame.original_length);
            if !reader.facts.link_types.contains(&frame.link_type) {
                reader.facts.link_types.push(frame.link_type);
            }
            match frame.time_ns {
                Some(time) => {
                    let facts = &mut reader.facts;
                    facts.first_ns = Some(facts.first_ns.map_or(time, |first| first.min(time)));
                    facts.last_ns = Some(facts.last_ns.map_or(time, |last| last.max(time)));
                    self.totals.clock_steps_back += u64::from(time < reader.last_ns);
                    reader.last_ns = time;
                }
                None => self.totals.without_time += 1,
            }
            match decode(frame.link_type, frame.bytes, frame.original_length) {
                Ok(decoded) => {
                    // Clamped per capture, the merged sequence cannot go back either.
                    reader.clock = reader.clock.max(Timestamp(reader.last_ns));
                    reader.head = Some(Head {
                        number: frame.number,
                        raw_time_ns: frame.time_ns,
                        decoded,
                    });
                    self.heads.push(Reverse((reader.clock, index as u32)));
                    return;
                }
                Err(skipped) => *self.totals.skipped.entry(skipped).or_default() += 1,
            }
        }
    }
}
