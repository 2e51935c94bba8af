//! One capture of a trace: its clock, its next packet, and what was counted of it.

use equipoise_core::Timestamp;

use super::{CaptureView, Totals};
use crate::capture::{Capture, CaptureError, Frame, Source, Warning};
use crate::decode::{Decoded, Decoder};

/// What was counted of one capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureFacts {
    /// What kind of file it is: see [`Capture::file_type`].
    pub file_type: String,
    /// Frames read, skipped ones included.
    pub packets: u64,
    /// Bytes that these frames had on the wire.
    pub bytes: u64,
    /// The earliest time.
    pub first_ns: Option<u64>,
    /// The latest time.
    pub last_ns: Option<u64>,
    /// The longest time between two frames that follow each other.
    pub longest_silence_ns: u64,
    /// Link types by `LINKTYPE_` number, in order of appearance.
    pub link_types: Vec<u16>,
}

/// Frames in which a capture's first packet is looked for: where so many are none, it is as good as
/// certain that the capture has none.
const MOST_PROBED: u32 = 1 << 20;

pub(super) struct Reader {
    source: Source,
    /// Open while the trace is in it.
    capture: Option<Capture>,
    warning: Option<Warning>,
    pub(super) place: Place,
    /// Bytes of the file that were read before it was closed.
    bytes_read: u64,
}

/// How far the capture was read.
#[derive(Default)]
pub(super) struct Place {
    /// The time of the latest frame that had one, to lend to those without.
    last_ns: u64,
    /// The time of the next packet, which later ones do not fall behind.
    pub(super) clock: Timestamp,
    pub(super) head: Option<Head>,
    /// What is to be counted of it.
    uncounted: Counted,
    /// The link type of the latest frame.
    link_type: Option<u16>,
    /// The frame of the packet that waits, where somebody wants its content.
    kept: Option<Kept>,
    facts: CaptureFacts,
}

/// Who takes packets from a reader.
pub(super) trait Take {
    /// Whether a packet of that time may be given now.
    fn fits(&self, clock: Timestamp) -> bool;
    /// Whether nothing but the tracker looks at a packet that fits: then it is offered to [`Take::hold`],
    /// and to [`Take::pass`] right after that if it was not taken. All others go to [`Take::take`].
    fn is_only_tracked(&self, clock: Timestamp, raw_time_ns: Option<u64>) -> bool;
    /// Takes the packet if it is held back.
    fn hold(&mut self, clock: Timestamp, packet: &Decoded) -> bool;
    /// Takes the packet, by its number in the capture.
    fn pass(&mut self, clock: Timestamp, number: u64, packet: &Decoded);
    /// Takes any packet that fits.
    fn take(&mut self, clock: Timestamp, head: &Head, frame: Option<&Frame<'_>>);
}

/// A packet that waits for its turn.
pub(super) struct Head {
    pub(super) number: u64,
    pub(super) raw_time_ns: Option<u64>,
    pub(super) decoded: Decoded,
}

impl Head {
    #[inline]
    fn of(frame: &Frame<'_>, decoded: Decoded) -> Self {
        Self {
            number: frame.number,
            raw_time_ns: frame.time_ns,
            decoded,
        }
    }

    /// Whether the packet bears the time at which it is taken in.
    #[inline]
    pub(super) fn is_at(&self, clock: Timestamp) -> bool {
        self.raw_time_ns == Some(clock.0)
    }
}

/// A frame, kept while its packet waits.
#[derive(Default)]
struct Kept {
    link_type: u16,
    original_length: u32,
    bytes: Vec<u8>,
}

impl Kept {
    #[cold]
    fn keep(&mut self, frame: &Frame<'_>) {
        self.link_type = frame.link_type;
        self.original_length = frame.original_length;
        self.bytes.clear();
        self.bytes.extend_from_slice(frame.bytes);
    }

    fn frame(&self, head: &Head) -> Frame<'_> {
        Frame {
            number: head.number,
            time_ns: head.raw_time_ns,
            link_type: self.link_type,
            original_length: self.original_length,
            bytes: &self.bytes,
        }
    }
}

