//! How a packet that was read gets into a batch: what the tracker says of it, and what it asks for.

use std::sync::Arc;

use equipoise_core::{Packet, Timestamp};

use super::reader::{Head, Take};
use super::{Asked, BATCH, Event, Seen, TracePacket};
use crate::capture::Frame;
use crate::decode::{Decoded, Decoder};
use crate::request::{Requests, Whose};
use crate::track::{Observed, Tracker};
use crate::transform::Selector;

/// Takes nothing.
pub(super) struct Leave;

impl Take for Leave {
    fn fits(&self, _clock: Timestamp) -> bool {
        false
    }

    fn is_only_tracked(&self, _clock: Timestamp, _raw_time_ns: Option<u64>) -> bool {
        false
    }

    fn hold(&mut self, _clock: Timestamp, _packet: &Decoded) -> bool {
        false
    }

    fn pass(&mut self, _clock: Timestamp, _number: u64, _packet: &Decoded) {}

    fn take(&mut self, _clock: Timestamp, _head: &Head, _frame: Option<&Frame<'_>>) {}
}

/// Tracks packets of one capture into a batch.
pub(super) struct Taker<'a> {
    pub(super) tracker: &'a mut Tracker,
    pub(super) requests: Option<&'a mut Requests>,
    pub(super) selector: &'a mut Option<Selector>,
    pub(super) seen: &'a mut Option<Vec<Seen>>,
    /// None of these three is there, so that a packet that is held back leaves nothing to do.
    pub(super) asks_nothing: bool,
    pub(super) now: &'a mut Timestamp,
    pub(super) decoder: Decoder,
    pub(super) batch: &'a mut Vec<Event>,
    /// The capture's index, in the order given.
    pub(super) given: u32,
    /// The last time before another capture's turn.
    pub(super) until: Timestamp,
    pub(super) read: &'a mut usize,
    pub(super) most: usize,
}

impl Take for Taker<'_> {
    #[inline]
    fn fits(&self, clock: Timestamp) -> bool {
        clock <= self.until && self.batch.len() < BATCH && *self.read < self.most
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    fn is_only_tracked(&self, clock: Timestamp, raw_time_ns: Option<u64>) -> bool {
        self.asks_nothing && raw_time_ns == Some(clock.0)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    fn hold(&mut self, clock: Timestamp, packet: &Decoded) -> bool {
        debug_assert!(self.asks_nothing, "somebody else looks at it");
        let is_held = self.tracker.hold(clock, packet);
        if is_held {
            *self.read += 1;
            *self.now = clock;
        }
        is_held
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    fn pass(&mut self, clock: Timestamp, number: u64, packet: &Decoded) {
        *self.read += 1;
        *self.now = clock;
        let observed = self.tracker.pass(clock, true, packet);
        let told = (number, Some(clock.0), packet);
        write(
            self.tracker,
            self.batch,
            (clock, self.given),
            told,
            observed,
        );
    }

    #[inline(never)]
    fn take(&mut self, clock: Timestamp, head: &Head, frame: Option<&Frame<'_>>) {
        *self.read += 1;
        if !is_taken(self.selector, clock, head) {
            return;
        }
        let place = (clock, self.given);
        if let (Some(requests), Some(frame)) = (&mut self.requests, frame) {
            let observed = self
                .tracker
                .track_at(clock, head.is_at(clock), &head.decoded);
            note(self.tracker, self.seen, self.batch, place, head, observed);
            let with = (self.decoder, frame);
            read_request(requests, self.tracker, observed, clock, head, with);
            let asked = requests.firsts().map(|first| {
                Event::Asked(Asked {
                    capture: self.given,
                    number: head.number,
                    time: clock,
                    raw_time_ns: head.raw_time_ns,
                    flow: first.flow,
                    connection: first.connection,
                    content: first.content.map(Arc::new),
                })
            });
            self.batch.extend(asked);
        } else {
            track(self.tracker, self.seen, self.batch, place, head);
        }
        *self.now = clock;
    }
}

#[inline]
pub(super) fn is_taken(selector: &mut Option<Selector>, time: Timestamp, head: &Head) -> bool {
    let packet = &head.decoded.packet;
    selector
        .as_mut()
        .is_none_or(|selector| selector.takes(time, packet))
}

/// Takes in the packet at a place in time and a capture.
pub(super) fn track(
    tracker: &mut Tracker,
    seen: &mut Option<Vec<Seen>>,
    batch: &mut Vec<Event>,
    place: (Timestamp, u32),
    head: &Head,
) {
    let observed = tracker.track_at(place.0, head.is_at(place.0), &head.decoded);
    note(tracker, seen, batch, place, head, observed);
}

/// Writes down what the tracker says of a packet.
fn note(
    tracker: &mut Tracker,
    seen: &mut Option<Vec<Seen>>,
    batch: &mut Vec<Event>,
    place: (Timestamp, u32),
    head: &Head,
    observed: Option<Observed>,
) {
    if let Some(seen) = seen {
        seen.extend(Seen::of(tracker, observed, place, head));
    }
    let packet = (head.number, head.raw_time_ns, &head.decoded);
    write(tracker, batch, place, packet, observed);
}

/// Writes down what happened by a packet at a place in time and a capture: of number and time there.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
fn write(
    tracker: &mut Tracker,
    batch: &mut Vec<Event>,
    (time, capture): (Timestamp, u32),
    (number, raw_time_ns, decoded): (u64, Option<u64>, &Decoded),
    observed: Option<Observed>,
) {
    if tracker.has_told() {
        batch.extend(tracker.told().map(Event::Told));
    }
    if let Some(observed) = observed {
        // With room made before, the packet is put together where it will lie.
        if batch.len() == batch.capacity() {
            batch.reserve(BATCH);
        }
        if batch.len() < batch.capacity() {
            batch.push(Event::Packet(TracePacket {
                capture,
                number,
                time,
                raw_time_ns,
                // As a whole it would be copied twice, and read again before it has reached memory.
                packet: Packet {
                    mark: 0,
                    ..decoded.packet
                },
                observed,
                payload_length: decoded.payload_length,
            }));
        }
    }
}

/// Reads what a tracked packet carries.
#[inline]
fn read_request(
    requests: &mut Requests,
    tracker: &Tracker,
    observed: Option<Observed>,
    time: Timestamp,
    head: &Head,
    (decoder, frame): (Decoder, &Frame<'_>),
) {
    let packet = &head.decoded;
    if !Requests::wants(packet) {
        return;
    }
    let whose = match observed {
        Some(observed) => Some(Whose::observed(&observed)),
        None => tracker.carrier().map(|(flow, connection)| Whose {
            connection,
            flow,
            direction: None,
        }),
    };
    if let Some(whose) = whose {
        requests.take(time, whose, packet, || {
            decoder.payload(frame.link_type, frame.bytes, frame.original_length, packet)
        });
    }
}
