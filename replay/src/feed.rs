//! A director and the trace's way into it: the run's time, held-back packets, the flows that the
//! tracker must keep.

use equipoise_core::{
    CannotCreate, Director, FlowId, Observer, Outcome, Quiet, QuietSide, ServiceIndex, Tag,
    Timestamp,
};

use crate::request::Content;
use crate::trace::{Asked, TracePacket};
use crate::track::{Told, Tracker};

/// A director that takes in a trace.
pub(crate) struct Feed<O> {
    pub(crate) director: Director<O>,
    /// Flows that got an entry, and that lost it, since they were last asked for.
    pub(crate) flows: FlowChanges,
    pub(crate) ignored: Ignored,
    clock: Clock,
}

impl<O: Observer> Feed<O> {
    pub(crate) fn new(director: Director<O>, clock: Clock) -> Self {
        Self {
            director,
            flows: FlowChanges::default(),
            ignored: Ignored::default(),
            clock,
        }
    }

    /// When the director sees the packet.
    #[inline]
    pub(crate) fn time_of(&mut self, packet: &TracePacket) -> Timestamp {
        self.clock.at(packet)
    }

    /// Where it is a decision, that comes, perhaps later.
    #[inline]
    pub(crate) fn take_packet(&mut self, packet: &TracePacket, tag: Tag) -> Outcome {
        let now = self.time_of(packet);
        let flow = packet.observed.flow;
        let outcome = self.director.packet_of_flow(now, flow, &packet.packet, tag);
        if let Outcome::CannotCreate { service, why } = outcome {
            self.ignored.count(service, why, 1);
        }
        if let Some(elapsed_ns) = packet.observed.first_response_ns {
            self.director.first_response_of_flow(flow, elapsed_ns);
        }
        outcome
    }

    /// The connection that this packet would have created when it came, at the time when its first
    /// request is known.
    pub(crate) fn take_asked(&mut self, first: &TracePacket, asked: &Asked, tag: Tag) -> Outcome {
        let now = self.at(asked.time);
        let flow = first.observed.flow;
        let request = asked.content.as_deref().map(Content::asked);
        let request = request.as_ref();
        let outcome = self
            .director
            .request_of_flow(now, flow, &first.packet, request, tag);
        if let Outcome::CannotCreate { service, why } = outcome {
            self.ignored.count(service, why, 1);
        }
        outcome
    }

    #[inline]
    pub(crate) fn take_told(&mut self, told: &Told) {
        let side = |side: QuietSide| QuietSide {
            last: self.clock.scaled(side.last),
            ..side
        };
        let quiet = Quiet {
            low: side(told.quiet.low),
            high: side(told.quiet.high),
        };
        let unserved = self.director.quiet(told.flow, &told.sample, &quiet);
        for (why, side) in unserved.into_iter().zip([quiet.low, quiet.high]) {
            if let Some((service, why)) = why {
                self.ignored.count(service, why, side.packets);
            }
        }
    }

    pub(crate) fn note_flows(&mut self) {
        self.director
            .take_flow_changes(&mut self.flows.made, &mut self.flows.gone);
    }

    /// The run's time at a time of the trace.
    pub(crate) fn at(&self, time: Timestamp) -> Timestamp {
        self.clock.scaled(time)
    }
}

/// Which flows got an entry in a director, and which lost it.
#[derive(Default)]
pub(crate) struct FlowChanges {
    made: Vec<FlowId>,
    gone: Vec<FlowId>,
}

impl FlowChanges {
    /// The tracker must keep the flow, as if it had an entry.
    pub(crate) fn hold(&mut self, flow: FlowId) {
        self.made.push(flow);
    }

    /// It need not any more.
    pub(crate) fn release(&mut self, flow: FlowId) {
        self.gone.push(flow);
    }

    /// Tells the tracker, which keeps a flow as long as some director has an entry for it.
    /// That one knows each of `copies` flows in a row as one.
    pub(crate) fn tell(&mut self, tracker: &mut Tracker, copies: u32) {
        let known = |flow: FlowId| FlowId(flow.0 / copies);
        for flow in self.made.drain(..) {
            tracker.entry_made(known(flow));
        }
        for flow in self.gone.drain(..) {
            tracker.entry_gone(known(flow));
        }
    }
}

/// Why packets for a service created no connection, as the report names it.
pub(crate) const IGNORED: [&str; 5] = ["reset", "mid-stream", "ftp-data", "protocol", "no-request"];

/// The place of those whose connection never asked for anything.
const NO_REQUEST: usize = 4;

/// The place in [`IGNORED`].
pub(crate) const fn ignored_place(why: CannotCreate) -> usize {
    match why {
        CannotCreate::Reset => 0,
        CannotCreate::MidStream => 1,
        CannotCreate::FtpData => 2,
        _ => 3,
    }
}

/// Packets that could not create a connection: by service, then by the place of the reason.
#[derive(Default)]
pub(crate) struct Ignored(Vec<[u64; IGNORED.len()]>);

impl Ignored {
    fn count(&mut self, service: ServiceIndex, why: CannotCreate, packets: u64) {
        self.add(service, ignored_place(why), packets);
    }

    /// Packets of a connection that was given up before its first request.
    pub(crate) fn count_without_request(&mut self, service: ServiceIndex, packets: u64) {
        self.add(service, NO_REQUEST, packets);
    }

    fn add(&mut self, service: ServiceIndex, reason: usize, packets: u64) {
        let place = service.0 as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, [0; IGNORED.len()]);
        }
        self.0[place][reason] += packets;
    }

    pub(crate) fn by_service(&self) -> &[[u64; IGNORED.len()]] {
        &self.0
    }
}

/// From the trace's time to the run's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Where the run begins: t0, where it is known by then.
    pub(crate) start: Timestamp,
    pub(crate) scale: f64,
    /// The time of the first packet that has one; packets before it are taken at the start.
    t0: Option<Timestamp>,
}

impl Clock {
    pub(crate) fn new(start: Timestamp, scale: f64) -> Self {
        Self {
            start,
            scale,
            t0: None,
        }
    }

    /// t0 + (t − t0) · scale, to the nanosecond.
    fn at(&mut self, packet: &TracePacket) -> Timestamp {
        if self.t0.is_none() && packet.raw_time_ns.is_some() {
            self.t0 = Some(packet.time);
        }
        self.scaled(packet.time)
    }

    fn scaled(&self, time: Timestamp) -> Timestamp {
        let t0 = self.t0.unwrap_or(time);
        let elapsed = time.0.saturating_sub(t0.0);
        #[expect(clippy::float_cmp, reason = "1 is exact, and so must be its result")]
        let scaled = if self.scale == 1.0 {
            elapsed
        } else {
            // Not negative; saturates where the product is beyond 2^64.
            #[expect(clippy::cast_sign_loss, reason = "neither factor is negative")]
            let scaled = (elapsed as f64 * self.scale).round() as u64;
            scaled
        };
        Timestamp(self.start.0.saturating_add(scaled))
    }
}
