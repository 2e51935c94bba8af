//! Payload to requests: HTTP/1.x, the `ClientHello` of TLS, the first header of QUIC.
//!
//! Puts each direction of a TCP connection in order as far as heads need it, matches responses to
//! requests, and passes over bodies. Memory is bounded by the connection and in total; what is not
//! read is counted by reason. Decrypts nothing, decompresses nothing, keeps no body. Whose
//! connection a packet is, the tracker says.

mod body;
mod exchange;
mod http;
mod order;
mod quic;
mod reason;
mod record;
mod slot;
mod tls;

pub use http::MOST_HEADERS;
pub use reason::{Counts, Reason};
pub use record::{Content, Hello, Http, Initial, Request, Response};

use equipoise_core::{FlowId, Packet, Protocol, TcpFlags, Timestamp};

use crate::decode::Decoded;
use crate::track::{Direction, Observed};
use exchange::Exchange;
use order::Piece;
use slot::{Skip, Slot, State};

/// How much memory requests may take, in bytes, and how long is searched for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of a head or a `ClientHello`, as nginx's `large_client_header_buffers` together.
    pub head: usize,
    /// Of what waits out of order in one direction, and of requests without a response.
    pub connection: usize,
    /// Of all connections.
    pub total: usize,
    /// Of a direction without a head, after bytes were lost or from mid-stream on.
    pub search: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 32 << 10,
            connection: 64 << 10,
            total: 256 << 20,
            search: 1 << 20,
        }
    }
}

/// Where a direction begins or ends.
const TELLING: TcpFlags = TcpFlags::SYN.union(TcpFlags::FIN).union(TcpFlags::RST);

/// Records that are kept to be used again, and how large they are at most, in bytes.
const MOST_SPARE: usize = 4_096;
const LARGE: usize = 1_024;

/// Whose packet it is, as the tracker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The connection's number.
    pub connection: u64,
    /// Its flow.
    pub flow: FlowId,
    /// Which way; none for a packet that the tracker held back, which goes the way that others of
    /// its sender went.
    pub direction: Option<Direction>,
}

impl Whose {
    /// Of a packet that was passed on.
    pub fn observed(observed: &Observed) -> Self {
        Self {
            connection: observed.connection,
            flow: observed.flow,
            direction: Some(observed.direction),
        }
    }
}

/// What a connection's client asked for first, as soon as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// The connection, as the tracker numbers them.
    pub connection: u64,
    /// Its flow.
    pub flow: FlowId,
    /// When the packet came that told.
    pub time: Timestamp,
    /// None where the client sent something that is no request or cannot be read.
    pub content: Option<Content>,
}

/// Requests being read.
#[derive(Debug, Default)]
pub struct Requests {
    /// By flow number.
    slots: Vec<Slot>,
    /// By flow number, the low half of the connection that is of no interest any more: most packets
    /// need not touch its slot.
    done: Vec<u32>,
    memory: usize,
    out: Out,
}

/// What was read, and how.
#[derive(Debug, Default)]
struct Out {
    limits: Limits,
    counts: Counts,
    #[expect(
        clippy::vec_box,
        reason = "so they are moved in one step, and used again"
    )]
    finished: Vec<Box<Request>>,
    /// Finished ones that were told of, to be used again.
    #[expect(clippy::vec_box, reason = "as `finished`")]
    spare: Vec<Box<Request>>,
    /// Where somebody wants them.
    firsts: Option<Vec<First>>,
    /// What follows them is not read.
    only_firsts: bool,
}

