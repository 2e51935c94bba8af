//! One policy over one trace: a director of its own, which takes in every packet in order, or
//! follows another one that does.
//!
//! Sequential and deterministic; several runs share nothing but the packets, or what their leader
//! wrote down.

mod directors;
mod ecmp;
mod pass;
mod scene;
mod slow;
mod waiting;

pub(crate) use ecmp::Ecmp;
pub(crate) use scene::{Scene, Spread};

use std::collections::VecDeque;
use std::sync::Arc;

use equipoise_core::{
    ConfigError, Decision, Director, Endpoint, FaultReport, LeaderTable, Outcome, Policy, Protocol,
    Scheduling, ServiceIndex, Settings, Tag, TcpFlags, Timestamp,
};
use equipoise_reports::timeline::Axis;

use crate::decisions::{Row, Spool};
use crate::feed::{Clock, Feed, Ignored};
use crate::leader::Part;
use crate::meter::{Meter, Metered};
use crate::policy::Chosen;
use crate::record::Recorder;
use crate::scenario::Plan;
use crate::setup::Service;
use crate::trace::{Asked, Event, TracePacket};
use crate::track::Tracker;
use crate::transform::mix;
use slow::Slow;
use waiting::{Kept, Waiter, Waiting};

/// One policy, or each service's own, over the whole trace.
pub(crate) struct Run {
    pub(crate) label: String,
    /// What decides for each service.
    pub(crate) chosen: Vec<Chosen>,
    pub(crate) feed: Feed<Recorder>,
    /// Another director takes in the trace, and this run's follows it.
    pub(crate) follows: bool,
    is_finished: bool,
    pub(crate) meter: Arc<Meter>,
    /// The first fault, and the packets that were being decided: the first and the last.
    pub(crate) fault: Option<(FaultReport, Option<Row>, Option<Row>)>,
    /// Packets whose decision may be asked for: the tag of the last is the one before `next_tag`.
    rows: VecDeque<Row>,
    /// Their decisions as far as they are there, where somebody wants them.
    decided: VecDeque<Option<Decision>>,
    spool: Option<Spool>,
    next_tag: u64,
    waiting: Waiting,
    pub(crate) scene: Option<Scene>,
    /// Where servers are slower than in the trace at times.
    slow: Option<Slow>,
    /// Where there are several directors.
    pub(crate) ecmp: Option<Box<Ecmp>>,
    /// The same with one director, to compare with several.
    pub(crate) alone: Option<Box<Run>>,
    seed: u64,
    fallback: Option<Arc<dyn Policy>>,
}

/// What timelines run over: connections where time stands still.
pub(crate) fn axis(time_scale: f64) -> Axis {
    if time_scale > 0.0 {
        Axis::Time
    } else {
        Axis::Connections
    }
}

/// Rows that are kept at most, as many as a packed policy is asked for at once: beyond, every service
/// decides what waits, be it quiet beside a busy one.
const ROWS: usize = 1_024;

/// What all runs have in common.
pub(crate) struct Common<'a> {
    pub(crate) services: &'a [Service],
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) seed: u64,
    pub(crate) fallback: Option<Arc<dyn Policy>>,
    pub(crate) scenario: Option<Arc<Plan>>,
}

impl Common<'_> {
    /// A director with all services, their servers added one by one, as `ipvsadm` would. The error
    /// names the service by its place.
    fn director(
        &self,
        number: usize,
        recorder: Recorder,
        chosen: &[Chosen],
        meter: &Arc<Meter>,
    ) -> Result<Director<Recorder>, (usize, ConfigError)> {
        let mut director = Director::new(self.settings, recorder);
        director.advance(self.clock.start);
        let seed = seed_at(self.seed, number);
        for (place, (service, chosen)) in self.services.iter().zip(chosen).enumerate() {
            let seed = seed_of(seed, place as u64);
            let scheduling = scheduling(chosen, meter, seed, self.fallback.clone());
            let at = |error| (place, error);
            let index = director
                .add_service(service.config, scheduling)
                .map_err(at)?;
            for server in &service.servers {
                director.add_server(index, *server).map_err(at)?;
            }
        }
        Ok(director)
    }
}

