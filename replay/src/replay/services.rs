//! Which services there are to replay, and which packets are theirs.

use equipoise_core::{Endpoint, Packet, Protocol, ServiceKey};

use super::reading::next_batch;
use super::{Options, Phase, Progress, ReplayError, Watcher};
use crate::capture::Source;
use crate::setup::{MarkRules, Setup};
use crate::trace::{Event, Trace, TracePacket};
use crate::track::{Connection, EndpointCount, Endpoints, Tracker};
use crate::transform::Selector;

/// How many endpoints are named besides the chosen one.
const RUNNERS_UP: usize = 4;

/// The endpoints of the captures, the busiest first.
pub(super) struct Survey(Vec<EndpointCount>);

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
                return Err(ReplayError::Interrupted);
            }
        }
        trace.ended().for_each(|ended| endpoints.count(&ended));
        let found = endpoints.busiest();
        if found.is_empty() {
            return Err(match errors.into_iter().next() {
                Some(error) => error.into(),
                None => no_packets(sources, &trace),
            });
        }
        Ok(Self(found))
    }

    pub(super) fn busiest(&self, sources: &[Source]) -> Result<(Protocol, Endpoint), ReplayError> {
        match self.0.first() {
            Some(found) => Ok((found.protocol, found.endpoint)),
            None => Err(ReplayError::NoPackets {
                captures: names(sources),
                skipped: "no connections".to_owned(),
            }),
        }
    }

    pub(super) fn chosen(&self) -> Option<(&EndpointCount, &[EndpointCount])> {
        let (first, rest) = self.0.split_first()?;
        Some((first, &rest[..rest.len().min(RUNNERS_UP)]))
    }
}

/// Marks packets, and notes which services they reach and which connections are whose.
pub(super) struct Watch {
    marks: MarkRules,
    keys: Vec<ServiceKey>,
    matched: Vec<bool>,
    observed: Vec<u64>,
    /// For the case that no service is reached.
    endpoints: Endpoints,
}

impl Watch {
    pub(super) fn new(setup: &Setup) -> Self {
        let keys: Vec<ServiceKey> = setup
            .services
            .iter()
            .map(|service| service.config.key)
            .collect();
        Self {
            marks: setup.marks.clone(),
            matched: vec![false; keys.len()],
            observed: vec![0; keys.len()],
            endpoints: Endpoints::default(),
            keys,
        }
    }

    pub(super) fn mark(&mut self, batch: &mut [Event]) {
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
                for (key, matched) in self.keys.iter().zip(&mut self.matched) {
                    *matched |= reaches(key, packet, packet.mark);
                }
            }
        }
    }

    pub(super) fn matched_any(&self) -> bool {
        self.matched.contains(&true)
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
        for (key, observed) in self.keys.iter().zip(&mut self.observed) {
            *observed += u64::from(is_for(key, protocol, server, mark));
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

/// In either direction: the tracker may see a reply first.
fn reaches(key: &ServiceKey, packet: &Packet, mark: u32) -> bool {
    let destination = Endpoint {
        address: packet.destination,
        port: packet.destination_port,
    };
    let source = Endpoint {
        address: packet.source,
        port: packet.source_port,
    };
    is_for(key, packet.protocol, destination, mark) || is_for(key, packet.protocol, source, 0)
}

fn is_for(key: &ServiceKey, protocol: Protocol, endpoint: Endpoint, packet_mark: u32) -> bool {
    match *key {
        ServiceKey::Address {
            protocol: own,
            address,
            port,
        } => own == protocol && address == endpoint.address && (port == 0 || port == endpoint.port),
        ServiceKey::Mark { mark, .. } => mark == packet_mark && key.family() == family(endpoint),
    }
}

fn family(endpoint: Endpoint) -> equipoise_core::Family {
    if endpoint.address.is_v4() {
        equipoise_core::Family::Ipv4
    } else {
        equipoise_core::Family::Ipv6
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

pub(super) fn nothing_matched(setup: &Setup, watch: &Watch) -> ReplayError {
    let services: Vec<String> = setup
        .services
        .iter()
        .map(|service| service.config.key.to_string())
        .collect();
    let found: Vec<String> = watch
        .endpoints
        .busiest()
        .iter()
        .take(RUNNERS_UP)
        .map(|count| {
            format!(
                "{}:{} ({} connections)",
                count.protocol, count.endpoint, count.connections
            )
        })
        .collect();
    ReplayError::NothingMatched {
        services: services.join(" or "),
        found: found.join(", "),
    }
}
