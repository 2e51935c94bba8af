//! Between whom requests went, which the tracker may have forgotten by the time they are told of.
//!
//! Nothing more is to come of a request when its flow has carried the next connection's payload: so
//! one entry a flow, and those that were replaced in the latest batch, are all that it takes.

use std::collections::BTreeMap;

use equipoise_core::{Address, Endpoint, Protocol};

use crate::request::Request;
use crate::trace::{Event, TracePacket};
use crate::track::Direction;

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Between {
    connection: u64,
    pub(super) protocol: Protocol,
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
}

/// Both ends of those connections of which requests may be told.
#[derive(Default)]
pub(super) struct Ends {
    /// By flow number, as of its latest packet with payload.
    flows: Vec<Between>,
    replaced: BTreeMap<u64, Between>,
}

impl Ends {
    /// Takes in the latest batch.
    pub(super) fn see(&mut self, batch: &[Event]) {
        self.replaced.clear();
        for event in batch {
            if let Event::Packet(packet) = event
                && packet.payload_length > 0
            {
                self.see_packet(packet);
            }
        }
    }

    fn see_packet(&mut self, packet: &TracePacket) {
        let place = packet.observed.flow.0 as usize;
        if place >= self.flows.len() {
            self.flows.resize(place + 1, NOBODY);
        }
        let between = Between::of(packet);
        let before = std::mem::replace(&mut self.flows[place], between);
        if before.connection != between.connection {
            self.replaced.insert(before.connection, before);
        }
    }

    /// Between whom a request went that was told of after the latest batch.
    pub(super) fn of(&self, request: &Request) -> Between {
        let now = self.flows.get(request.flow.0 as usize);
        let now = now.filter(|between| between.connection == request.connection);
        let found = now.or_else(|| self.replaced.get(&request.connection));
        debug_assert!(found.is_some(), "a request without payload: {request:?}");
        found.copied().unwrap_or(NOBODY)
    }
}

impl Between {
    fn of(packet: &TracePacket) -> Self {
        let TracePacket {
            packet, observed, ..
        } = packet;
        let source = Endpoint {
            address: packet.source,
            port: packet.source_port,
        };
        let destination = Endpoint {
            address: packet.destination,
            port: packet.destination_port,
        };
        let (client, server) = match observed.direction {
            Direction::ToServer => (source, destination),
            Direction::ToClient => (destination, source),
        };
        Self {
            connection: observed.connection,
            protocol: packet.protocol,
            client,
            server,
        }
    }
}

const NOWHERE: Endpoint = Endpoint {
    address: Address(0),
    port: 0,
};

/// Before anything was seen of a flow. No connection has the number 0.
const NOBODY: Between = Between {
    connection: 0,
    protocol: Protocol::Tcp,
    client: NOWHERE,
    server: NOWHERE,
};