impl Run {
    /// Starts every service with its policy. The error names the service by its place.
    pub(crate) fn start(
        label: String,
        chosen: Vec<Chosen>,
        common: &Common<'_>,
        spool: Option<Spool>,
    ) -> Result<Self, (usize, ConfigError)> {
        let directors = common.scenario.as_ref().and_then(|plan| plan.directors);
        let axis = axis(common.clock.scale);
        let keeps_decisions = spool.is_some() || common.scenario.is_some();
        let mut recorder = Recorder::new(common.clock.start, axis, keeps_decisions);
        for (place, service) in common.services.iter().enumerate() {
            let later = common
                .scenario
                .as_ref()
                .map(|plan| plan.servers[place].len());
            recorder.add_service(later.unwrap_or(service.servers.len()));
        }
        let meter = Arc::new(Meter::default());
        let mut director = common.director(0, recorder, &chosen, &meter)?;
        let mut ecmp = None;
        if let Some(plan) = directors {
            let spare = || Recorder::new(common.clock.start, axis, false);
            let mut members = vec![Director::new(common.settings, spare())];
            let recorder = std::mem::replace(&mut director.observer, spare());
            let mut recorder = recorder.of_several();
            for number in 1..plan.all {
                let mut member = common.director(number, recorder, &chosen, &meter)?;
                recorder = std::mem::replace(&mut member.observer, spare());
                members.push(member);
            }
            director.observer = recorder;
            let services = common.services.len();
            ecmp = Some(Box::new(Ecmp::new(plan, members, services)));
        }
        let alone = match (&common.scenario, &ecmp) {
            (Some(plan), Some(_)) => {
                let common = Common {
                    services: common.services,
                    settings: common.settings,
                    clock: common.clock,
                    seed: common.seed,
                    fallback: common.fallback.clone(),
                    scenario: Some(Arc::new(plan.alone())),
                };
                let run = Self::start(label.clone(), chosen.clone(), &common, None)?;
                Some(Box::new(run))
            }
            _ => None,
        };
        let mut run = Self {
            label,
            chosen,
            feed: Feed::new(director, common.clock),
            follows: false,
            is_finished: false,
            meter,
            fault: None,
            rows: VecDeque::new(),
            decided: VecDeque::new(),
            spool,
            next_tag: 0,
            waiting: Waiting::default(),
            scene: common.scenario.clone().map(Scene::new),
            slow: slow_of(common),
            ecmp,
            alone,
            seed: common.seed,
            fallback: common.fallback.clone(),
        };
        run.note_faults(0, &[]);
        Ok(run)
    }

    /// Takes in what happens next in the trace.
    pub(crate) fn feed(&mut self, batch: &[Event]) {
        if let Some(alone) = &mut self.alone {
            alone.feed(batch);
        }
        for event in batch {
            // Only a fault stops a director; asking all its services each time would take long.
            if self.feed.director.observer.has_faulted && self.is_stopped() {
                break;
            }
            match event {
                Event::Packet(packet) => self.take_packet(event, packet),
                Event::Told(told) => {
                    let now = self.feed.director.now();
                    if self.waiting.is_unused() || !self.keeps(now, event) {
                        self.feed.take_told(told);
                    }
                }
                Event::Asked(asked) if self.holds_asked(asked) => {}
                Event::Asked(asked) => self.take_asked(asked, asked.time),
            }
            let observer = &self.feed.director.observer;
            if !observer.fresh.is_empty() || !observer.faults.is_empty() {
                self.take_decisions();
            }
        }
        self.meet();
        self.directors().each(|_, feed| feed.note_flows());
    }

    /// Keeps an event whose connection waits for its first request, or gives that connection up;
    /// whether it was kept.
    fn keeps(&mut self, now: Timestamp, event: &Event) -> bool {
        match self.waiting.keep(now, event) {
            Kept::Yes => true,
            Kept::No => false,
            Kept::GivenUp(waiter) => {
                self.note_given_up(&waiter);
                false
            }
        }
    }

