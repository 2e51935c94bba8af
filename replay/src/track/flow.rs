//! One 5-tuple and the connection that it carries now, in as few bytes as it takes: there may be
//! millions.

use equipoise_core::{Address, Endpoint, Packet, Protocol, TcpFlags, Timestamp};

use super::connection::{Basis, Close, Connection, Traffic};
use super::{Direction, is_syn};
use crate::decode::Decoded;

/// A time that has not come.
const NEVER: u64 = u64::MAX;
/// The number of no connection.
pub(super) const FORGOTTEN: u64 = 0;

/// A 5-tuple, both directions. Its ends are numbered: 0 sent the first packet.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// In two words each: a `u128` would ask for the alignment of 16 bytes.
    addresses: [(u64, u64); 2],
    ports: [u16; 2],
    pub(super) protocol: Protocol,
    kind: Kind,
    basis: Basis,
    /// Which end is the client.
    client: u8,
    /// Those of both sides and of the flow, in one word: a part that was just written is slow to read
    /// as a whole.
    bits: u32,
    /// The batch of the latest packet: who follows a batch later may still ask for it.
    pub(super) batch: u32,
    number: u64,
    first: u64,
    /// When the client first sent data; once [`RESPONDED`], how long the first response took.
    first_request: u64,
    /// The number of the first byte that each side sent, where it is known.
    initial_sequences: [u32; 2],
    /// The earlier one of both sides' [`Side::told`].
    fresh_since: u64,
    pub(super) sides: [Side; 2],
}

/// What tells at once that a packet is of another flow, or leaves little to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No packet is of it: the flow is forgotten.
    None,
    /// TCP over IPv4: protocol and upper halves of the addresses are the same.
    Commonest,
    Other,
}

impl Kind {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    fn of(packet: &Packet) -> Self {
        let is_v4 = packet.source.is_v4() && packet.destination.is_v4();
        match packet.protocol {
            Protocol::Tcp if is_v4 => Self::Commonest,
            _ => Self::Other,
        }
    }
}

/// What one end sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    packets: u64,
    bytes: u64,
    payload_bytes: u64,
    /// Time of its latest packet.
    pub(super) last: u64,
    /// Time of its latest packet that was passed on or told of, of any connection on the flow.
    told: u64,
    /// Held back since.
    pub(super) held_packets: u32,
    pub(super) held_bytes: u32,
}

impl Side {
    const INITIAL: Self = Self {
        packets: 0,
        bytes: 0,
        payload_bytes: 0,
        last: 0,
        told: NEVER,
        held_packets: 0,
        held_bytes: 0,
    };

    const fn traffic(&self) -> Traffic {
        Traffic {
            packets: self.packets,
            bytes: self.bytes,
            payload_bytes: self.payload_bytes,
        }
    }
}

/// Bits of one side. A plain packet was passed on since the flow's latest SYN, FIN or RST.
const PASSED_PLAIN: u32 = 1;
const KNOWS_SEQUENCE: u32 = 2;
const SENT_FIN: u32 = 4;
const RESPONDED: u32 = 8;

const fn of_side(side: usize, bit: u32) -> u32 {
    bit << (8 * side)
}

/// Bits of the flow.
const SYN_ACK_SEEN: u32 = 1 << 16;
const ESTABLISHED: u32 = 2 << 16;
const CLOSED_BY_FIN: u32 = 4 << 16;
const CLOSED_BY_RESET: u32 = 8 << 16;
/// Any reset, first or not.
const RESET: u32 = 16 << 16;
/// Something other than SYN and RST was sent.
const UNDER_WAY: u32 = 32 << 16;
const SECOND_LEG: u32 = 64 << 16;

/// What a FIN or RST adds to the bits.
const fn closing(bits: u32, flags: TcpFlags, side: usize) -> u32 {
    let is_reset = flags.contains(TcpFlags::RST);
    let first = match (bits & (CLOSED_BY_FIN | CLOSED_BY_RESET), is_reset) {
        (0, true) => CLOSED_BY_RESET,
        (0, false) => CLOSED_BY_FIN,
        _ => 0,
    };
    let reset = if is_reset { RESET } else { 0 };
    let fin = if flags.contains(TcpFlags::FIN) {
        of_side(side, SENT_FIN)
    } else {
        0
    };
    first | reset | fin
}

