//! Packets of flows that the caller has found already, so that nothing is looked up by address.

use alloc::vec::Vec;

use super::{Asks, Director, Incoming, Outcome};
use crate::connections::FlowId;
use crate::observer::{Observer, Tag};
use crate::{Packet, Request, Timestamp};

impl<O: Observer> Director<O> {
    /// [`Director::packet`], of a flow that the caller has found. A director is given all packets
    /// this way or none: a connection made so is found by its flow only.
    pub fn packet_of_flow(
        &mut self,
        now: Timestamp,
        flow: FlowId,
        packet: &Packet,
        tag: Tag,
    ) -> Outcome {
        self.advance(now);
        self.pass(Incoming {
            packet,
            flow: Some(flow),
            tag,
            asks: Asks::NotYet,
        })
    }

    /// [`Director::request`], of a flow that the caller has found.
    pub fn request_of_flow(
        &mut self,
        now: Timestamp,
        flow: FlowId,
        packet: &Packet,
        request: Option<&Request<'_>>,
        tag: Tag,
    ) -> Outcome {
        self.advance(now);
        self.pass(Incoming {
            packet,
            flow: Some(flow),
            tag,
            asks: Asks::For(request),
        })
    }

    /// The observed time to the first response of the flow's connection.
    pub fn first_response_of_flow(&mut self, flow: FlowId, elapsed_ns: u64) {
        let found = self.connections.find_flow(flow);
        if let Some(entry) = found.and_then(|slot| self.connections.get_mut(slot)) {
            entry.note_first_response(elapsed_ns);
        }
    }

    /// Appends what happened since it was last called: to `created` a flow for each connection that
    /// it came to have, to `freed` a flow for each that its packets find no more. A flow that was
    /// freed as often as it was created has no connection here.
    ///
    /// They are kept until they are taken.
    pub fn take_flow_changes(&mut self, created: &mut Vec<FlowId>, freed: &mut Vec<FlowId>) {
        self.connections.take_flow_changes(created, freed);
    }
}