    #[cold]
    fn await_request(&mut self, service: ServiceIndex, packet: &TracePacket) {
        let now = self.feed.director.now();
        while let Some(given_up) = self.waiting.give_up(now) {
            self.note_given_up(&given_up);
        }
        let may_ask = match packet.packet.protocol {
            Protocol::Tcp => packet.packet.flags.contains(TcpFlags::SYN),
            _ => packet.observed.begins && packet.payload_length > 0,
        };
        if !may_ask {
            // What its client asked for first is not told again, or never.
            self.decide_asked(service, packet, (&Asked::nothing(packet), packet.time));
            return;
        }
        if let Some(replaced) = self.waiting.begin(now, service, packet) {
            self.note_given_up(&replaced);
        }
    }

    /// The first request of a connection is known, or that there is none; `stands` is its time in
    /// the trace.
    fn take_asked(&mut self, asked: &Asked, stands: Timestamp) {
        let now = self.feed.at(asked.time);
        let Some(waiter) = self.waiting.end(now, asked) else {
            return;
        };
        self.decide_asked(waiter.service, &waiter.first, (asked, stands));
        for event in &waiter.rest {
            match event {
                Event::Packet(packet) => match self.pass(packet) {
                    Outcome::Decision => {
                        self.note_decision(Row::of(packet), (packet.time, packet.time));
                    }
                    // Again a SYN of a connection that was refused: it is over.
                    Outcome::AwaitsRequest { service } => {
                        self.feed.ignored.count_without_request(service, 1);
                    }
                    _ => {}
                },
                Event::Told(told) => self.feed.take_told(told),
                Event::Asked(_) => {}
            }
        }
    }

    fn decide_asked(
        &mut self,
        service: ServiceIndex,
        first: &TracePacket,
        (asked, stands): (&Asked, Timestamp),
    ) {
        self.route(first);
        let outcome = self.feed.take_asked(first, asked, Tag(self.next_tag));
        if outcome == Outcome::Decision {
            let recorder = &mut self.feed.director.observer;
            recorder.note_asked(service, asked.content.as_deref());
            self.note_decision(Row::of_asked(first, asked), (stands, asked.time));
        }
    }

    fn note_given_up(&mut self, waiter: &Waiter) {
        let ignored = &mut self.feed.ignored;
        ignored.count_without_request(waiter.service, waiter.packets());
    }

    /// Takes in what the leader wrote down, unless a policy's failure has ended the run.
    pub(crate) fn follow(&mut self, part: Part<'_>) {
        if self.feed.director.is_stopped() {
            return;
        }
        let Part {
            script,
            now,
            rows,
            first_tag,
        } = part;
        self.feed.director.follow(script, now);
        self.note_faults(first_tag, rows);
        let mut fresh = std::mem::take(&mut self.feed.director.observer.fresh);
        // Those of one service are in order already.
        fresh.sort_by_key(|decision| decision.tag);
        for decision in fresh.drain(..) {
            let place = decision.tag.0.wrapping_sub(first_tag) as usize;
            if let Some(row) = rows.get(place) {
                write_row(&mut self.spool, &self.feed.director, row, &decision);
            }
        }
        self.feed.director.observer.fresh = fresh;
    }

    /// Ends the run at the time of the trace's last packet, held back or not: everything that waits
    /// is decided, every open connection counted.
    pub(crate) fn finish(&mut self, end: Timestamp) {
        if let Some(alone) = &mut self.alone {
            alone.finish(end);
        }
        let end = (!self.is_stopped()).then(|| self.feed.at(end));
        while let Some(given_up) = self.waiting.give_up(Timestamp(u64::MAX)) {
            self.note_given_up(&given_up);
        }
        self.directors().each(|_, feed| {
            if let Some(end) = end {
                feed.director.advance(end);
            }
            feed.director.settle();
        });
        self.take_decisions();
        self.directors().each(|_, feed| feed.director.finish());
        self.feed.director.observer.merge();
        self.feed.director.observer.note_ignored(&self.feed.ignored);
        self.finish_spool();
    }

