//! One policy over one trace: a director of its own, fed with every packet in order.
//!
//! Sequential and deterministic; several runs share nothing but the packets.

use std::collections::VecDeque;
use std::sync::Arc;

use equipoise_core::{
    ConfigError, Decision, Director, Endpoint, FaultReport, FlowId, Outcome, Policy, Quiet,
    QuietSide, Scheduling, Settings, Tag, Timestamp,
};
use equipoise_reports::timeline::Axis;

use crate::decisions::{Row, Spool};
use crate::meter::{Meter, Metered};
use crate::policy::Chosen;
use crate::record::Recorder;
use crate::setup::Service;
use crate::trace::{Event, TracePacket};
use crate::track::{Told, Tracker};

/// One policy, or each service's own, over the whole trace.
pub(crate) struct Run {
    pub(crate) label: String,
    /// What decides for each service.
    pub(crate) chosen: Vec<Chosen>,
    pub(crate) director: Director<Recorder>,
    pub(crate) meter: Arc<Meter>,
    /// The first fault, and the packets that were being decided: the first and the last.
    pub(crate) fault: Option<(FaultReport, Option<Row>, Option<Row>)>,
    /// Packets whose decision may be asked for: the tag of the last is the one before `next_tag`.
    rows: VecDeque<Row>,
    /// Their decisions as far as they are there, where somebody wants them.
    decided: VecDeque<Option<Decision>>,
    spool: Option<Spool>,
    next_tag: u64,
    clock: Clock,
    /// Flows that got an entry, and that lost it, since they were last asked for.
    pub(crate) flows: FlowChanges,
}

/// Which flows got an entry in a run's director, and which lost it.
#[derive(Default)]
pub(crate) struct FlowChanges {
    made: Vec<FlowId>,
    gone: Vec<FlowId>,
}

impl FlowChanges {
    /// Tells the tracker, which keeps a flow as long as some director has an entry for it.
    pub(crate) fn tell(&mut self, tracker: &mut Tracker) {
        for flow in self.made.drain(..) {
            tracker.entry_made(flow);
        }
        for flow in self.gone.drain(..) {
            tracker.entry_gone(flow);
        }
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

/// What timelines run over: connections where time stands still.
pub(crate) fn axis(time_scale: f64) -> Axis {
    if time_scale > 0.0 {
        Axis::Time
    } else {
        Axis::Connections
    }
}

/// Rows that are kept at most: beyond, every service decides what waits, be it quiet beside a busy
/// one.
const ROWS: usize = 4_096;

/// What all runs have in common.
pub(crate) struct Common<'a> {
    pub(crate) services: &'a [Service],
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) seed: u64,
    pub(crate) fallback: Option<Arc<dyn Policy>>,
}

impl Run {
    /// Starts every service with its policy, and adds its servers one by one, as `ipvsadm` would.
    /// The error names the service by its place.
    pub(crate) fn start(
        label: String,
        chosen: Vec<Chosen>,
        common: &Common<'_>,
        spool: Option<Spool>,
    ) -> Result<Self, (usize, ConfigError)> {
        let axis = axis(common.clock.scale);
        let recorder = Recorder::new(common.clock.start, axis, spool.is_some());
        let mut director = Director::new(common.settings, recorder);
        director.advance(common.clock.start);
        let meter = Arc::new(Meter::default());
        for (place, (service, chosen)) in common.services.iter().zip(&chosen).enumerate() {
            director.observer.add_service(service.servers.len());
            let policy = Metered {
                policy: Arc::clone(&chosen.policy),
                meter: Arc::clone(&meter),
            };
            let scheduling = Scheduling {
                policy: Arc::new(policy),
                parameters: chosen.parameters.clone(),
                seed: seed_of(common.seed, place as u64),
                fallback: common.fallback.clone(),
            };
            let at = |error| (place, error);
            let index = director
                .add_service(service.config, scheduling)
                .map_err(at)?;
            for server in &service.servers {
                director.add_server(index, *server).map_err(at)?;
            }
        }
        let mut run = Self {
            label,
            chosen,
            director,
            meter,
            fault: None,
            rows: VecDeque::new(),
            decided: VecDeque::new(),
            spool,
            next_tag: 0,
            clock: common.clock,
            flows: FlowChanges::default(),
        };
        run.note_faults();
        Ok(run)
    }

