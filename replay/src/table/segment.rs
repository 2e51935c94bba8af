//! A stretch of the trace: packets in their order, and the rows that they belong to. Written and
//! read whole, so that memory is bounded by it on both sides.

use equipoise_core::{Endpoint, FlowId, Packet, Protocol, TcpFlags, Timestamp};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::decode::Decoded;
use crate::trace::Seen;
use crate::track::{Basis, Close, Connection, Traffic};

/// Packets row after row, as they lie in a file: what goes through them column by column does not
/// jump about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(super) rows: Vec<Row>,
    pub(super) packets: Vec<Stored>,
    /// The place of each packet in the trace, from 0.
    pub(super) places: Vec<u32>,
    /// Where in `packets` the one at a place is.
    slots: Vec<u32>,
}

/// What the packets of a row have in common: all that reading a trace back takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) protocol: Protocol,
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
}

/// One packet, but for what its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) row: u32,
    pub(super) capture: u32,
    pub(super) number: u64,
    /// By the trace's clock.
    pub(super) time_ns: u64,
    /// As the capture has it: not after the trace's.
    pub(super) raw_time_ns: Option<u64>,
    pub(super) length: u32,
    pub(super) payload_length: u32,
    pub(super) tcp_sequence: u32,
    pub(super) tcp_acknowledgement: u32,
    pub(super) identification: u16,
    pub(super) flags: TcpFlags,
    pub(super) to_server: bool,
    pub(super) first_fragment: bool,
}

/// A packet as it is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restored {
    pub(crate) capture: u32,
    pub(crate) number: u64,
    pub(crate) time: Timestamp,
    pub(crate) raw_time_ns: Option<u64>,
    pub(crate) decoded: Decoded,
}

impl Segment {
    /// From packets row after row and their places; none where two are in one place.
    pub(super) fn new(rows: Vec<Row>, packets: Vec<Stored>, places: Vec<u32>) -> Option<Self> {
        let mut slots = vec![u32::MAX; packets.len()];
        for (slot, &place) in places.iter().enumerate() {
            let slot_of_place = slots.get_mut(place as usize)?;
            if *slot_of_place != u32::MAX {
                return None;
            }
            *slot_of_place = slot as u32;
        }
        Some(Self {
            rows,
            packets,
            places,
            slots,
        })
    }

    /// From packets in the order of the trace.
    pub(super) fn in_order(rows: Vec<Row>, packets: &[Stored]) -> Self {
        let mut next = vec![0; rows.len() + 1];
        for packet in packets {
            next[packet.row as usize + 1] += 1;
        }
        for row in 1..next.len() {
            next[row] += next[row - 1];
        }
        let mut slots = Vec::with_capacity(packets.len());
        let mut places = vec![0; packets.len()];
        for (place, packet) in packets.iter().enumerate() {
            let slot: &mut u32 = &mut next[packet.row as usize];
            places[*slot as usize] = place as u32;
            slots.push(*slot);
            *slot += 1;
        }
        let packets = places.iter().map(|&place| packets[place as usize]);
        Self {
            rows,
            packets: packets.collect(),
            places,
            slots,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    /// The packet at a place.
    #[inline]
    pub(crate) fn packet(&self, place: usize) -> Option<Restored> {
        let slot = *self.slots.get(place)?;
        let stored = self.packets.get(slot as usize)?;
        let row = self.rows.get(stored.row as usize)?;
        let (from, to) = if stored.to_server {
            (row.client, row.server)
        } else {
            (row.server, row.client)
        };
        Some(Restored {
            capture: stored.capture,
            number: stored.number,
            time: Timestamp(stored.time_ns),
            raw_time_ns: stored.raw_time_ns,
            decoded: Decoded {
                packet: Packet {
                    source: from.address,
                    destination: to.address,
                    source_port: from.port,
                    destination_port: to.port,
                    protocol: row.protocol,
                    flags: stored.flags,
                    length: stored.length,
                    mark: 0,
                },
                payload_length: stored.payload_length,
                tcp_sequence: stored.tcp_sequence,
                tcp_acknowledgement: stored.tcp_acknowledgement,
                first_fragment: stored.first_fragment,
                identification: stored.identification,
            },
        })
    }
}

/// What a row says of its connection besides, up to the end of the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) connection: u64,
    pub(super) basis: Basis,
    pub(super) established: bool,
    pub(super) is_second_leg: bool,
    pub(super) close: Option<Close>,
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
    pub(super) first_response_ns: Option<u64>,
    pub(super) to_server: Traffic,
    pub(super) to_client: Traffic,
}

/// A segment in the making.
#[derive(Default)]
pub(super) struct Collector {
    packets: Vec<Stored>,
    rows: Vec<Row>,
    open: Vec<Open>,
    /// Places of connections in `rows`. Never iterated.
    index: HashMap<u64, u32, FixedState>,
}

/// A row in the making.
struct Open {
    flow: FlowId,
    summary: Summary,
    /// Who sent the first packet is the server.
    is_turned: bool,
    has_response: bool,
}

impl Collector {
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    /// Takes in the next packet.
    pub(super) fn add(&mut self, seen: &Seen) {
        let decoded = &seen.decoded;
        let packet = &decoded.packet;
        let [source, destination] = ends_of(packet);
        let place = *self.index.entry(seen.connection).or_insert_with(|| {
            self.rows.push(Row {
                protocol: packet.protocol,
                client: source,
                server: destination,
            });
            self.open.push(Open::begin(seen));
            self.open.len() as u32 - 1
        });
        let from_first = source == self.rows[place as usize].client;
        self.open[place as usize].add(seen, from_first);
        self.packets.push(Stored {
            row: place,
            capture: seen.capture,
            number: seen.number,
            time_ns: seen.time.0,
            raw_time_ns: seen.raw_time_ns,
            length: packet.length,
            payload_length: decoded.payload_length,
            tcp_sequence: decoded.tcp_sequence,
            tcp_acknowledgement: decoded.tcp_acknowledgement,
            identification: decoded.identification,
            flags: packet.flags,
            to_server: from_first,
            first_fragment: decoded.first_fragment,
        });
    }