    /// [`Run::finish`] of a run that follows; again of no effect.
    pub(crate) fn finish_following(&mut self, (leader, ignored): (LeaderTable<'_>, &Ignored)) {
        if self.is_finished {
            return;
        }
        self.is_finished = true;
        let director = &mut self.feed.director;
        director.finish_following(leader);
        director.observer.note_ignored(ignored);
        self.finish_spool();
    }

    fn finish_spool(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.finish();
        }
    }

    /// Tells the tracker which flows have entries; there are `copies` of each that it knows.
    pub(crate) fn tell_flows(&mut self, tracker: &mut Tracker, copies: u32) {
        self.feed.flows.tell(tracker, copies);
        if let Some(alone) = &mut self.alone {
            alone.tell_flows(tracker, copies);
        }
    }

    /// The rows of this run, where they were asked for.
    pub(crate) fn take_spool(&mut self) -> Option<Spool> {
        self.spool.take()
    }

    fn take_decisions(&mut self) {
        let first = self.next_tag - self.rows.len() as u64;
        if !self.feed.director.observer.faults.is_empty() {
            let rows: Vec<Row> = self.rows.iter().copied().collect();
            self.note_faults(first, &rows);
        }
        for decision in self.feed.director.observer.fresh.drain(..) {
            let place = decision.tag.0.wrapping_sub(first) as usize;
            if let Some(slot) = self.decided.get_mut(place) {
                *slot = Some(decision);
            }
        }
        while let Some((Some(decision), row)) = self.decided.front().zip(self.rows.front()) {
            write_row(&mut self.spool, &self.feed.director, row, decision);
            if let Some(scene) = &mut self.scene {
                scene.note(row, decision);
            }
            if let Some(slow) = &mut self.slow {
                slow.note(row, decision);
            }
            self.decided.pop_front();
            self.rows.pop_front();
        }
    }

    /// `rows` are the packets that may be named, the first of them by the tag `oldest`.
    fn note_faults(&mut self, oldest: u64, rows: &[Row]) {
        for report in std::mem::take(&mut self.feed.director.observer.faults) {
            if self.fault.is_none() {
                let row = |tag: Option<Tag>| {
                    let place = tag?.0.checked_sub(oldest)?;
                    rows.get(place as usize).copied()
                };
                let (first, last) = (row(report.first), row(report.last));
                self.fault = Some((report, first, last));
            }
        }
    }
}

/// What keeps back packets of slow servers, where the scenario has any.
fn slow_of(common: &Common<'_>) -> Option<Slow> {
    let slows = common.scenario.as_ref().is_some_and(|plan| plan.slows());
    let services = common.services.iter();
    let one_packet = services.map(|service| service.config.one_packet);
    slows.then(|| Slow::new(one_packet.collect()))
}

/// The policy, metered.
fn scheduling(
    chosen: &Chosen,
    meter: &Arc<Meter>,
    seed: u64,
    fallback: Option<Arc<dyn Policy>>,
) -> Scheduling {
    let policy = Metered {
        policy: Arc::clone(&chosen.policy),
        meter: Arc::clone(meter),
    };
    Scheduling {
        policy: Arc::new(policy),
        parameters: chosen.parameters.clone(),
        seed,
        fallback,
    }
}

fn write_row(
    spool: &mut Option<Spool>,
    director: &Director<Recorder>,
    row: &Row,
    decision: &Decision,
) {
    let Some(spool) = spool else {
        return;
    };
    let service = director.service(decision.service);
    let server = decision
        .server
        .and_then(|id| director.server(decision.service, id));
    let real = service.zip(server).map(|(service, server)| Endpoint {
        address: server.config.address,
        port: service.real_port(server.config.port, row.service.port),
    });
    spool.write(row, decision, real);
}

/// A seed for each service, from the run's (`SplitMix64`, Steele, Lea and Flood 2014).
fn seed_of(seed: u64, place: u64) -> u64 {
    mix(seed.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// A seed for each director: the first has the run's.
fn seed_at(seed: u64, director: usize) -> u64 {
    match director {
        0 => seed,
        number => mix(seed ^ mix(number as u64)),
    }
}
