//! Which services there are to replay, and which packets are theirs.

use equipoise_core::{Endpoint, Packet, Protocol, ServiceKey};

use super::ReplayError;
use crate::capture::Source;
use crate::setup::{MarkRules, Setup};
use crate::trace::{Trace, TracePacket};
use crate::track::{Connection, EndpointCount, survey};

/// How many endpoints are named besides the chosen one.
const RUNNERS_UP: usize = 4;

/// The endpoints of the captures, the busiest first.
pub(super) struct Survey(Vec<EndpointCount>);

impl Survey {
    /// Reads the captures once. What stops a capture early is told when it is read again.
    pub(super) fn read(sources: &[Source]) -> Result<Self, ReplayError> {
        let mut trace = Trace::open(sources)?;
        let mut batch = Vec::new();
        let mut errors = Vec::new();
        while super::next_batch(&mut trace, &mut batch, &mut errors) {}
        if trace.tracker().connections().is_empty() {
            return Err(match errors.into_iter().next() {
                Some(error) => error.into(),
                None => no_packets(sources, &trace),
            });
        }
        Ok(Self(survey(trace.tracker().connections())))
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

/// Marks packets, and notes which services they reach.
pub(super) struct Watch {
    marks: MarkRules,
    keys: Vec<ServiceKey>,
    matched: Vec<bool>,
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
            keys,
        }
    }

    pub(super) fn mark(&mut self, batch: &mut [TracePacket]) {
        for TracePacket {
            packet, observed, ..
        } in batch
        {
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

    /// Connections of the captures whose server side is the service.
    pub(super) fn observed(&self, service: usize, connections: &[Connection]) -> u64 {
        let Some(key) = self.keys.get(service) else {
            return 0;
        };
        let is_its = |connection: &&Connection| {
            let Connection {
                server, protocol, ..
            } = connection;
            let mark = self.marks.mark(*protocol, server.address, server.port);
            is_for(key, *protocol, *server, mark)
        };
        connections.iter().filter(is_its).count() as u64
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
    let skipped: Vec<String> = totals
        .skipped
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
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

pub(super) fn nothing_matched(setup: &Setup, trace: &Trace) -> ReplayError {
    let services: Vec<String> = setup
        .services
        .iter()
        .map(|service| service.config.key.to_string())
        .collect();
    let found: Vec<String> = survey(trace.tracker().connections())
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