    /// Takes in what is known of a connection at its end.
    pub(super) fn end(&mut self, connection: &Connection) {
        if let Some(&place) = self.index.get(&connection.number) {
            let sender = self.rows[place as usize].client;
            self.open[place as usize].learn(connection, sender);
        }
    }

    /// Ends the segment: `connection` knows those that have not ended.
    pub(super) fn finish(
        &mut self,
        connection: impl Fn(FlowId) -> Option<Connection>,
    ) -> (Segment, Vec<Summary>) {
        let Self {
            mut packets,
            mut rows,
            open,
            ..
        } = std::mem::take(self);
        let mut turned = Vec::with_capacity(rows.len());
        let mut summaries = Vec::with_capacity(rows.len());
        for (mut open, row) in open.into_iter().zip(&mut rows) {
            if let Some(connection) = connection(open.flow)
                && open.summary.connection == connection.number
            {
                open.learn(&connection, row.client);
            }
            if open.is_turned {
                std::mem::swap(&mut row.client, &mut row.server);
                let summary = &mut open.summary;
                std::mem::swap(&mut summary.to_server, &mut summary.to_client);
            }
            turned.push(open.is_turned);
            summaries.push(open.summary);
        }
        for packet in &mut packets {
            packet.to_server ^= turned[packet.row as usize];
        }
        (Segment::in_order(rows, &packets), summaries)
    }
}

impl Open {
    fn begin(seen: &Seen) -> Self {
        Self {
            flow: seen.flow,
            summary: Summary {
                connection: seen.connection,
                basis: Basis::LowerPort,
                established: false,
                is_second_leg: false,
                close: None,
                first_ns: seen.time.0,
                last_ns: seen.time.0,
                first_response_ns: None,
                to_server: Traffic::default(),
                to_client: Traffic::default(),
            },
            is_turned: false,
            has_response: false,
        }
    }

    fn add(&mut self, seen: &Seen, from_first: bool) {
        let summary = &mut self.summary;
        summary.last_ns = seen.time.0;
        let traffic = if from_first {
            &mut summary.to_server
        } else {
            &mut summary.to_client
        };
        traffic.packets += 1;
        traffic.bytes += u64::from(seen.decoded.packet.length);
        traffic.payload_bytes += u64::from(seen.decoded.payload_length);
        self.has_response |= seen.is_response;
    }

    fn learn(&mut self, connection: &Connection, first_sender: Endpoint) {
        self.is_turned = connection.client != first_sender;
        let summary = &mut self.summary;
        // A copy that a mirror port made counts as traffic only.
        summary.last_ns = summary.last_ns.min(connection.last.0).max(summary.first_ns);
        summary.basis = connection.basis;
        summary.is_second_leg = connection.is_second_leg;
        summary.established = connection.established;
        summary.close = connection.close;
        summary.first_response_ns = connection.first_response_ns.filter(|_| self.has_response);
    }
}

fn ends_of(packet: &Packet) -> [Endpoint; 2] {
    [
        Endpoint {
            address: packet.source,
            port: packet.source_port,
        },
        Endpoint {
            address: packet.destination,
            port: packet.destination_port,
        },
    ]
}
