//! One observed connection.

use equipoise_core::{Endpoint, Packet, Protocol, TcpFlags, Timestamp};
use foldhash::fast::FixedState;

use super::{Direction, destination, hash_pair, is_syn, source};
use crate::decode::Decoded;

/// How it was decided which end is the server, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// It has the lower port: a guess.
    LowerPort,
    /// The first datagram went to it.
    FirstPacket,
    /// It sent a SYN-ACK.
    SynAck,
    /// It was sent a SYN.
    Syn,
}

/// How a connection was closed: by whichever came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// A FIN.
    Fin,
    /// A reset.
    Reset,
}

/// What was observed of a connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Who connects.
    pub client: Endpoint,
    /// Who is connected to.
    pub server: Endpoint,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// How client and server were told apart.
    pub basis: Basis,
    /// Whether SYN, SYN-ACK and an ACK of the client were seen.
    pub established: bool,
    /// How it was closed, if it was.
    pub close: Option<Close>,
    /// Time of the first packet.
    pub first: Timestamp,
    /// Time of the last packet.
    pub last: Timestamp,
    /// From the client's first payload to the server's first after it, in nanoseconds. For UDP
    /// every datagram counts as payload.
    pub first_response_ns: Option<u64>,
    /// Packets and bytes to the server.
    pub to_server: Traffic,
    /// Packets and bytes to the client.
    pub to_client: Traffic,
    syn_ack_seen: bool,
    first_request: Option<Timestamp>,
    /// Initial sequence numbers, as far as seen or inferred: of the client, of the server.
    initial_sequence: [Option<u32>; 2],
}

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets, repeats included.
    pub packets: u64,
    /// Bytes by the lengths of the IP packets.
    pub bytes: u64,
    /// Bytes of TCP or UDP payload.
    pub payload_bytes: u64,
}

impl Connection {
    /// A connection that begins with this packet, which is yet to be taken in.
    pub(super) fn begin(now: Timestamp, packet: &Packet) -> Self {
        let (sender, receiver) = (source(packet), destination(packet));
        let (client, server, basis) = match packet.protocol {
            Protocol::Tcp if receiver.port <= sender.port => (sender, receiver, Basis::LowerPort),
            Protocol::Tcp => (receiver, sender, Basis::LowerPort),
            _ => (sender, receiver, Basis::FirstPacket),
        };
        Self {
            client,
            server,
            protocol: packet.protocol,
            basis,
            established: false,
            close: None,
            first: now,
            last: now,
            first_response_ns: None,
            to_server: Traffic::default(),
            to_client: Traffic::default(),
            syn_ack_seen: false,
            first_request: None,
            initial_sequence: [None; 2],
        }
    }

    /// Whether the packet has this 5-tuple, in either direction.
    #[inline]
    pub(super) fn is_of(&self, packet: &Packet) -> bool {
        let (sender, receiver) = (source(packet), destination(packet));
        self.protocol == packet.protocol
            && (self.client == sender && self.server == receiver
                || self.server == sender && self.client == receiver)
    }

    pub(super) fn hash(&self, hasher: &FixedState) -> u64 {
        hash_pair(
            hasher,
            self.protocol,
            (self.client.address.0, self.client.port),
            (self.server.address.0, self.server.port),
        )
    }

    /// Whether the packet, of this 5-tuple, belongs to a new connection: a SYN whose sequence
    /// number is not the one its sender began with, or a datagram after a long silence.
    #[inline]
    pub(super) fn ends_before(&self, now: Timestamp, decoded: &Decoded, udp_idle_ns: u64) -> bool {
        match self.protocol {
            Protocol::Tcp => {
                is_syn(decoded.packet.flags)
                    && self.initial_sequence[self.direction(&decoded.packet) as usize]
                        .is_some_and(|initial| initial != decoded.tcp_sequence)
            }
            _ => now.0.saturating_sub(self.last.0) > udp_idle_ns,
        }
    }

    /// Takes in a packet of this connection: its direction, and the time to the first response
    /// where this is that response.
    #[inline]
    pub(super) fn take(&mut self, now: Timestamp, decoded: &Decoded) -> (Direction, Option<u64>) {
        if self.protocol == Protocol::Tcp {
            self.take_flags(decoded);
        }
        let direction = self.direction(&decoded.packet);
        let traffic = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        traffic.packets += 1;
        traffic.bytes += u64::from(decoded.packet.length);
        traffic.payload_bytes += u64::from(decoded.payload_length);
        self.last = now;
        let mut first_response_ns = None;
        if self.first_response_ns.is_none()
            && (decoded.payload_length > 0 || self.protocol != Protocol::Tcp)
        {
            match (direction, self.first_request) {
                (Direction::ToServer, None) => self.first_request = Some(now),
                (Direction::ToClient, Some(request)) => {
                    first_response_ns = Some(now.0.saturating_sub(request.0));
                    self.first_response_ns = first_response_ns;
                }
                _ => {}
            }
        }
        (direction, first_response_ns)
    }

    fn take_flags(&mut self, decoded: &Decoded) {
        let flags = decoded.packet.flags;
        if flags.contains(TcpFlags::SYN) {
            self.learn_ends(&decoded.packet);
        }
        let direction = self.direction(&decoded.packet);
        let (own, other) = match direction {
            Direction::ToServer => (0, 1),
            Direction::ToClient => (1, 0),
        };
        // The first byte follows the number a SYN bears, so it can be told from any packet.
        if self.initial_sequence[own].is_none() {
            self.initial_sequence[own] = Some(if flags.contains(TcpFlags::SYN) {
                decoded.tcp_sequence
            } else {
                decoded.tcp_sequence.wrapping_sub(1)
            });
        }
        if flags.contains(TcpFlags::ACK) && self.initial_sequence[other].is_none() {
            self.initial_sequence[other] = Some(decoded.tcp_acknowledgement.wrapping_sub(1));
        }
        match direction {
            Direction::ToClient if flags.contains(TcpFlags::SYN | TcpFlags::ACK) => {
                self.syn_ack_seen = true;
            }
            Direction::ToServer if flags.contains(TcpFlags::ACK) && self.syn_ack_seen => {
                self.established |= self.basis == Basis::Syn;
            }
            _ => {}
        }
        if self.close.is_none() {
            if flags.contains(TcpFlags::RST) {
                self.close = Some(Close::Reset);
            } else if flags.contains(TcpFlags::FIN) {
                self.close = Some(Close::Fin);
            }
        }
    }

    /// A SYN or SYN-ACK shows who is who, unless something as good did before.
    fn learn_ends(&mut self, packet: &Packet) {
        let (basis, server) = if is_syn(packet.flags) {
            (Basis::Syn, destination(packet))
        } else {
            (Basis::SynAck, source(packet))
        };
        if basis <= self.basis {
            return;
        }
        self.basis = basis;
        if server != self.server {
            std::mem::swap(&mut self.client, &mut self.server);
            std::mem::swap(&mut self.to_server, &mut self.to_client);
            self.initial_sequence.swap(0, 1);
            // What passed for a request was not one.
            self.first_request = None;
            self.first_response_ns = None;
        }
    }

    #[inline]
    fn direction(&self, packet: &Packet) -> Direction {
        // Both ends may have one address; only where the ports agree as well is this a guess.
        if packet.source_port == self.client.port && packet.source == self.client.address {
            Direction::ToServer
        } else {
            Direction::ToClient
        }
    }
}