impl Reader {
    pub(super) fn open(source: &Source) -> Result<Self, CaptureError> {
        let capture = source.open()?;
        let facts = CaptureFacts {
            file_type: capture.file_type(),
            ..CaptureFacts::default()
        };
        Ok(Self {
            source: source.clone(),
            capture: Some(capture),
            warning: None,
            place: Place {
                facts,
                ..Place::default()
            },
            bytes_read: 0,
        })
    }

    /// Looks for the time of the first packet, and closes the capture again. A capture that breaks
    /// there is read like any other, so that its error comes in its place.
    pub(super) fn probe(
        source: &Source,
        decoder: Decoder,
    ) -> Result<(Self, Timestamp), CaptureError> {
        let mut reader = Self::open(source)?;
        let capture = reader.capture.take();
        let first = capture.and_then(|capture| first_time(capture, decoder));
        // Its turn comes at that time, and no packet of it may be earlier.
        let first = Timestamp(first.unwrap_or(0));
        reader.place.clock = first;
        Ok((reader, first))
    }

    /// Opens the capture at its beginning, unless it is open.
    pub(super) fn reopen(&mut self) -> Result<(), CaptureError> {
        if self.capture.is_none() {
            self.capture = Some(self.source.open()?);
        }
        Ok(())
    }

    /// Gives packet after packet to `taker`, with their frames where `FRAMES` says so (a reader is
    /// always asked one way: a frame that nobody wants need not be in memory), until one does not
    /// fit, which waits as the head, or until the end, where the capture is closed. Whether a
    /// packet waits.
    #[inline]
    pub(super) fn read<const FRAMES: bool>(
        &mut self,
        decoder: Decoder,
        totals: &mut Totals,
        mut taker: impl Take,
    ) -> Result<bool, CaptureError> {
        let place = &mut self.place;
        if let Some(head) = place.head.take() {
            if !taker.fits(place.clock) {
                place.head = Some(head);
                return Ok(true);
            }
            place.count(place.uncounted, totals);
            count_retimed(place.clock, &head, totals);
            let frame = place.kept.as_ref().filter(|_| FRAMES);
            let frame = frame.map(|kept| kept.frame(&head));
            taker.take(place.clock, &head, frame.as_ref());
        }
        let outcome = self.read_on::<FRAMES>(decoder, totals, taker);
        if !matches!(outcome, Ok(true)) {
            self.bytes_read = self.bytes().0;
            let closed = self.capture.take();
            self.warning = closed.and_then(|capture| capture.warning().cloned());
        }
        outcome
    }

    #[inline]
    fn read_on<const FRAMES: bool>(
        &mut self,
        decoder: Decoder,
        totals: &mut Totals,
        mut taker: impl Take,
    ) -> Result<bool, CaptureError> {
        let Some(capture) = &mut self.capture else {
            return Ok(false);
        };
        let place = &mut self.place;
        loop {
            if capture.at_hand(|frame| place.take::<FRAMES>(frame, &decoder, totals, &mut taker)) {
                return Ok(true);
            }
            let Some(frame) = capture.next_frame()? else {
                return Ok(false);
            };
            if place.take_alone::<FRAMES>(frame, &decoder, totals, &mut taker) {
                return Ok(true);
            }
        }
    }

    /// Bytes of the file that were read, and that it has.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let read = match &self.capture {
            Some(capture) => capture.bytes_read(),
            None => self.bytes_read,
        };
        (read, self.source.size().unwrap_or(0).max(read))
    }

    pub(super) fn view(&self) -> CaptureView<'_> {
        CaptureView {
            name: self.source.name(),
            facts: &self.place.facts,
            warning: self.warning(),
        }
    }

    pub(super) fn warning(&self) -> Option<&Warning> {
        match &self.capture {
            Some(capture) => capture.warning(),
            None => self.warning.as_ref(),
        }
    }
}

