//! Several captures as one trace in time order.
//!
//! Owns merging, the trace's clock, which never goes back, and what is counted on the way. Frames
//! are decoded as they are read and never kept; a capture is open only while the trace is in it.
//! So memory is a buffer per capture that overlaps, and the tracker.

mod reader;
mod seams;
mod seen;
mod table;
mod take;

pub use reader::CaptureFacts;
pub use seams::Seam;
pub(crate) use seen::Seen;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use equipoise_core::{FlowId, Packet, Timestamp};

use crate::capture::{CaptureError, Source, Warning};
use crate::decode::{Decoder, Skipped};
use crate::request::{Content, Requests};
use crate::track::{Connection, Inferred, Observed, Told, Tracker};
use crate::transform::{Selection, Selector};
use reader::Reader;
use table::Table;
use take::{Leave, Taker, is_taken, track};

/// Events in a batch at most, but for what is told at its end.
pub const BATCH: usize = 2_048;
/// Seams that are told of one by one; `inspect` shows when each capture begins and ends.
const MOST_SEAMS: usize = 10;
/// Packets that are read for one batch at most, where most are held back.
const MOST_READ: usize = 16 * BATCH;

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

/// What a connection's client asked for first is known, or that it cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The capture of the packet that told, from 0 in the order given.
    pub capture: u32,
    /// Its place in that capture, from 1.
    pub number: u64,
    /// When it came, by the trace's clock.
    pub time: Timestamp,
    /// When, as the capture has it; none where it does not say.
    pub raw_time_ns: Option<u64>,
    /// The flow.
    pub flow: FlowId,
    /// The connection.
    pub connection: u64,
    /// None where it is no request, or cannot be read.
    pub content: Option<Arc<Content>>,
}

impl Asked {
    /// A packet that is no request.
    pub(crate) fn nothing(packet: &TracePacket) -> Self {
        Self {
            capture: packet.capture,
            number: packet.number,
            time: packet.time,
            raw_time_ns: packet.raw_time_ns,
            flow: packet.observed.flow,
            connection: packet.observed.connection,
            content: None,
        }
    }
}

/// What happens next in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A packet.
    Packet(TracePacket),
    /// Packets that were held back, told of no later than anybody may need to know.
    Told(Told),
    /// What a client asks for: behind the packet that told, where [`Requests::with_firsts`] wants it.
    Asked(Asked),
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
    /// Packets with an earlier time than one before them in the capture, at whose they were taken.
    pub retimed: u64,
    /// How much later than they say, at most.
    pub retimed_most_ns: u64,
    /// Frames to which the capture gives no time.
    pub without_time: u64,
}

impl Totals {
    /// Counts a packet that was taken so much later than it says.
    #[cold]
    fn retimed(&mut self, later_ns: u64) {
        self.retimed += 1;
        self.retimed_most_ns = self.retimed_most_ns.max(later_ns);
    }
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
    /// By the time of their first frame, and of equals in the order given. Wherever a capture has a
    /// number within, it is its place here.
    readers: Vec<Reader>,
    /// The place of each in the order given.
    given: Vec<u32>,
    /// Captures still to be opened, by the time of their first frame, the earliest last.
    pending: Vec<(Timestamp, u32)>,
    /// The next packet of each open capture, the earliest on top; of equals that of the capture
    /// that begins first.
    heads: BinaryHeap<Reverse<(Timestamp, u32)>>,
    /// In place of captures, where one was made of them.
    table: Option<Table>,
    /// What was read of the batch, where somebody wants it.
    seen: Option<Vec<Seen>>,
    /// What reads packets' content, where somebody wants it.
    requests: Option<Box<Requests>>,
    decoder: Decoder,
    /// Where not everything is taken.
    selector: Option<Selector>,
    tracker: Tracker,
    totals: Totals,
    errors: Vec<CaptureError>,
    now: Timestamp,
    is_told: bool,
}

