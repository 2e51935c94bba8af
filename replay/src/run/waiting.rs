//! Connections that wait for their first request: what of them a director has not seen yet.

use std::collections::{BTreeMap, VecDeque};

use equipoise_core::{FlowId, ServiceIndex, Timestamp};

use crate::trace::{Asked, Event, TracePacket};

/// How long a connection waits before it is given up (nginx's `client_header_timeout`).
const PATIENCE: u64 = 60 * Timestamp::SECOND;

/// Connections by flow.
#[derive(Default)]
pub(super) struct Waiting {
    connections: BTreeMap<FlowId, Waiter>,
    /// When they are given up, the first to be so in front; some are gone already.
    ends: VecDeque<(Timestamp, FlowId, u64)>,
}

/// One connection.
pub(super) struct Waiter {
    pub(super) service: ServiceIndex,
    /// The packet that would have created it.
    pub(super) first: TracePacket,
    /// What followed.
    pub(super) rest: Vec<Event>,
}

impl Waiter {
    /// Packets that came.
    pub(super) fn packets(&self) -> u64 {
        let packets = self.rest.iter().map(|event| match event {
            Event::Packet(_) => 1,
            Event::Told(told) => told.quiet.low.packets + told.quiet.high.packets,
            Event::Asked(_) => 0,
        });
        1 + packets.sum::<u64>()
    }
}

impl Waiting {
    /// A connection waits from `now` on; gives the one that waited in its place.
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        service: ServiceIndex,
        first: &TracePacket,
    ) -> Option<Waiter> {
        let flow = first.observed.flow;
        let end = Timestamp(now.0.saturating_add(PATIENCE));
        self.ends.push_back((end, flow, first.observed.connection));
        let waiter = Waiter {
            service,
            first: *first,
            rest: Vec::new(),
        };
        self.connections.insert(flow, waiter)
    }

    /// Keeps what belongs to a connection that waits; false where none does.
    pub(super) fn keep(&mut self, event: &Event) -> bool {
        if self.connections.is_empty() {
            return false;
        }
        let (flow, connection) = match event {
            Event::Packet(packet) => (packet.observed.flow, Some(packet.observed.connection)),
            Event::Told(told) => (told.flow, None),
            Event::Asked(_) => return false,
        };
        let waiter = self.connections.get_mut(&flow).filter(|waiter| {
            connection.is_none_or(|number| number == waiter.first.observed.connection)
        });
        match waiter {
            Some(waiter) => waiter.rest.push(event.clone()),
            None => return false,
        }
        true
    }

    /// The connection whose first request is known.
    pub(super) fn end(&mut self, asked: &Asked) -> Option<Waiter> {
        let waiter = self.connections.get(&asked.flow)?;
        if waiter.first.observed.connection != asked.connection {
            return None;
        }
        self.connections.remove(&asked.flow)
    }

    /// One that has waited too long by `now`.
    pub(super) fn give_up(&mut self, now: Timestamp) -> Option<Waiter> {
        while let Some(&(end, flow, connection)) = self.ends.front()
            && end <= now
        {
            self.ends.pop_front();
            let waiter = self.connections.get(&flow);
            if waiter.is_some_and(|waiter| waiter.first.observed.connection == connection) {
                return self.connections.remove(&flow);
            }
        }
        None
    }
}