    /// Takes in what happens next in the trace.
    pub(crate) fn feed(&mut self, batch: &[Event]) {
        for event in batch {
            if self.director.is_stopped() {
                break;
            }
            match event {
                Event::Packet(packet) => self.take_packet(packet),
                Event::Told(told) => self.take_told(told),
            }
            let observer = &self.director.observer;
            if !observer.fresh.is_empty() || !observer.faults.is_empty() {
                self.take_decisions();
            }
        }
        self.director
            .take_flow_changes(&mut self.flows.made, &mut self.flows.gone);
    }

    fn take_packet(&mut self, packet: &TracePacket) {
        let tag = Tag(self.next_tag);
        let now = self.clock.at(packet);
        let flow = packet.observed.flow;
        let outcome = self.director.packet_of_flow(now, flow, &packet.packet, tag);
        match outcome {
            Outcome::Decision => {
                self.next_tag += 1;
                self.rows.push_back(Row::of(packet));
                if self.spool.is_some() {
                    self.decided.push_back(None);
                }
            }
            Outcome::CannotCreate { service, why } => {
                self.director.observer.ignore(service, why, 1);
            }
            _ => {}
        }
        if let Some(elapsed_ns) = packet.observed.first_response_ns {
            self.director.first_response_of_flow(flow, elapsed_ns);
        }
        if self.rows.len() >= ROWS {
            self.director.settle();
            self.take_decisions();
            self.rows.clear();
            self.decided.clear();
        }
    }

    fn take_told(&mut self, told: &Told) {
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
                self.director.observer.ignore(service, why, side.packets);
            }
        }
    }

    /// Ends the run at the time of the trace's last packet, held back or not: everything that waits
    /// is decided, every open connection counted.
    pub(crate) fn finish(&mut self, end: Timestamp) {
        if !self.director.is_stopped() {
            self.director.advance(self.clock.scaled(end));
        }
        self.director.settle();
        self.take_decisions();
        self.director.finish();
        if let Some(spool) = &mut self.spool {
            spool.finish();
        }
    }

    /// The rows of this run, where they were asked for.
    pub(crate) fn take_spool(&mut self) -> Option<Spool> {
        self.spool.take()
    }

    fn take_decisions(&mut self) {
        self.note_faults();
        let first = self.next_tag - self.rows.len() as u64;
        for decision in self.director.observer.fresh.drain(..) {
            let place = decision.tag.0.wrapping_sub(first) as usize;
            if let Some(slot) = self.decided.get_mut(place) {
                *slot = Some(decision);
            }
        }
        let Some(spool) = &mut self.spool else {
            return;
        };
        while let Some((Some(decision), row)) = self.decided.front().zip(self.rows.front()) {
            let service = self.director.service(decision.service);
            let server = decision
                .server
                .and_then(|id| self.director.server(decision.service, id));
            let real = service.zip(server).map(|(service, server)| Endpoint {
                address: server.config.address,
                port: service.real_port(server.config.port, row.service.port),
            });
            spool.write(row, decision, real);
            self.decided.pop_front();
            self.rows.pop_front();
        }
    }

    fn note_faults(&mut self) {
        for report in std::mem::take(&mut self.director.observer.faults) {
            if self.fault.is_none() {
                let oldest = self.next_tag - self.rows.len() as u64;
                let row = |tag: Option<Tag>| {
                    let place = tag?.0.checked_sub(oldest)?;
                    self.rows.get(place as usize).copied()
                };
                let (first, last) = (row(report.first), row(report.last));
                self.fault = Some((report, first, last));
            }
        }
    }
}

/// A seed for each service, from the run's (`SplitMix64`, Steele, Lea and Flood 2014).
fn seed_of(seed: u64, place: u64) -> u64 {
    let mut z = seed.wrapping_add((place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
