//! Which services there are to replay, and which packets are theirs.

use std::collections::BTreeMap;

use equipoise_core::{Address, Endpoint, Family, Packet, Protocol, ServiceKey};

use super::reading::next_batch;
use super::{Options, Phase, Progress, ReplayError, Watcher};
use crate::capture::Source;
use crate::setup::{MarkRules, Setup};
use crate::trace::{Event, Trace, TracePacket};
use crate::track::{Connection, EndpointCount, Endpoints, Tracker, can_be_service};
use crate::transform::Selector;

/// How many endpoints are named besides the chosen one.
const RUNNERS_UP: usize = 4;

/// The endpoints of the captures at which a service can be, the busiest first.
pub(super) struct Survey {
    chosen: EndpointCount,
    runners_up: Vec<EndpointCount>,
}

impl Survey {
    /// Reads the captures once. What stops a capture early is told when it is read again.
    pub(super) fn read(
        sources: &[Source],
        options: &Options,
        watcher: &mut dyn Watcher,
    ) -> Result<Self, ReplayError> {
        let trace = Trace::open(sources, options.decoder, Tracker::default())?;
        let mut trace = trace.with_selection(options.selection);
        let mut batch = Vec::new();
        let mut errors = Vec::new();
        let mut endpoints = Endpoints::default();
        while next_batch(&mut trace, &mut batch, &mut errors) {
            trace.ended().for_each(|ended| endpoints.count(&ended));
            let progress = Progress::of(&trace, Phase::Survey);
            if watcher.watch(&progress).is_break() {
                for connection in trace.tracker().under_way() {
                    endpoints.count(&connection);
                }
                let busiest = Self::of(&endpoints).map_or_else(String::new, |survey| {
                    format!(" (by then {} was the busiest)", named(&survey.chosen))
                });
                return Err(ReplayError::Interrupted { busiest });
            }
        }
        trace.ended().for_each(|ended| endpoints.count(&ended));
        if let Some(survey) = Self::of(&endpoints) {
            return Ok(survey);
        }
        let found = endpoints.busiest();
        Err(match (errors.into_iter().next(), &found[..]) {
            (Some(error), []) => error.into(),
            (None, []) => no_packets(sources, &trace),
            (_, [first, ..]) => ReplayError::NoService {
                captures: names(sources),
                found: named(first),
            },
        })
    }

    /// None where there is no endpoint at which a service can be.
    fn of(endpoints: &Endpoints) -> Option<Self> {
        let found = endpoints.busiest().into_iter();
        let mut found = found.filter(|found| can_be_service(&found.endpoint));
        Some(Self {
            chosen: found.next()?,
            runners_up: found.take(RUNNERS_UP).collect(),
        })
    }

    pub(super) fn chosen(&self) -> &EndpointCount {
        &self.chosen
    }

    pub(super) fn runners_up(&self) -> &[EndpointCount] {
        &self.runners_up
    }
}

/// Marks packets, and notes which services they reach and which connections are whose.
pub(super) struct Watch {
    marks: MarkRules,
    services: Services,
    matched: Vec<bool>,
    unmatched: usize,
    observed: Vec<u64>,
    /// For the case that no service is reached.
    endpoints: Endpoints,
}

impl Watch {
    pub(super) fn new(setup: &Setup) -> Self {
        let services = setup.services.len();
        Self {
            marks: setup.marks.clone(),
            services: Services::of(setup),
            matched: vec![false; services],
            unmatched: services,
            observed: vec![0; services],
            endpoints: Endpoints::default(),
        }
    }

    pub(super) fn mark(&mut self, batch: &mut [Event]) {
        if self.marks.is_empty() && self.unmatched == 0 {
            return;
        }
        for event in batch {
            let Event::Packet(TracePacket {
                packet, observed, ..
            }) = event
            else {
                continue;
            };
            if !self.marks.is_empty() {
                packet.mark =
                    self.marks
                        .mark(packet.protocol, packet.destination, packet.destination_port);
            }
            if observed.begins || packet.mark != 0 {
                for service in self.services.reached(packet) {
                    let is_news = !std::mem::replace(&mut self.matched[service], true);
                    self.unmatched -= usize::from(is_news);
                }
            }
        }
    }

    pub(super) fn matched_any(&self) -> bool {
        self.unmatched < self.matched.len()
    }

    pub(super) fn is_matched(&self, service: usize) -> bool {
        self.matched.get(service).copied().unwrap_or(false)
    }

