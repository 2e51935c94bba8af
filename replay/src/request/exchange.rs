//! One connection: requests, and the responses that answer them in order.
//!
//! Owns both directions. What lies in order in a packet is read there, and copied only where a head
//! goes on in the next one. After lost bytes a direction searches for the next packet that begins
//! with a head; what was lost within a body of known length is no loss.

mod heads;
mod pairing;
mod side;

use std::collections::VecDeque;

use equipoise_core::{FlowId, Timestamp};

use super::body::Body;
use super::order::{Piece, Turn};
use super::{Out, Reason, Skip};
use crate::track::Direction;
use pairing::Pending;
use side::{Reading, Side};

/// A connection that may hold requests.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own"
)]
pub(super) struct Exchange {
    connection: u64,
    flow: FlowId,
    client: Side,
    server: Side,
    /// The time of the latest packet that was taken in.
    latest: Timestamp,
    /// Requests that are not told of: under way, or without a whole response.
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    requests: u32,
    /// Nothing was lost before the next request.
    is_sure: bool,
    /// Nothing was lost of the responses since the last that was matched.
    answers_are_sure: bool,
    /// It was told what was asked for first, or that this cannot be known.
    has_told_first: bool,
    /// The last request asks for another protocol.
    may_switch: bool,
}

impl Exchange {
    /// A connection whose directions begin behind these sequence numbers, as far as is known.
    pub(super) fn new(connection: u64, flow: FlowId, [client, server]: [Option<u32>; 2]) -> Self {
        Self {
            connection,
            flow,
            client: Side::new(client),
            server: Side::new(server),
            latest: Timestamp::default(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            requests: 0,
            is_sure: client.is_some(),
            answers_are_sure: client.is_some() || server.is_some(),
            has_told_first: false,
            may_switch: false,
        }
    }

    /// Nothing more is to come of it.
    pub(super) fn is_over(&self) -> bool {
        self.client.reading == Reading::Over && self.pending.is_empty()
    }

    /// What was asked for first is told, or that it cannot be known.
    pub(super) const fn has_told_first(&self) -> bool {
        self.has_told_first
    }

    /// What it takes in memory.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        let sides =
            [&self.client, &self.server].map(|side| side.buffer.capacity() + side.order.held());
        size_of::<Self>() + sides[0] + sides[1] + self.pending_bytes
    }

    /// Takes in a packet's content.
    #[inline]
    pub(super) fn take(&mut self, from: Direction, piece: Piece<'_>, out: &mut Out) {
        self.latest = piece.time;
        let other = opposite(from);
        if let Some(number) = piece.acknowledgement
            && self.side(other).order.is_acknowledged(number)
        {
            self.lose(other, out);
        }
        if piece.length() == 0 || self.side(from).reading == Reading::Over {
            return;
        }
        match self.side(from).order.place(piece) {
            Turn::Now(piece) => self.deliver(from, piece, out),
            Turn::Later => {}
            Turn::After(missing) => {
                self.miss(from, missing, out);
                if let Turn::Now(piece) = self.side(from).order.place(piece) {
                    self.deliver(from, piece, out);
                }
            }
        }
        self.take_waiting(from, out);
        while self.side(from).order.held() > out.limits.connection {
            out.counts.add(Reason::OutOfOrder);
            self.lose(from, out);
        }
    }

    /// The last byte of a direction is the one before `number`.
    pub(super) fn end_at(&mut self, from: Direction, number: u32, out: &mut Out) {
        self.side(from).order.end_at(number);
        self.take_waiting(from, out);
    }

    /// Ends both directions where they are.
    pub(super) fn end(&mut self, out: &mut Out) {
        for from in [Direction::ToServer, Direction::ToClient] {
            while self.side(from).order.held() > 0 {
                self.lose(from, out);
            }
            self.look_last(from, out);
        }
        self.close_client(out);
        self.close_server(false, out);
    }

    /// Gives up both directions for want of memory.
    pub(super) fn give_up(&mut self, out: &mut Out) {
        out.counts.add(Reason::Memory);
        self.tell_none(out);
        self.close_client(out);
        self.close_server(false, out);
    }

    /// What of both directions may be passed over before it is of interest again: bytes within
    /// bodies, while nothing waits for what was lost.
    #[inline]
    pub(super) fn skips(&self) -> [Skip; 2] {
        if self.client.order.held() + self.server.order.held() > 0 {
            return [Skip::default(); 2];
        }
        [&self.client, &self.server].map(Side::skip)
    }

