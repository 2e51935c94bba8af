//! What one run keeps of what happens: counts, levels, times. Nothing here decides anything.

mod merge;

use std::collections::BTreeMap;

use equipoise_core::{
    CannotCreate, Counters, Decision, FaultReport, Flow, Observer, Reason, Refusal, ServiceIndex,
    Timestamp, Traffic,
};
use equipoise_reports::model;
use equipoise_reports::stats::{Gauge, Histogram};
use equipoise_reports::timeline::{self, Axis};

use crate::feed::{IGNORED, Ignored, ignored_place};
use crate::request::Content;
use merge::Merge;

/// As they are declared, so that one's place is its number.
const REASONS: [model::Reason; 6] = [
    model::Reason::Scheduled,
    model::Reason::Template,
    model::Reason::Reused,
    model::Reason::NoDestination,
    model::Reason::Fallback,
    model::Reason::Fault,
];

/// What clients ask for first, as the report names it.
const REQUESTS: [&str; 4] = ["http", "tls", "quic", "none"];

/// Why connections are refused, as the report names it.
const REFUSALS: [&str; 5] = [
    "no-servers",
    "all-quiesced",
    "all-overloaded",
    "wrong-port",
    "policy-chose-none",
];

/// The observer of one run.
pub(crate) struct Recorder {
    pub(crate) services: Vec<ServiceFacts>,
    /// Decisions not yet taken by the run: by tag, since those of a batch come late. Empty where
    /// nobody wants them.
    pub(crate) fresh: Vec<Decision>,
    keeps_decisions: bool,
    pub(crate) faults: Vec<FaultReport>,
    /// Whether there has been one.
    pub(crate) has_faulted: bool,
    start: Timestamp,
    axis: Axis,
    /// Where several directors tell.
    merge: Option<Merge>,
}

pub(crate) struct ServiceFacts {
    /// How many decisions had which reason, by its place in the report's order.
    reasons: [u64; REASONS.len()],
    /// How many were refused why, by the place of the name.
    refused: [u64; REFUSALS.len()],
    /// How many packets created no connection why, by the place of the name.
    ignored: [u64; IGNORED.len()],
    /// How many connections had which first request, by the place of the name; all 0 where the
    /// policy reads none.
    first_requests: [u64; REQUESTS.len()],
    pub(crate) overloaded_answers: u64,
    pub(crate) servers: Vec<ServerFacts>,
    pub(crate) timeline: timeline::Recorder,
    arrivals: u64,
}

pub(crate) struct ServerFacts {
    pub(crate) connections: u64,
    pub(crate) active: Gauge,
    pub(crate) entries: Gauge,
    pub(crate) concurrent: Gauge,
    pub(crate) traffic: Traffic,
    pub(crate) first_response: Histogram,
}

impl Recorder {
    /// Begins at `start`; `axis` is what timelines run over.
    pub(crate) fn new(start: Timestamp, axis: Axis, keeps_decisions: bool) -> Self {
        Self {
            services: Vec::new(),
            fresh: Vec::new(),
            keeps_decisions,
            faults: Vec::new(),
            has_faulted: false,
            start,
            axis,
            merge: None,
        }
    }

    /// For several directors, whose counters are added up at [`Recorder::merge`].
    pub(crate) fn of_several(self) -> Self {
        Self {
            merge: Some(Merge::default()),
            ..self
        }
    }

    /// From here on this director tells.
    pub(crate) fn turn_to(&mut self, director: usize) {
        if let Some(merge) = &mut self.merge {
            merge.turn_to(director);
        }
    }

    /// Takes in the counters of several directors, which have all come to the same time.
    pub(crate) fn merge(&mut self) {
        let Some(mut merge) = self.merge.take() else {
            return;
        };
        let told = merge.take();
        for told in &told {
            let sum = merge.sum(told);
            self.set_levels((told.at, told.arrivals), told.service, told.server, sum);
        }
        merge.give_back(told);
        self.merge = Some(merge);
    }

    fn set_levels(
        &mut self,
        (at, arrivals): (Timestamp, u64),
        service: ServiceIndex,
        server: u32,
        counters: Counters,
    ) {
        let Some(facts) = self.services.get_mut(service.0 as usize) else {
            return;
        };
        let Some(levels) = facts.servers.get_mut(server as usize) else {
            return;
        };
        let concurrent = u64::from(counters.concurrent());
        levels.active.set(at.0, u64::from(counters.active));
        if levels.entries.level() != u64::from(counters.total()) {
            levels.entries.set(at.0, u64::from(counters.total()));
        }
        if levels.concurrent.level() != concurrent {
            levels.concurrent.set(at.0, concurrent);
            let place = match self.axis {
                Axis::Time => at.0,
                Axis::Connections => arrivals,
            };
            facts.timeline.set(place, server as usize, concurrent);
        }
    }

    pub(crate) fn add_service(&mut self, servers: usize) {
        let start = self.start.0;
        let server = || ServerFacts {
            connections: 0,
            active: Gauge::new(start),
            entries: Gauge::new(start),
            concurrent: Gauge::new(start),
            traffic: Traffic::default(),
            first_response: Histogram::default(),
        };
        let origin = match self.axis {
            Axis::Time => start,
            Axis::Connections => 0,
        };
        self.services.push(ServiceFacts {
            reasons: [0; REASONS.len()],
            refused: [0; REFUSALS.len()],
            ignored: [0; IGNORED.len()],
            first_requests: [0; REQUESTS.len()],
            overloaded_answers: 0,
            servers: (0..servers).map(|_| server()).collect(),
            timeline: timeline::Recorder::new(self.axis, origin, servers),
            arrivals: 0,
        });
    }

