//! Connections that wait for their first request: what of them a director has not seen yet.

use std::collections::VecDeque;

use equipoise_core::{FlowId, ServiceIndex, Timestamp};

use crate::trace::{Asked, Event, TracePacket};

/// How long a connection waits before it is given up (nginx's `client_header_timeout`).
const PATIENCE: u64 = 60 * Timestamp::SECOND;

/// Those of one run.
#[derive(Default)]
pub(super) struct Waiting {
    /// By flow number.
    flows: Vec<Option<Box<Waiter>>>,
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
    ) -> Option<Box<Waiter>> {
        let flow = first.observed.flow;
        let end = Timestamp(now.0.saturating_add(PATIENCE));
        self.ends.push_back((end, flow, first.observed.connection));
        let waiter = Waiter {
            service,
            first: *first,
            rest: Vec::new(),
        };
        let place = flow.0 as usize;
        if place >= self.flows.len() {
            self.flows.resize_with(place + 1, || None);
        }
        self.flows[place].replace(Box::new(waiter))
    }

    /// Who waits on a flow, if it is this connection's.
    fn find(&mut self, flow: FlowId, connection: u64) -> Option<&mut Option<Box<Waiter>>> {
        let waiter = self.flows.get_mut(flow.0 as usize)?;
        let number = waiter.as_ref()?.first.observed.connection;
        (number == connection).then_some(waiter)
    }

    /// Keeps what belongs to a connection that waits; false where none does.
    #[inline]
    pub(super) fn keep(&mut self, event: &Event) -> bool {
        if self.flows.is_empty() {
            return false;
        }
        let (flow, connection) = match event {
            Event::Packet(packet) => (packet.observed.flow, Some(packet.observed.connection)),
            Event::Told(told) => (told.flow, None),
            Event::Asked(_) => return false,
        };
        let Some(Some(waiter)) = self.flows.get_mut(flow.0 as usize) else {
            return false;
        };
        let is_its = connection.is_none_or(|number| number == waiter.first.observed.connection);
        if is_its {
            waiter.rest.push(event.clone());
        }
        is_its
    }

    /// The connection whose first request is known.
    pub(super) fn end(&mut self, asked: &Asked) -> Option<Box<Waiter>> {
        self.find(asked.flow, asked.connection)?.take()
    }

    /// One that has waited too long by `now`.
    pub(super) fn give_up(&mut self, now: Timestamp) -> Option<Box<Waiter>> {
        while let Some(&(end, flow, connection)) = self.ends.front()
            && end <= now
        {
            self.ends.pop_front();
            if let Some(waiter) = self.find(flow, connection) {
                return waiter.take();
            }
        }
        None
    }
}