    /// Takes in a connection that ended.
    pub(super) fn count(&mut self, connection: &Connection) {
        let Connection {
            server, protocol, ..
        } = *connection;
        let mark = self.marks.mark(protocol, server.address, server.port);
        for service in self.services.of_end(protocol, server, mark) {
            self.observed[service] += 1;
        }
        if !self.matched_any() {
            self.endpoints.count(connection);
        }
    }

    /// Connections of the captures whose server side is the service.
    pub(super) fn observed(&self, service: usize) -> u64 {
        self.observed.get(service).copied().unwrap_or(0)
    }

    /// Whether packets may be held back: with marks they are looked at one by one.
    pub(super) fn may_hold(&self) -> bool {
        self.marks.is_empty()
    }
}

/// Services by what selects them: there may be thousands.
struct Services {
    by_end: BTreeMap<(Protocol, Address, u16), usize>,
    by_mark: BTreeMap<(Family, u32), usize>,
}

impl Services {
    fn of(setup: &Setup) -> Self {
        let mut services = Self {
            by_end: BTreeMap::new(),
            by_mark: BTreeMap::new(),
        };
        for (place, service) in setup.services.iter().enumerate() {
            match service.config.key {
                ServiceKey::Address {
                    protocol,
                    address,
                    port,
                } => services.by_end.insert((protocol, address, port), place),
                ServiceKey::Mark { family, mark } => services.by_mark.insert((family, mark), place),
            };
        }
        services
    }

    /// In either direction: the tracker may see a reply first.
    fn reached(&self, packet: &Packet) -> impl Iterator<Item = usize> {
        let destination = Endpoint {
            address: packet.destination,
            port: packet.destination_port,
        };
        let source = Endpoint {
            address: packet.source,
            port: packet.source_port,
        };
        let there = self.of_end(packet.protocol, destination, packet.mark);
        there.chain(self.of_end(packet.protocol, source, 0))
    }

    /// Those of an endpoint: by its port, by every port, and by the packet's mark.
    fn of_end(
        &self,
        protocol: Protocol,
        end: Endpoint,
        packet_mark: u32,
    ) -> impl Iterator<Item = usize> {
        let at = |port| self.by_end.get(&(protocol, end.address, port));
        let of_every_port = if end.port == 0 { None } else { at(0) };
        let of_mark = self.by_mark.get(&(family(end), packet_mark));
        let found = [at(end.port), of_every_port, of_mark];
        found.into_iter().flatten().copied()
    }
}

fn family(endpoint: Endpoint) -> Family {
    if endpoint.address.is_v4() {
        Family::Ipv4
    } else {
        Family::Ipv6
    }
}

fn names(sources: &[Source]) -> String {
    let names: Vec<&str> = sources.iter().map(Source::name).collect();
    names.join(", ")
}

pub(super) fn no_packets(sources: &[Source], trace: &Trace) -> ReplayError {
    let totals = trace.totals();
    let mut skipped: Vec<String> = totals
        .skipped
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let not_taken = trace
        .selector()
        .map(Selector::not_taken)
        .unwrap_or_default();
    let left_out = [
        (not_taken.outside, "outside the window"),
        (not_taken.unsampled, "of connections outside the sample"),
    ];
    let left_out = left_out.into_iter().filter(|&(count, _)| count > 0);
    skipped.extend(left_out.map(|(count, why)| format!("{count} {why}")));
    let skipped = match (totals.frames, skipped.is_empty()) {
        (0, _) => "it holds no packets".to_owned(),
        (_, true) => "nothing was decoded".to_owned(),
        (_, false) => format!("skipped: {}", skipped.join(", ")),
    };
    ReplayError::NoPackets {
        captures: names(sources),
        skipped,
    }
}

fn named(count: &EndpointCount) -> String {
    let EndpointCount {
        protocol,
        endpoint,
        connections,
    } = count;
    format!("{protocol}:{endpoint} ({connections} connections)")
}

pub(super) fn nothing_matched(setup: &Setup, watch: &Watch) -> ReplayError {
    let services: Vec<String> = setup
        .services
        .iter()
        .map(|service| service.config.key.to_string())
        .collect();
    let found = watch.endpoints.busiest();
    let found: Vec<String> = found.iter().take(RUNNERS_UP).map(named).collect();
    ReplayError::NothingMatched {
        services: services.join(" or "),
        found: found.join(", "),
    }
}