/// How long silence may last before a flow is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Closed by both ends or a reset, or never answered.
    Over,
    /// Closed by one end, as far as seen.
    Closing,
    Open,
    Datagrams,
}

impl Flow {
    /// A flow that begins with this packet, which is yet to be taken in.
    pub(super) fn begin(number: u64, now: Timestamp, packet: &Packet) -> Self {
        let lower = packet.destination_port <= packet.source_port;
        let (client, basis) = match packet.protocol {
            Protocol::Tcp => (u8::from(!lower), Basis::LowerPort),
            _ => (0, Basis::FirstPacket),
        };
        Self {
            addresses: [packet.source.words(), packet.destination.words()],
            ports: [packet.source_port, packet.destination_port],
            protocol: packet.protocol,
            kind: Kind::of(packet),
            basis,
            client,
            bits: 0,
            batch: 0,
            number,
            first: now.0,
            first_request: NEVER,
            initial_sequences: [0; 2],
            fresh_since: NEVER,
            sides: [Side::INITIAL; 2],
        }
    }

    /// The same 5-tuple carries another connection from now on, which `side` begins.
    pub(super) fn begin_again(
        &mut self,
        number: u64,
        now: Timestamp,
        packet: &Packet,
        side: usize,
    ) {
        let told = [self.sides[side].told, self.sides[1 - side].told];
        *self = Self {
            batch: self.batch,
            ..Self::begin(number, now, packet)
        };
        for (side, told) in told.into_iter().enumerate() {
            self.note_told(side, told);
        }
    }