    /// Bytes up to these were passed over, the last at that time.
    #[inline]
    pub(super) fn skip_to(&mut self, [client, server]: [Skip; 2], time: Timestamp) {
        self.client.skip_to(client);
        if self.server.skip_to(server) {
            self.server.time = time;
        }
    }

    fn side(&mut self, from: Direction) -> &mut Side {
        match from {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }

    /// What waited, as far as its turn has come.
    #[inline]
    fn take_waiting(&mut self, from: Direction, out: &mut Out) {
        while let Some((waited, seen)) = self.side(from).order.next_waiting() {
            let mut piece = waited.piece();
            piece.pass(seen);
            self.deliver(from, piece, out);
        }
        if self.side(from).order.is_at_end() && self.side(from).reading != Reading::Over {
            self.look_last(from, out);
            match from {
                Direction::ToServer => self.close_client(out),
                Direction::ToClient => self.close_server(true, out),
            }
        }
    }

    /// Waits no more for what is missing.
    #[cold]
    fn lose(&mut self, from: Direction, out: &mut Out) {
        if let Some(missing) = self.side(from).order.give_up_waiting() {
            self.miss(from, missing, out);
        }
        self.take_waiting(from, out);
    }

    fn miss(&mut self, from: Direction, missing: u32, out: &mut Out) {
        let side = self.side(from);
        let piece = Piece {
            sequence: 0,
            bytes: &[],
            missing,
            time: side.time,
            acknowledgement: None,
        };
        self.deliver(from, piece, out);
    }

    /// Reads what is next in a direction.
    #[inline]
    fn deliver(&mut self, from: Direction, mut piece: Piece<'_>, out: &mut Out) {
        // What waited is told by the packet that it waited for.
        let side = self.side(from);
        side.time = side.time.max(piece.time);
        piece.time = side.time;
        while piece.length() > 0 {
            let side = self.side(from);
            let used = match &mut side.reading {
                Reading::Over => return,
                Reading::Body(body) => {
                    let (used, outcome) = body.skip(piece.bytes, u64::from(piece.missing));
                    let is_over = body.is_over();
                    side.position += used;
                    if let Err(reason) = outcome {
                        self.stop_reading(from, reason, out);
                    } else if is_over {
                        self.end_message(from, out);
                    } else if used < u64::from(piece.length()) {
                        self.lost(from, out);
                    }
                    used as u32
                }
                Reading::Search => self.search(from, &piece, out),
                Reading::Head => self.read_head(from, &piece, out),
            };
            piece.pass(used);
        }
    }

    fn end_message(&mut self, from: Direction, out: &mut Out) {
        match from {
            Direction::ToServer => self.request_sent(true, out),
            Direction::ToClient => self.response_ended(true, out),
        }
        self.side(from).reading = match self.side(from).reading {
            Reading::Over => Reading::Over,
            _ => Reading::Head,
        };
    }

    /// Bytes are missing where they would be needed.
    #[cold]
    fn lost(&mut self, from: Direction, out: &mut Out) {
        out.counts.add(Reason::Gap);
        match from {
            Direction::ToServer => {
                self.is_sure = false;
                self.request_sent(false, out);
                self.tell_none(out);
            }
            Direction::ToClient => {
                self.answers_are_sure = false;
                self.response_ended(false, out);
            }
        }
        let side = self.side(from);
        side.reading = Reading::Search;
        side.buffer = Vec::new();
        side.searched = 0;
    }

    /// Nothing more can be read of a direction.
    #[cold]
    fn stop_reading(&mut self, from: Direction, reason: Reason, out: &mut Out) {
        out.counts.add(reason);
        match from {
            Direction::ToServer => {
                self.tell_none(out);
                self.close_client(out);
            }
            Direction::ToClient => self.close_server(false, out),
        }
    }

    /// No request follows; those that were sent may be answered.
    fn close_client(&mut self, out: &mut Out) {
        self.request_sent(false, out);
        self.client.stop();
    }

    /// No response follows: requests are told as they are, now and later.
    fn close_server(&mut self, is_whole: bool, out: &mut Out) {
        self.response_ended(
            is_whole && self.server.reading == Reading::Body(Body::UntilClose),
            out,
        );
        self.server.stop();
        self.tell_due(out);
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::ToServer => Direction::ToClient,
        Direction::ToClient => Direction::ToServer,
    }
}