    /// Counts a connection that is decided by its first request, or by there being none.
    pub(crate) fn note_asked(&mut self, service: ServiceIndex, content: Option<&Content>) {
        let place = match content {
            Some(Content::Http(_)) => 0,
            Some(Content::Tls(_)) => 1,
            Some(Content::Quic(_)) => 2,
            None => 3,
        };
        self.services[service.0 as usize].first_requests[place] += 1;
    }

    /// Takes in what the director could not create a connection for.
    pub(crate) fn note_ignored(&mut self, ignored: &Ignored) {
        for (facts, ignored) in self.services.iter_mut().zip(ignored.by_service()) {
            for (own, more) in facts.ignored.iter_mut().zip(ignored) {
                *own += more;
            }
        }
    }
}

impl ServiceFacts {
    /// How many decisions had which reason, those that none had left out.
    pub(crate) fn reasons(&self) -> BTreeMap<model::Reason, u64> {
        let counted = REASONS.into_iter().zip(self.reasons);
        counted.filter(|&(_, count)| count > 0).collect()
    }

    /// How many were refused why.
    pub(crate) fn refused(&self) -> BTreeMap<String, u64> {
        by_name(REFUSALS, self.refused)
    }

    /// How many connections had which first request.
    pub(crate) fn first_requests(&self) -> BTreeMap<String, u64> {
        by_name(REQUESTS, self.first_requests)
    }

    /// How many packets created no connection why.
    pub(crate) fn ignored(&self) -> BTreeMap<String, u64> {
        by_name(IGNORED, self.ignored)
    }

    /// Where the timeline ends: at `end`, or at the number of connections.
    pub(crate) fn end(&self, axis: Axis, end: Timestamp) -> u64 {
        match axis {
            Axis::Time => end.0,
            Axis::Connections => self.arrivals,
        }
    }
}

impl Observer for Recorder {
    fn decided(&mut self, decision: &Decision) {
        if self.keeps_decisions {
            self.fresh.push(*decision);
        }
        let Some(facts) = self.services.get_mut(decision.service.0 as usize) else {
            return;
        };
        facts.reasons[reason_name(decision.reason) as usize] += 1;
        if let Reason::NoDestination(refusal) = decision.reason {
            facts.refused[refusal_place(refusal)] += 1;
        }
        facts.arrivals += 1;
        if let Some(server) = decision
            .server
            .and_then(|id| facts.servers.get_mut(id as usize))
        {
            server.connections += 1;
        }
        let by_policy = matches!(decision.reason, Reason::Scheduled | Reason::Reused);
        facts.overloaded_answers += u64::from(decision.overloaded && by_policy);
    }

    fn counted(&mut self, at: Timestamp, service: ServiceIndex, server: u32, counters: Counters) {
        let facts = self.services.get(service.0 as usize);
        let arrivals = facts.map_or(0, |facts| facts.arrivals);
        match &mut self.merge {
            Some(merge) => merge.tell((at, arrivals), service, server, counters),
            None => self.set_levels((at, arrivals), service, server, counters),
        }
    }

    fn closed(&mut self, service: ServiceIndex, server: u32, _flow: &Flow, traffic: &Traffic) {
        let facts = self.services.get_mut(service.0 as usize);
        let Some(server) = facts.and_then(|facts| facts.servers.get_mut(server as usize)) else {
            return;
        };
        server.traffic.packets_in += traffic.packets_in;
        server.traffic.bytes_in += traffic.bytes_in;
        server.traffic.packets_out += traffic.packets_out;
        server.traffic.bytes_out += traffic.bytes_out;
        if let Some(elapsed_ns) = traffic.first_response_ns {
            server.first_response.record(elapsed_ns);
        }
    }

    fn refused_later_packets(&mut self, service: ServiceIndex, packets: u64) {
        if let Some(facts) = self.services.get_mut(service.0 as usize) {
            facts.ignored[ignored_place(CannotCreate::MidStream)] += packets;
        }
    }

    fn faulted(&mut self, report: &FaultReport) {
        self.has_faulted = true;
        self.faults.push(report.clone());
    }
}

/// Those that are not 0.
fn by_name<const N: usize>(names: [&str; N], counts: [u64; N]) -> BTreeMap<String, u64> {
    let counted = names
        .into_iter()
        .zip(counts)
        .filter(|&(_, count)| count > 0);
    counted
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

/// The report's name for a reason.
pub(crate) fn reason_name(reason: Reason) -> model::Reason {
    match reason {
        Reason::Scheduled => model::Reason::Scheduled,
        Reason::Template => model::Reason::Template,
        Reason::Reused => model::Reason::Reused,
        Reason::Fallback => model::Reason::Fallback,
        Reason::Fault => model::Reason::Fault,
        _ => model::Reason::NoDestination,
    }
}

/// Where [`REFUSALS`] names it.
const fn refusal_place(refusal: Refusal) -> usize {
    match refusal {
        Refusal::NoServers => 0,
        Refusal::AllQuiesced => 1,
        Refusal::AllOverloaded => 2,
        Refusal::WrongPort => 3,
        _ => 4,
    }
}