    /// The latest packet of a side that was passed on or told of came then.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    pub(super) fn note_told(&mut self, side: usize, at: u64) {
        self.sides[side].told = at;
        // Never is later than any time.
        self.fresh_since = at.min(self.sides[1 - side].told);
    }

    #[inline]
    const fn has(&self, side: usize, bit: u32) -> bool {
        self.bits & of_side(side, bit) != 0
    }

    #[inline]
    const fn set(&mut self, side: usize, bit: u32) {
        self.bits |= of_side(side, bit);
    }

    /// From 1; [`FORGOTTEN`] in a place to use again.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn set_forgotten(&mut self) {
        self.number = FORGOTTEN;
        self.kind = Kind::None;
    }

    /// What this flow carries now is the second leg of a connection; whether that is news.
    pub(super) fn mark_second_leg(&mut self) -> bool {
        let is_news = !self.is_second_leg();
        self.bits |= SECOND_LEG;
        // None of its packets is held back from now on.
        self.note_change();
        is_news
    }

    /// It is not, as it turned out; whether that is news.
    pub(super) const fn unmark_second_leg(&mut self) -> bool {
        let is_news = self.is_second_leg();
        self.bits &= !SECOND_LEG;
        is_news
    }

    pub(super) const fn is_second_leg(&self) -> bool {
        self.bits & SECOND_LEG != 0
    }

    /// Takes in a copy: as traffic and as nothing else.
    pub(super) const fn count_copy(&mut self, decoded: &Decoded, side: usize) {
        let from = &mut self.sides[side];
        from.packets += 1;
        from.bytes += decoded.packet.length as u64;
        from.payload_bytes += decoded.payload_length as u64;
    }

    /// Takes in a packet that is no copy, as traffic.
    #[inline]
    pub(super) fn count(&mut self, now: Timestamp, decoded: &Decoded, side: usize) {
        self.count_copy(decoded, side);
        let from = &mut self.sides[side];
        from.last = now.0;
    }

    /// Whether a plain packet from `side` is one of many: one like it was passed on since the latest
    /// SYN, FIN or RST, and each side that sends is no longer than `limit_ns` ago told of.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    pub(super) const fn is_routine(&self, side: usize, now: Timestamp, limit_ns: u64) -> bool {
        self.has(side, PASSED_PLAIN) & (now.0 < self.fresh_since.saturating_add(limit_ns))
    }

    /// Whether the first response came.
    #[inline]
    pub(super) const fn has_responded(&self) -> bool {
        self.has(0, RESPONDED)
    }

    pub(super) fn ends(&self) -> [(Address, u16); 2] {
        [0, 1].map(|side| {
            let (high, low) = self.addresses[side];
            (Address::from_words(high, low), self.ports[side])
        })
    }

    /// Which end sent the packet; none where it is of another flow.
    #[inline]
    pub(super) fn side_of(&self, packet: &Packet) -> Option<usize> {
        [0, 1].into_iter().find(|&side| self.is_from(side, packet))
    }

    /// Whether the packet is of this flow and from that end.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    pub(super) fn is_from(&self, side: usize, packet: &Packet) -> bool {
        let kind = Kind::of(packet);
        let (from, to) = (self.addresses[side], self.addresses[1 - side]);
        let (source, destination) = (packet.source.words(), packet.destination.words());
        let is_alike =
            || self.protocol == packet.protocol && from.0 == source.0 && to.0 == destination.0;
        self.kind == kind
            && from.1 == source.1
            && to.1 == destination.1
            && self.ports[side] == packet.source_port
            && self.ports[1 - side] == packet.destination_port
            && (kind == Kind::Commonest || is_alike())
    }

    /// Time of the connection's first packet.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// Time of each side's latest packet.
    #[inline]
    pub(super) const fn lasts(&self) -> [u64; 2] {
        [self.sides[0].last, self.sides[1].last]
    }

    /// Time of the latest packet.
    #[inline]
    pub(super) fn last(&self) -> u64 {
        self.sides[0].last.max(self.sides[1].last).max(self.first)
    }

    /// Whether the packet from `side` belongs to a new connection, whatever the time: a SYN whose
    /// sequence number is not the one its sender began with.
    #[inline]
    pub(super) fn ends_before(&self, decoded: &Decoded, side: usize) -> bool {
        self.protocol == Protocol::Tcp
            && is_syn(decoded.packet.flags)
            && self.has(side, KNOWS_SEQUENCE)
            && self.initial_sequences[side] != decoded.tcp_sequence
    }

    /// Takes in a packet from `side`: its direction, and whether it is the first response.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        decoded: &Decoded,
        side: usize,
    ) -> (Direction, bool) {
        if self.protocol == Protocol::Tcp {
            self.take_flags(decoded, side);
        }
        self.count(now, decoded, side);
        let direction = self.direction(side);
        let mut is_response = false;
        if !self.has(0, RESPONDED) && (decoded.payload_length > 0 || self.protocol != Protocol::Tcp)
        {
            match (direction, self.first_request) {
                (Direction::ToServer, NEVER) => self.first_request = now.0,
                (Direction::ToServer, _) | (Direction::ToClient, NEVER) => {}
                (Direction::ToClient, request) => {
                    self.set(0, RESPONDED);
                    self.first_request = now.0.saturating_sub(request);
                    is_response = true;
                }
            }
        }
        (direction, is_response)
    }

    /// Nanoseconds from the client's first data to the first response.
    #[inline]
    pub(super) fn first_response_ns(&self) -> Option<u64> {
        self.has(0, RESPONDED).then_some(self.first_request)
    }

    #[inline]
    fn direction(&self, side: usize) -> Direction {
        if side == self.client as usize {
            Direction::ToServer
        } else {
            Direction::ToClient
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    fn take_flags(&mut self, decoded: &Decoded, side: usize) {
        let flags = decoded.packet.flags;
        let is_syn = flags.contains(TcpFlags::SYN);
        if is_syn {
            self.learn_ends(flags, side);
        }
        // Written once and as a whole: see the field.
        let mut bits = self.bits;
        if !is_syn && !flags.contains(TcpFlags::RST) {
            bits |= UNDER_WAY;
        }
        // The first byte follows the number a SYN bears, so it can be told from any packet.
        let sequence = decoded.tcp_sequence.wrapping_sub(u32::from(!is_syn));
        bits |= self.learn_sequence(side, sequence);
        if flags.contains(TcpFlags::ACK) {
            let acknowledged = decoded.tcp_acknowledgement.wrapping_sub(1);
            bits |= self.learn_sequence(1 - side, acknowledged);
        }
        match self.direction(side) {
            Direction::ToClient if flags.contains(TcpFlags::SYN | TcpFlags::ACK) => {
                bits |= SYN_ACK_SEEN;
            }
            Direction::ToServer
                if flags.contains(TcpFlags::ACK)
                    && bits & SYN_ACK_SEEN != 0
                    && self.basis == Basis::Syn =>
            {
                bits |= ESTABLISHED;
            }
            _ => {}
        }
        if flags.intersects(TcpFlags::RST | TcpFlags::FIN) {
            bits |= closing(bits, flags, side);
        }
        self.bits = bits;
    }

    /// The bit that says that the number is known.
    #[inline]
    fn learn_sequence(&mut self, side: usize, initial: u32) -> u32 {
        if !self.has(side, KNOWS_SEQUENCE) {
            self.initial_sequences[side] = initial;
        }
        of_side(side, KNOWS_SEQUENCE)
    }

    /// A plain packet of the side is passed on.
    #[inline]
    pub(super) fn note_plain(&mut self, side: usize) {
        self.set(side, PASSED_PLAIN);
    }

    /// A SYN, FIN or RST is passed on.
    #[inline]
    pub(super) fn note_change(&mut self) {
        self.bits &= !(of_side(0, PASSED_PLAIN) | of_side(1, PASSED_PLAIN));
    }

    /// A SYN or SYN-ACK shows who is who, unless something as good did before.
    fn learn_ends(&mut self, flags: TcpFlags, sender: usize) {
        let (basis, client) = if is_syn(flags) {
            (Basis::Syn, sender as u8)
        } else {
            (Basis::SynAck, 1 - sender as u8)
        };
        if basis <= self.basis {
            return;
        }
        self.basis = basis;
        if client != self.client {
            self.client = client;
            // What passed for a request was not one.
            self.first_request = NEVER;
            self.bits &= !of_side(0, RESPONDED);
        }
    }

    pub(super) fn phase(&self) -> Phase {
        if self.protocol != Protocol::Tcp {
            return Phase::Datagrams;
        }
        let fins = [0, 1].map(|side| self.has(side, SENT_FIN));
        let never_answered = self.basis == Basis::Syn && self.bits & UNDER_WAY == 0;
        if self.bits & RESET != 0 || fins == [true; 2] {
            Phase::Over
        } else if fins[0] || fins[1] {
            Phase::Closing
        } else if never_answered {
            Phase::Over
        } else {
            Phase::Open
        }
    }

    pub(super) fn connection(&self) -> Connection {
        let ends = self.ends();
        let end = |side: usize| Endpoint {
            address: ends[side].0,
            port: ends[side].1,
        };
        let client = self.client as usize;
        Connection {
            number: self.number,
            client: end(client),
            server: end(1 - client),
            protocol: self.protocol,
            basis: self.basis,
            established: self.bits & ESTABLISHED != 0,
            close: match self.bits & (CLOSED_BY_FIN | CLOSED_BY_RESET) {
                CLOSED_BY_FIN => Some(Close::Fin),
                CLOSED_BY_RESET => Some(Close::Reset),
                _ => None,
            },
            first: Timestamp(self.first),
            last: Timestamp(self.last()),
            first_response_ns: self.first_response_ns(),
            to_server: self.sides[client].traffic(),
            to_client: self.sides[1 - client].traffic(),
            is_second_leg: self.is_second_leg(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millions_of_them_fit_into_memory() {
        assert!(size_of::<Flow>() <= 184, "{}", size_of::<Flow>());
    }
}