impl Trace {
    /// Opens all captures, with a decoder and a tracker that may have settings of their own.
    pub fn open(
        sources: &[Source],
        decoder: Decoder,
        tracker: Tracker,
    ) -> Result<Self, CaptureError> {
        let mut trace = Self {
            readers: Vec::new(),
            given: Vec::new(),
            pending: Vec::new(),
            heads: BinaryHeap::new(),
            table: None,
            seen: None,
            requests: None,
            decoder,
            selector: None,
            tracker,
            totals: Totals::default(),
            errors: Vec::new(),
            now: Timestamp::default(),
            is_told: false,
        };
        if let [source] = sources {
            trace.table = Table::open(source, decoder)?;
            if trace.table.is_some() {
                return Ok(trace);
            }
        }
        let mut opened = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let (reader, first) = if sources.len() == 1 {
                (Reader::open(source)?, Timestamp::default())
            } else {
                Reader::probe(source, decoder)?
            };
            opened.push((first, index as u32, reader));
        }
        opened.sort_by_key(|&(first, index, _)| (first, index));
        for (place, (first, index, reader)) in opened.into_iter().enumerate() {
            trace.readers.push(reader);
            trace.given.push(index);
            trace.pending.push((first, place as u32));
        }
        trace.pending.reverse();
        Ok(trace)
    }

    /// Takes a part only.
    #[must_use]
    pub fn with_selection(mut self, selection: Selection) -> Self {
        self.selector = (!selection.is_everything()).then(|| Selector::new(selection));
        self
    }

    /// What of the captures is taken, where it is not all.
    pub(crate) fn selector(&self) -> Option<&Selector> {
        self.selector.as_ref()
    }

    /// Reads requests out of the packets' content. A table has none.
    #[must_use]
    pub fn with_requests(mut self, requests: Requests) -> Self {
        self.requests = Some(Box::new(requests));
        self.tracker.tell_in_order();
        self
    }

    /// What reads requests, where something does: up to the packet that was read last.
    pub fn requests(&mut self) -> Option<&mut Requests> {
        self.requests.as_deref_mut()
    }

    /// Replaces the content of `batch` by what happens next; false at the end.
    ///
    /// A capture that cannot be read to its end ends where it breaks, and the others go on: its
    /// error comes in place of the end, one error a call where there are several.
    pub fn next_batch(&mut self, batch: &mut Vec<Event>) -> Result<bool, CaptureError> {
        batch.clear();
        self.seen.iter_mut().for_each(Vec::clear);
        self.tracker.next_batch();
        let mut read = self.read_table(batch);
        while batch.len() < BATCH && read < MOST_READ {
            let Some((capture, until)) = self.next_capture() else {
                break;
            };
            let most = MOST_READ - read;
            read += if self.requests.is_some() {
                self.read_from::<true>(capture, until, batch, most)
            } else {
                self.read_from::<false>(capture, until, batch, most)
            };
        }
        let is_read = self.table.as_ref().is_none_or(Table::is_over);
        if self.heads.is_empty() && self.pending.is_empty() && is_read {
            self.end(batch);
        }
        if batch.is_empty() && read == 0 && !self.errors.is_empty() {
            return Err(self.errors.remove(0));
        }
        Ok(!batch.is_empty() || read > 0)
    }

    /// Ends the trace before its end: the content of `batch` is replaced by what is held back.
    pub fn break_off(&mut self, batch: &mut Vec<Event>) {
        batch.clear();
        self.pending.clear();
        self.heads.clear();
        if let Some(table) = &mut self.table {
            table.break_off();
        }
        self.end(batch);
    }

    fn end(&mut self, batch: &mut Vec<Event>) {
        if !self.is_told {
            self.is_told = true;
            if let Some(requests) = &mut self.requests {
                requests.end_all();
            }
            self.tracker.tell_all();
            batch.extend(self.tracker.told().map(Event::Told));
        }
    }

    /// What was counted so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What observes the connections.
    pub fn tracker(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    /// Connections that ended since the last call. After the end of the trace all that are left.
    pub fn ended(&mut self) -> impl Iterator<Item = Connection> + '_ {
        if self.is_told {
            self.tracker.end_all();
        }
        self.tracker.ended()
    }

    /// Connections seen so far, and those of TCP among them.
    pub fn connections(&self) -> (u64, u64) {
        (self.tracker.connections(), self.tracker.tcp_connections())
    }

    /// What was inferred and left out so far.
    pub fn inferred(&self) -> Inferred {
        self.tracker.inferred()
    }

    /// Bytes of the files that were read, and that they have in all.
    pub fn bytes(&self) -> (u64, u64) {
        let table = self.table.iter().map(Table::bytes);
        let bytes = self.readers.iter().map(Reader::bytes).chain(table);
        bytes.fold((0, 0), |sum, (read, all)| (sum.0 + read, sum.1 + all))
    }

    /// The time of the packet that was taken last.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Nanoseconds from the first packet to the one that was read last, by the trace's clock.
    pub fn traffic_ns(&self) -> u64 {
        let first = self.captures().filter_map(|capture| capture.facts.first_ns);
        first
            .min()
            .map_or(0, |first| self.now.0.saturating_sub(first))
    }

    /// The captures, in the order given.
    pub fn captures(&self) -> impl Iterator<Item = CaptureView<'_>> {
        let of_table = self.table.iter().flat_map(Table::captures);
        let mut places = vec![0; self.given.len()];
        for (place, &index) in self.given.iter().enumerate() {
            places[index as usize] = place;
        }
        let readers = places.into_iter().map(|place| self.readers[place].view());
        readers.chain(of_table)
    }

    /// Warnings so far, in the order of the captures.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.captures().filter_map(|capture| capture.warning)
    }

    /// What is odd about the trace as a whole, one line each: its clock, and how captures follow
    /// each other.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let Totals {
            clock_steps_back: back,
            retimed,
            retimed_most_ns,
            without_time: without,
            ..
        } = self.totals;
        if back > 0 {
            let steps = format!("the captures' clock steps back {}", count(back, "time"));
            remarks.push(match retimed {
                0 => format!("{steps}, which changes the time of no packet"),
                _ => format!(
                    "{steps}: {} taken at an earlier packet's time, up to {:.6} s later than they say",
                    count(retimed, "packet"),
                    retimed_most_ns as f64 / 1e9,
                ),
            });
        }
        if without > 0 {
            remarks.push(format!(
                "{without} packets bear no time and were taken at their predecessor's"
            ));
        }
        let seams = self.seams();
        let told = seams.iter().take(MOST_SEAMS);
        remarks.extend(told.map(ToString::to_string));
        if let Some(more @ 1..) = seams.len().checked_sub(MOST_SEAMS) {
            remarks.push(format!(
                "captures overlap or leave a gap in {more} more places"
            ));
        }
        remarks
    }

    /// Where captures that follow each other overlap or leave a gap.
    pub fn seams(&self) -> Vec<Seam> {
        seams::find(self.captures())
    }

    /// The capture with the earliest packet, and the place in time until which it may be read
    /// without another capture coming before it.
    fn next_capture(&mut self) -> Option<(u32, (Timestamp, u32))> {
        while let Some(&(first, capture)) = self.pending.last() {
            let is_next = self
                .heads
                .peek()
                .is_none_or(|&Reverse((time, _))| first <= time);
            if !is_next {
                break;
            }
            self.pending.pop();
            match self.readers[capture as usize].reopen() {
                Ok(()) => self.advance(capture),
                Err(CaptureError::Open { name, source }) if is_lack_of_files(&source) => {
                    // Without what overlaps here, all that follows would be another trace.
                    let open = self.heads.len();
                    self.errors.push(CaptureError::TooManyOpen { name, open });
                    self.pending.clear();
                    self.heads.clear();
                }
                Err(error) => self.errors.push(error),
            }
        }
        let Reverse((_, capture)) = self.heads.pop()?;
        let other = self.heads.peek().map(|&Reverse(head)| head);
        let closed = self.pending.last().map(|&(first, _)| (first, 0));
        let until = [other, closed].into_iter().flatten().min();
        Some((capture, until.unwrap_or((Timestamp(u64::MAX), u32::MAX))))
    }

    /// Tracks packets of one capture as long as none of another comes before them; how many.
    fn read_from<const FRAMES: bool>(
        &mut self,
        capture: u32,
        until: (Timestamp, u32),
        batch: &mut Vec<Event>,
        most: usize,
    ) -> usize {
        let reader = &mut self.readers[capture as usize];
        let mut read = 0;
        let asks_nothing =
            self.requests.is_none() && self.selector.is_none() && self.seen.is_none();
        let taker = Taker {
            asks_nothing,
            tracker: &mut self.tracker,
            requests: self.requests.as_deref_mut(),
            selector: &mut self.selector,
            seen: &mut self.seen,
            now: &mut self.now,
            decoder: self.decoder,
            batch,
            given: self.given[capture as usize],
            until: Timestamp(until.0.0.saturating_sub(u64::from(capture > until.1))),
            read: &mut read,
            most,
        };
        match reader.read::<FRAMES>(self.decoder, &mut self.totals, taker) {
            Ok(true) => self.heads.push(Reverse((reader.place.clock, capture))),
            Ok(false) => {}
            Err(error) => self.errors.push(error),
        }
        read
    }

    /// Tracks packets of the table, if there is one; how many.
    fn read_table(&mut self, batch: &mut Vec<Event>) -> usize {
        let mut read = 0;
        let Some(table) = &mut self.table else {
            return read;
        };
        while batch.len() < BATCH && read < MOST_READ {
            match table.next(&mut self.totals) {
                Ok(Some((place, head))) => {
                    read += 1;
                    if is_taken(&mut self.selector, place.0, &head) {
                        track(&mut self.tracker, &mut self.seen, batch, place, &head);
                        self.now = place.0;
                    }
                }
                Ok(None) => break,
                Err(error) => self.errors.push(error),
            }
        }
        table.finish(&mut self.totals, &mut self.errors);
        read
    }

    /// Whether it is read from a table.
    pub(crate) fn is_table(&self) -> bool {
        self.table.is_some()
    }

    /// How frames became packets: with a table when that was made.
    pub(crate) fn decoder(&self) -> Decoder {
        let of_table = self.table.as_ref().map(Table::decoder);
        of_table.unwrap_or(self.decoder)
    }

    /// From now on keeps what is read: see [`Trace::seen`].
    pub(crate) fn see_all(&mut self) {
        self.seen = Some(Vec::new());
    }

    /// The packets of the latest batch, those included that were left out.
    pub(crate) fn seen(&self) -> &[Seen] {
        self.seen.as_deref().unwrap_or_default()
    }

    /// Reads one capture on to its first packet and queues that.
    fn advance(&mut self, capture: u32) {
        let reader = &mut self.readers[capture as usize];
        let outcome = if self.requests.is_some() {
            reader.read::<true>(self.decoder, &mut self.totals, Leave)
        } else {
            reader.read::<false>(self.decoder, &mut self.totals, Leave)
        };
        match outcome {
            Ok(true) => self.heads.push(Reverse((reader.place.clock, capture))),
            Ok(false) => {}
            Err(error) => self.errors.push(error),
        }
    }
}

/// The process or the system has as many files open as it may: EMFILE, ENFILE.
fn is_lack_of_files(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// `1 packet`, `2 packets`.
fn count(number: u64, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}
