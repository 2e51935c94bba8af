//! More clients than the captures have: every connection several times, each time from another
//! address.
//!
//! Flows and connections get numbers of their own; the tracker knows those of the captures only.

use equipoise_core::{Address, FlowId, Packet};

use crate::trace::{Asked, Event, TracePacket};
use crate::track::{Direction, Told};

/// The most copies of a client: as many as the first octet of an IPv4 address can tell apart.
pub const MOST_CLIENTS: u32 = 256;

/// Makes several clients of each.
pub(super) struct Clients {
    times: u32,
    /// By flow, whether the client is the lower end: (address, port). Fixed by the connection's
    /// first packet, for all copies of a packet to go the same way.
    is_low: Vec<bool>,
    spare: Vec<Event>,
}

impl Clients {
    pub(super) fn new(times: u32) -> Self {
        Self {
            times,
            is_low: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// In place of each event one for each copy of its client.
    pub(super) fn multiply(&mut self, batch: &mut Vec<Event>) {
        if self.times == 1 {
            return;
        }
        std::mem::swap(batch, &mut self.spare);
        batch.clear();
        for place in 0..self.spare.len() {
            match &self.spare[place] {
                &Event::Packet(packet) => {
                    let is_from_client = self.is_from_client(&packet);
                    batch.extend(
                        (0..self.times).map(|copy| {
                            Event::Packet(self.packet_of(&packet, is_from_client, copy))
                        }),
                    );
                }
                Event::Asked(asked) => {
                    let copies = 0..self.times;
                    batch.extend(copies.map(|copy| Event::Asked(self.asked_of(asked, copy))));
                }
                &Event::Told(told) => {
                    let is_low = self.is_low.get(told.flow.0 as usize) == Some(&true);
                    batch.extend(
                        (0..self.times).map(|copy| Event::Told(self.told_of(&told, is_low, copy))),
                    );
                }
            }
        }
    }

    fn is_from_client(&mut self, packet: &TracePacket) -> bool {
        let is_lower = is_lower_end(&packet.packet);
        let flow = packet.observed.flow.0 as usize;
        if flow >= self.is_low.len() {
            self.is_low.resize(flow + 1, false);
        }
        if packet.observed.begins {
            let is_from_client = packet.observed.direction == Direction::ToServer;
            self.is_low[flow] = is_from_client == is_lower;
        }
        self.is_low[flow] == is_lower
    }

    fn packet_of(&self, packet: &TracePacket, is_from_client: bool, copy: u32) -> TracePacket {
        let mut copied = *packet;
        shift(&mut copied.packet, is_from_client, copy);
        copied.observed.flow = self.copy_of(packet.observed.flow, copy);
        copied.observed.connection = self.connection_of(packet.observed.connection, copy);
        copied
    }

    fn asked_of(&self, asked: &Asked, copy: u32) -> Asked {
        Asked {
            flow: self.copy_of(asked.flow, copy),
            connection: self.connection_of(asked.connection, copy),
            ..asked.clone()
        }
    }

    fn told_of(&self, told: &Told, is_from_client: bool, copy: u32) -> Told {
        let mut copied = *told;
        shift(&mut copied.sample, is_from_client, copy);
        copied.flow = self.copy_of(told.flow, copy);
        copied
    }

    fn connection_of(&self, connection: u64, copy: u32) -> u64 {
        (connection - 1) * u64::from(self.times) + u64::from(copy) + 1
    }

    /// There are fewer: a flow takes more memory than that leaves.
    fn copy_of(&self, flow: FlowId, copy: u32) -> FlowId {
        FlowId(flow.0.saturating_mul(self.times).saturating_add(copy))
    }
}

/// Whether the sender is the lower of the two ends.
fn is_lower_end(packet: &Packet) -> bool {
    (packet.source, packet.source_port) <= (packet.destination, packet.destination_port)
}

/// Gives the client the address of one of its copies: another first octet, or another network of
/// the 65,536 of an IPv6 site.
fn shift(packet: &mut Packet, is_from_client: bool, copy: u32) {
    let client = if is_from_client {
        &mut packet.source
    } else {
        &mut packet.destination
    };
    *client = if client.is_v4() {
        Address::v4((client.0 as u32).wrapping_add(copy << 24))
    } else {
        Address(client.0.wrapping_add(u128::from(copy) << 64))
    };
}