impl Requests {
    /// Reads within these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            out: Out {
                limits,
                ..Out::default()
            },
            ..Self::default()
        }
    }

    /// From now on tells of first requests as soon as they are known: see [`Requests::firsts`].
    #[must_use]
    pub fn with_firsts(mut self) -> Self {
        self.out.firsts = Some(Vec::new());
        self
    }

    /// Reads first requests and nothing behind them.
    #[must_use]
    pub fn only_firsts() -> Self {
        let mut requests = Self::default().with_firsts();
        requests.out.only_firsts = true;
        requests
    }

    /// Whether a packet has anything to tell: its content, or where a direction begins or ends.
    #[inline]
    pub fn wants(decoded: &Decoded) -> bool {
        decoded.payload_length > 0 || decoded.packet.flags.intersects(TELLING)
    }

    /// Takes in the next packet; `payload` gives what was captured of it, where that is needed.
    #[inline]
    pub fn take<'a>(
        &mut self,
        now: Timestamp,
        whose: Whose,
        decoded: &Decoded,
        payload: impl FnOnce() -> &'a [u8],
    ) {
        if self.done.get(whose.flow.0 as usize) == Some(&(whose.connection as u32)) {
            return;
        }
        let Some(direction) = self.direction(whose, &decoded.packet) else {
            return;
        };
        let slot = &mut self.slots[whose.flow.0 as usize];
        if slot.passes_over(now, direction, decoded) {
            return;
        }
        match decoded.packet.protocol {
            Protocol::Tcp => self.take_segment(now, whose.flow, direction, decoded, payload()),
            _ => self.take_datagram(now, whose.flow, direction, payload()),
        }
    }

    /// Which way a packet goes, and a slot for its connection; none where nothing can be said.
    #[inline]
    fn direction(&mut self, whose: Whose, packet: &Packet) -> Option<Direction> {
        let is_lower =
            (packet.source, packet.source_port) < (packet.destination, packet.destination_port);
        let place = whose.flow.0 as usize;
        let slot = self.slots.get(place);
        match (slot, whose.direction) {
            (Some(slot), None) if slot.connection == whose.connection => {
                let from_client = slot.client_is_lower == is_lower;
                return Some(if from_client {
                    Direction::ToServer
                } else {
                    Direction::ToClient
                });
            }
            (Some(slot), Some(direction))
                if slot.connection == whose.connection
                    && slot.client_is_lower == (is_lower == (direction == Direction::ToServer)) =>
            {
                return Some(direction);
            }
            // Of a connection that was left out.
            (_, None) => return None,
            _ => {}
        }
        let direction = whose.direction?;
        self.begin(place, whose.connection);
        self.slots[place].client_is_lower = is_lower == (direction == Direction::ToServer);
        Some(direction)
    }

    /// The flow carries another connection from now on, or it turned out which end is the client.
    #[cold]
    fn begin(&mut self, place: usize, connection: u64) {
        if place >= self.slots.len() {
            self.slots.resize_with(place + 1, Slot::default);
            self.done.resize(place + 1, 0);
        }
        self.end(place);
        self.done[place] = 0;
        self.slots[place].connection = connection;
        self.slots[place].state = State::Fresh([None; 2]);
    }

    /// Nothing of the flow's connection is of interest any more.
    fn close(&mut self, place: usize) -> State {
        let slot = &mut self.slots[place];
        self.done[place] = slot.connection as u32;
        std::mem::take(&mut slot.state)
    }

    fn end(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        slot.catch_up();
        slot.skips = [Skip::default(); 2];
        if let State::Open(mut exchange) = self.close(place) {
            self.memory -= exchange.memory();
            exchange.end(&mut self.out);
        }
    }

    fn take_segment(
        &mut self,
        now: Timestamp,
        flow: FlowId,
        direction: Direction,
        decoded: &Decoded,
        payload: &[u8],
    ) {
        let place = flow.0 as usize;
        let slot = &mut self.slots[place];
        let flags = decoded.packet.flags;
        let has_ack = flags.contains(TcpFlags::ACK);
        let is_syn = flags.contains(TcpFlags::SYN);
        let first = decoded.tcp_sequence.wrapping_add(u32::from(is_syn));
        if let State::Fresh(starts) = &mut slot.state {
            let [own, other] = match direction {
                Direction::ToServer => [0, 1],
                Direction::ToClient => [1, 0],
            };
            if is_syn {
                starts[own] = Some(first);
                if has_ack {
                    starts[other] = Some(decoded.tcp_acknowledgement);
                }
            }
            if decoded.payload_length > 0 {
                if direction == Direction::ToServer {
                    let is_next = starts[0] == Some(first);
                    if is_next && self.out.only_firsts && self.tell_whole(now, flow, payload) {
                        return;
                    }
                    self.open(flow);
                } else {
                    // The server speaks first: its responses, if any, begin somewhere later.
                    starts[own] = None;
                }
            }
        }
        let slot = &mut self.slots[place];
        slot.catch_up();
        let State::Open(exchange) = &mut slot.state else {
            if flags.contains(TcpFlags::RST) {
                self.close(place);
            }
            return;
        };
        let before = exchange.memory();
        let piece = Piece {
            sequence: first,
            bytes: payload,
            missing: decoded.payload_length.saturating_sub(payload.len() as u32),
            time: now,
            acknowledgement: has_ack.then_some(decoded.tcp_acknowledgement),
        };
        exchange.take(direction, piece, &mut self.out);
        if flags.contains(TcpFlags::FIN) {
            let end = first.wrapping_add(decoded.payload_length);
            exchange.end_at(direction, end, &mut self.out);
        }
        let others = self.memory - before;
        if others + exchange.memory() > self.out.limits.total {
            exchange.give_up(&mut self.out);
        }
        if self.out.only_firsts && exchange.has_told_first() {
            self.memory = others;
            self.close(place);
            return;
        }
        self.memory = others + exchange.memory();
        slot.skips = exchange.skips();
        if flags.contains(TcpFlags::RST) || exchange.is_over() {
            self.end(place);
        }
    }

    /// Tells of a first request whose head is all of it in one packet, as most are; false where the
    /// long way has to be taken.
    fn tell_whole(&mut self, now: Timestamp, flow: FlowId, payload: &[u8]) -> bool {
        let most = payload.len().min(self.out.limits.head);
        let Ok(Some((_, head))) = http::request(&payload[..most]) else {
            return false;
        };
        self.out.counts.http += 1;
        for oddity in head.oddities.into_iter().flatten() {
            self.out.counts.add(oddity);
        }
        let content = Content::Http(Http::asking(Vec::new(), &head));
        let connection = self.slots[flow.0 as usize].connection;
        self.out.firsts.get_or_insert_default().push(First {
            connection,
            flow,
            time: now,
            content: Some(content),
        });
        self.close(flow.0 as usize);
        true
    }

    /// The client has sent something.
    fn open(&mut self, flow: FlowId) {
        let slot = &mut self.slots[flow.0 as usize];
        let State::Fresh(starts) = slot.state else {
            return;
        };
        if starts[0].is_none() {
            self.out.counts.add(Reason::MidStream);
        }
        let exchange = Box::new(Exchange::new(slot.connection, flow, starts));
        self.memory += exchange.memory();
        slot.state = State::Open(exchange);
    }

    fn take_datagram(
        &mut self,
        now: Timestamp,
        flow: FlowId,
        direction: Direction,
        payload: &[u8],
    ) {
        let slot = &mut self.slots[flow.0 as usize];
        if !matches!(slot.state, State::Fresh(_)) || direction == Direction::ToClient {
            return;
        }
        let connection = slot.connection;
        self.close(flow.0 as usize);
        let Some(initial) = quic::initial(payload) else {
            self.out.tell_none(connection, flow, now);
            return;
        };
        self.out.counts.quic += 1;
        let request = Box::new(Request {
            connection,
            flow,
            number: 1,
            is_first: true,
            time: now,
            content: Content::Quic(initial),
        });
        self.out.tell_first(&request);
        self.out.finished.push(request);
    }

    /// First requests of connections since the last call, as of their heads: nothing is known yet of
    /// what follows. They come again when they are finished.
    #[inline]
    pub fn firsts(&mut self) -> impl Iterator<Item = First> + '_ {
        let firsts = self.out.firsts.iter_mut();
        firsts.flat_map(|firsts| firsts.drain(..))
    }

    /// Tells of requests that were answered since the last call, or of which nothing more is to
    /// come.
    pub fn finished(&mut self, mut tell: impl FnMut(&Request)) {
        for request in self.out.finished.drain(..) {
            tell(&request);
            if self.out.spare.len() < MOST_SPARE && request.memory() < LARGE {
                self.out.spare.push(request);
            }
        }
    }

    /// Ends every connection: at the end of the trace. They come in the order of their flows.
    pub fn end_all(&mut self) {
        for place in 0..self.slots.len() {
            self.end(place);
        }
    }

    /// What was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.out.counts
    }

    /// Bytes that connections take now, within [`Limits::total`].
    pub fn memory(&self) -> usize {
        self.memory
    }
}

impl Out {
    fn tell_first(&mut self, request: &Request) {
        if let Some(firsts) = &mut self.firsts {
            firsts.push(First {
                connection: request.connection,
                flow: request.flow,
                time: request.time,
                content: Some(request.content.clone()),
            });
        }
    }

    fn tell_none(&mut self, connection: u64, flow: FlowId, time: Timestamp) {
        if let Some(firsts) = &mut self.firsts {
            firsts.push(First {
                connection,
                flow,
                time,
                content: None,
            });
        }
    }
}
