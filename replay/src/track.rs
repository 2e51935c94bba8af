//! Packets to observed connections: what happened in the capture, whoever balances what.
//!
//! Shared by all runs. Knows nothing of services or IPVS states. A connection is observed from its
//! first packet, SYN or not, which is more than IPVS would schedule.

mod connection;
mod survey;

pub use connection::{Basis, Close, Connection};
pub use survey::{EndpointCount, survey};

use std::hash::{BuildHasher, Hash, Hasher};

use equipoise_core::{Endpoint, Packet, Protocol, TcpFlags, Timestamp};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::decode::Decoded;

/// Idle time after which a packet of a UDP 5-tuple begins a new flow: IPVS's default UDP timeout.
pub const UDP_IDLE_NS: u64 = 300 * Timestamp::SECOND;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From client to server.
    ToServer,
    /// From server to client.
    ToClient,
}

/// What the tracker says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The connection, numbered from 1 in order of first packets.
    pub connection: u64,
    /// Which way, as far as is known by now.
    pub direction: Direction,
    /// Whether the connection begins with this packet.
    pub begins: bool,
    /// On the packet that is the first response, and on no other: nanoseconds since the client's
    /// first payload.
    pub first_response_ns: Option<u64>,
}

/// The connections seen so far. Memory grows with their number; nothing is evicted yet.
pub struct Tracker {
    connections: Vec<Connection>,
    /// Places in `connections`, the latest of each 5-tuple. Never iterated.
    latest: HashTable<u32>,
    hasher: FixedState,
    udp_idle_ns: u64,
}

impl Default for Tracker {
    fn default() -> Self {
        Self::with_udp_idle(UDP_IDLE_NS)
    }
}

impl Tracker {
    /// With another idle time for UDP, in nanoseconds; `u64::MAX` never splits a flow.
    pub fn with_udp_idle(udp_idle_ns: u64) -> Self {
        Self {
            connections: Vec::new(),
            latest: HashTable::new(),
            hasher: FixedState::default(),
            udp_idle_ns,
        }
    }

    /// Takes in the next packet; `now` never goes back.
    #[inline]
    pub fn track(&mut self, now: Timestamp, decoded: &Decoded) -> Observed {
        let packet = &decoded.packet;
        let hash = hash(&self.hasher, packet);
        let known = self.latest.find_mut(hash, |&place| {
            self.connections[place as usize].is_of(packet)
        });
        let (place, begins) = match known {
            Some(place)
                if !self.connections[*place as usize].ends_before(
                    now,
                    decoded,
                    self.udp_idle_ns,
                ) =>
            {
                (*place as usize, false)
            }
            Some(place) => {
                let new = self.connections.len();
                *place = new as u32;
                self.connections.push(Connection::begin(now, packet));
                (new, true)
            }
            None => {
                let new = self.connections.len();
                self.connections.push(Connection::begin(now, packet));
                let (connections, hasher) = (&self.connections, &self.hasher);
                self.latest.insert_unique(hash, new as u32, |&place| {
                    connections[place as usize].hash(hasher)
                });
                (new, true)
            }
        };
        let (direction, first_response_ns) = self.connections[place].take(now, decoded);
        Observed {
            connection: place as u64 + 1,
            direction,
            begins,
            first_response_ns,
        }
    }

    /// All connections, the one numbered n at n − 1.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }
}

/// The same for both directions.
#[inline]
fn hash(hasher: &FixedState, packet: &Packet) -> u64 {
    hash_pair(
        hasher,
        packet.protocol,
        (packet.source.0, packet.source_port),
        (packet.destination.0, packet.destination_port),
    )
}

#[inline]
fn hash_pair(hasher: &FixedState, protocol: Protocol, one: (u128, u16), other: (u128, u16)) -> u64 {
    let (low, high) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    let mut state = hasher.build_hasher();
    low.0.hash(&mut state);
    high.0.hash(&mut state);
    (u64::from(low.1) << 32 | u64::from(high.1) << 16 | protocol as u64).hash(&mut state);
    state.finish()
}

fn source(packet: &Packet) -> Endpoint {
    Endpoint {
        address: packet.source,
        port: packet.source_port,
    }
}

fn destination(packet: &Packet) -> Endpoint {
    Endpoint {
        address: packet.destination,
        port: packet.destination_port,
    }
}

fn is_syn(flags: TcpFlags) -> bool {
    flags & (TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::SYN
}