/// The time of a capture's first packet, or of its first frame where none of the first is one.
fn first_time(mut capture: Capture, decoder: Decoder) -> Option<u64> {
    let (mut first, mut last) = (None, 0);
    for _ in 0..MOST_PROBED {
        let Ok(Some(frame)) = capture.next_frame() else {
            break;
        };
        last = frame.time_ns.unwrap_or(last);
        first = first.or(frame.time_ns);
        let packet = decoder.decode(frame.link_type, frame.bytes, frame.original_length);
        if packet.is_ok() && first.is_some() {
            return Some(last);
        }
    }
    first
}

/// Of a frame, its number, its time, its link type, its length on the wire and its bytes: so it goes
/// to where it is seldom needed. As a frame, the compiler has each of them in memory.
type Parts<'a> = (u64, Option<u64>, u16, u32, &'a [u8]);

#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Capture::at_hand`")]
fn parts<'a>(frame: &Frame<'a>) -> Parts<'a> {
    (
        frame.number,
        frame.time_ns,
        frame.link_type,
        frame.original_length,
        frame.bytes,
    )
}

fn put_together((number, time_ns, link_type, original_length, bytes): Parts<'_>) -> Frame<'_> {
    Frame {
        number,
        time_ns,
        link_type,
        original_length,
        bytes,
    }
}

/// Of a frame, its link type, its length on the wire and its time.
type Counted = (u16, u32, Option<u64>);

#[inline]
fn counted(frame: &Frame<'_>) -> Counted {
    (frame.link_type, frame.original_length, frame.time_ns)
}

impl Place {
    /// Gives the packet of a frame to `taker`, if there is one; true where it does not fit and waits.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Capture::at_hand`")]
    fn take<const FRAMES: bool>(
        &mut self,
        frame: Frame<'_>,
        decoder: &Decoder,
        totals: &mut Totals,
        taker: &mut impl Take,
    ) -> bool {
        let time = frame.time_ns.unwrap_or(self.last_ns);
        // Clamped per capture, the merged sequence cannot go back either.
        let clock = self.clock.max(Timestamp(time));
        if !taker.fits(clock) {
            return self.wait::<FRAMES>(clock, parts(&frame), decoder, totals);
        }
        self.count(counted(&frame), totals);
        if !taker.is_only_tracked(clock, frame.time_ns) {
            self.take_whole::<FRAMES>(clock, parts(&frame), decoder, totals, taker);
            return false;
        }
        match Decoder::decode_commonest(frame.link_type, frame.bytes) {
            Some(packet) if taker.hold(clock, &packet) => self.clock = clock,
            Some(_) => self.pass_commonest(clock, parts(&frame), taker),
            None => self.take_other(clock, parts(&frame), decoder, totals, taker),
        }
        false
    }

    /// Gives a packet that was offered and is not held. It is decoded again: to keep at hand all that
    /// only these packets need would take as long for each of the others.
    #[inline(never)]
    fn pass_commonest(&mut self, clock: Timestamp, parts: Parts<'_>, taker: &mut impl Take) {
        let frame = put_together(parts);
        let packet = Decoder::decode_commonest(frame.link_type, frame.bytes);
        debug_assert!(packet.is_some(), "it was decoded before");
        if let Some(packet) = packet {
            self.clock = clock;
            taker.pass(clock, frame.number, &packet);
        }
    }

    /// [`Place::take`] of a packet that somebody looks at besides the tracker.
    #[inline(never)]
    fn take_whole<const FRAMES: bool>(
        &mut self,
        clock: Timestamp,
        parts: Parts<'_>,
        decoder: &Decoder,
        totals: &mut Totals,
        taker: &mut impl Take,
    ) {
        let frame = put_together(parts);
        match decoder.decode(frame.link_type, frame.bytes, frame.original_length) {
            Ok(packet) => {
                self.clock = clock;
                let head = Head::of(&frame, packet);
                count_retimed(clock, &head, totals);
                taker.take(clock, &head, FRAMES.then_some(&frame));
            }
            Err(skipped) => *totals.skipped.entry(skipped).or_default() += 1,
        }
    }

    /// [`Place::take`] of a frame that was not at hand.
    #[inline(never)]
    fn take_alone<const FRAMES: bool>(
        &mut self,
        frame: Frame<'_>,
        decoder: &Decoder,
        totals: &mut Totals,
        taker: &mut impl Take,
    ) -> bool {
        self.take::<FRAMES>(frame, decoder, totals, taker)
    }

    /// [`Place::take`] of what is not of the commonest kind.
    #[inline(never)]
    fn take_other(
        &mut self,
        clock: Timestamp,
        parts: Parts<'_>,
        decoder: &Decoder,
        totals: &mut Totals,
        taker: &mut impl Take,
    ) {
        let frame = put_together(parts);
        // Each way has its own packet, taken where it lies: a copy would wait for what has just been
        // written.
        if let Some(packet) = decoder.decode_plain(frame.link_type, frame.bytes) {
            self.give(clock, frame.number, &packet, taker);
            return;
        }
        match decoder.decode_fully(frame.link_type, frame.bytes, frame.original_length) {
            Ok(packet) => self.give(clock, frame.number, &packet, taker),
            Err(skipped) => *totals.skipped.entry(skipped).or_default() += 1,
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Capture::at_hand`")]
    fn give(&mut self, clock: Timestamp, number: u64, packet: &Decoded, taker: &mut impl Take) {
        self.clock = clock;
        if !taker.hold(clock, packet) {
            taker.pass(clock, number, packet);
        }
    }

    /// Keeps the packet of a frame that does not fit; false where there is none in it.
    #[cold]
    #[inline(never)]
    fn wait<const FRAMES: bool>(
        &mut self,
        clock: Timestamp,
        parts: Parts<'_>,
        decoder: &Decoder,
        totals: &mut Totals,
    ) -> bool {
        let frame = put_together(parts);
        match decoder.decode(frame.link_type, frame.bytes, frame.original_length) {
            Ok(packet) => {
                // What waits is counted when it is taken.
                self.clock = clock;
                self.uncounted = counted(&frame);
                if FRAMES {
                    self.kept.get_or_insert_default().keep(&frame);
                }
                self.head = Some(Head::of(&frame, packet));
                true
            }
            Err(skipped) => {
                *totals.skipped.entry(skipped).or_default() += 1;
                self.count(counted(&frame), totals);
                false
            }
        }
    }

    /// Counts a frame that was read.
    #[inline]
    fn count(&mut self, counted: Counted, totals: &mut Totals) {
        let (link_type, original_length, time_ns) = counted;
        let facts = &mut self.facts;
        totals.frames += 1;
        facts.packets += 1;
        facts.bytes += u64::from(original_length);
        // Most frames are of the link type of the one before, and later than all before.
        if let (Some(time), Some(latest)) = (time_ns, &mut facts.last_ns)
            && *latest <= time
            && self.link_type == Some(link_type)
        {
            facts.longest_silence_ns = facts.longest_silence_ns.max(time - self.last_ns);
            *latest = time;
            self.last_ns = time;
        } else {
            self.count_new(link_type, time_ns, totals);
        }
    }

    #[cold]
    fn count_new(&mut self, link_type: u16, time_ns: Option<u64>, totals: &mut Totals) {
        let facts = &mut self.facts;
        self.link_type = Some(link_type);
        if !facts.link_types.contains(&link_type) {
            facts.link_types.push(link_type);
        }
        let Some(time) = time_ns else {
            totals.without_time += 1;
            return;
        };
        if facts.first_ns.is_some() {
            totals.clock_steps_back += u64::from(time < self.last_ns);
            let silence = time.saturating_sub(self.last_ns);
            facts.longest_silence_ns = facts.longest_silence_ns.max(silence);
        }
        facts.first_ns = Some(facts.first_ns.map_or(time, |first| first.min(time)));
        facts.last_ns = Some(facts.last_ns.map_or(time, |last| last.max(time)));
        self.last_ns = time;
    }
}

fn count_retimed(clock: Timestamp, head: &Head, totals: &mut Totals) {
    if let Some(time) = head.raw_time_ns
        && time < clock.0
    {
        totals.retimed(clock.0 - time);
    }
}
