//! One connection: requests, and the responses that answer them in order.
//!
//! Owns both directions. What lies in order in a packet is read there, and copied only where a head
//! goes on in the next one. After lost bytes a direction searches for the next packet that begins
//! with a head; what was lost within a body of known length is no loss.

use std::collections::VecDeque;

use equipoise_core::{FlowId, Timestamp};

use super::body::Body;
use super::http::{self, RequestHead, ResponseHead};
use super::order::{Order, Piece, Turn};
use super::record::{Content, Hello, Http, Request, Response};
use super::{Out, Reason, Skip, tls};
use crate::track::Direction;

/// A connection that may hold requests.
#[derive(Debug)]
pub(super) struct Exchange {
    connection: u64,
    flow: FlowId,
    client: Side,
    server: Side,
    /// Requests that are not told of: under way, or without a whole response.
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    requests: u32,
    /// Nothing was lost before the next request.
    is_sure: bool,
    /// Nothing was lost of the responses since the last that was matched.
    answers_are_sure: bool,
    /// The last request asks for another protocol.
    may_switch: bool,
}

#[derive(Debug)]
struct Side {
    order: Order,
    reading: Reading,
    /// Bytes of the stream so far.
    position: u64,
    /// Where the message under way began.
    start: u64,
    /// The time of the latest piece.
    time: Timestamp,
    /// Of a head, what earlier packets held.
    buffer: Vec<u8>,
    /// Unless an end shows, the buffer is not looked through before it is so long.
    wanted: usize,
    searched: u64,
}

/// What a direction is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Head,
    Body(Body),
    /// Somewhere: a head may begin with any packet.
    Search,
    Over,
}

#[derive(Debug)]
struct Pending {
    request: Request,
    /// The sequence number behind its head.
    end: u32,
    /// Requests before it may have been lost.
    is_sure: bool,
    is_sent: bool,
    is_answered: bool,
}

impl Side {
    fn new(start: Option<u32>) -> Self {
        Self {
            order: Order::starting(start),
            reading: match start {
                Some(_) => Reading::Head,
                None => Reading::Search,
            },
            position: 0,
            start: 0,
            time: Timestamp::default(),
            buffer: Vec::new(),
            wanted: 0,
            searched: 0,
        }
    }

    #[inline]
    fn skip(&self) -> Skip {
        let Reading::Body(body) = self.reading else {
            return Skip::default();
        };
        if self.order.has_end() {
            return Skip::default();
        }
        Skip {
            next: self.order.next(),
            left: body.surely_left(),
        }
    }

    /// Whether there was anything to pass over.
    #[inline]
    fn skip_to(&mut self, skip: Skip) -> bool {
        let Reading::Body(body) = &mut self.reading else {
            return false;
        };
        let passed = match skip.left {
            0 => 0,
            _ => self.order.pass_to(skip.next),
        };
        self.position += u64::from(passed);
        body.pass(passed);
        passed > 0
    }

    fn stop(&mut self) {
        self.reading = Reading::Over;
        self.buffer = Vec::new();
        self.order.clear();
    }
}

impl Exchange {
    /// A connection whose directions begin behind these sequence numbers, as far as is known.
    pub(super) fn new(connection: u64, flow: FlowId, [client, server]: [Option<u32>; 2]) -> Self {
        Self {
            connection,
            flow,
            client: Side::new(client),
            server: Side::new(server),
            pending: VecDeque::new(),
            pending_bytes: 0,
            requests: 0,
            is_sure: client.is_some(),
            answers_are_sure: client.is_some() || server.is_some(),
            may_switch: false,
        }
    }

    /// Nothing more is to come of it.
    pub(super) fn is_over(&self) -> bool {
        self.client.reading == Reading::Over && self.pending.is_empty()
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
        }
        self.close_client(out);
        self.close_server(false, out);
    }

    /// Gives up both directions for want of memory.
    pub(super) fn give_up(&mut self, out: &mut Out) {
        out.counts.add(Reason::Memory);
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
        self.side(from).time = piece.time;
        while piece.length() > 0 {
            let side = self.side(from);
            let used = match &mut side.reading {
                Reading::Over => return,
                Reading::Body(body) => match body.skip(piece.bytes, u64::from(piece.missing)) {
                    Ok(used) => {
                        let is_over = body.is_over();
                        side.position += used;
                        if is_over {
                            self.end_message(from, out);
                        } else if used < u64::from(piece.length()) {
                            self.lost(from, out);
                        }
                        used as u32
                    }
                    Err(reason) => {
                        self.stop_reading(from, reason, out);
                        return;
                    }
                },
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
            Direction::ToServer => self.close_client(out),
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

    /// Passes over what is no beginning; how much that is.
    fn search(&mut self, from: Direction, piece: &Piece<'_>, out: &mut Out) -> u32 {
        let is_tls = self.requests == 0 && piece.bytes.first() == Some(&tls::HANDSHAKE);
        let is_found = match from {
            Direction::ToServer => is_tls || http::looks_like_request(piece.bytes),
            Direction::ToClient => {
                let is_response = http::looks_like_response(piece.bytes);
                if is_response && !self.awaits_response() {
                    out.counts.add(Reason::UnmatchedResponse);
                }
                is_response && self.awaits_response()
            }
        };
        let most = out.limits.search;
        let side = self.side(from);
        if is_found {
            side.reading = Reading::Head;
            return 0;
        }
        let length = piece.length();
        side.position += u64::from(length);
        side.searched += u64::from(length);
        if side.searched > most {
            self.stop_reading(from, Reason::NotFoundAgain, out);
        }
        length
    }

    /// Reads a head, or a part; how much of the piece belongs to it.
    fn read_head(&mut self, from: Direction, piece: &Piece<'_>, out: &mut Out) -> u32 {
        let bytes = piece.bytes;
        if bytes.is_empty() {
            self.lost(from, out);
            return 0;
        }
        let begins = self.side(from).buffer.is_empty();
        if begins {
            // RFC 9112 2.2: empty lines before a request are passed over.
            let empty = bytes.iter().take_while(|byte| b"\r\n".contains(byte));
            let empty = empty.count();
            if empty > 0 {
                self.side(from).position += empty as u64;
                return empty as u32;
            }
            if from == Direction::ToClient && !self.awaits_response() {
                self.answers_are_sure = false;
                self.server.reading = Reading::Search;
                self.server.searched = 0;
                return 0;
            }
            self.side(from).start = self.side(from).position;
        }
        let most = out.limits.head;
        let mut buffer = std::mem::take(&mut self.side(from).buffer);
        let before = buffer.len();
        let added = bytes.len().min(most - before);
        let head = if begins {
            &bytes[..added]
        } else {
            buffer.extend_from_slice(&bytes[..added]);
            if buffer.len() < self.side(from).wanted
                && buffer.len() < most
                && !shows_end(&buffer, before)
            {
                let side = self.side(from);
                side.buffer = buffer;
                side.position += added as u64;
                return added as u32;
            }
            &buffer
        };
        let wanted = match self.parse(from, head) {
            Ok(Head::Part(wanted)) => wanted,
            Ok(Head::Whole(length, message)) => {
                let used = length.saturating_sub(before);
                self.side(from).position += used as u64;
                let end = piece.sequence.wrapping_add(used as u32);
                self.take_message(message, end, piece, out);
                return used as u32;
            }
            Err(_) if from == Direction::ToServer && self.may_switch => {
                self.stop_reading(from, Reason::Switched, out);
                return added as u32;
            }
            Err(reason) => {
                self.stop_reading(from, reason, out);
                return added as u32;
            }
        };
        if before + added >= most {
            self.stop_reading(from, Reason::HeadTooLong, out);
            return added as u32;
        }
        if begins {
            buffer = bytes.to_vec();
        }
        let side = self.side(from);
        side.buffer = buffer;
        side.wanted = wanted;
        side.position += added as u64;
        added as u32
    }

    fn parse(&self, from: Direction, bytes: &[u8]) -> Result<Head, Reason> {
        let parsed = match from {
            Direction::ToServer if self.requests == 0 && bytes[0] == tls::HANDSHAKE => {
                return Ok(match tls::client_hello(bytes)? {
                    tls::Found::Hello(hello) => Head::Whole(bytes.len(), Message::Hello(hello)),
                    tls::Found::Part(wanted) => Head::Part(wanted),
                });
            }
            Direction::ToServer => http::request(bytes)?
                .map(|(length, head)| Head::Whole(length, Message::Request(head))),
            Direction::ToClient => http::response(bytes)?
                .map(|(length, head)| Head::Whole(length, Message::Response(head))),
        };
        // Looked through whenever it has doubled, a head takes no more than twice its length.
        Ok(parsed.unwrap_or(Head::Part(2 * bytes.len())))
    }

    fn take_message(&mut self, message: Message, end: u32, piece: &Piece<'_>, out: &mut Out) {
        match message {
            Message::Hello(hello) => {
                out.counts.tls += 1;
                let request = self.request(piece.time, Content::Tls(hello));
                out.note_first(&request);
                out.finished.push(request);
                self.close_client(out);
            }
            Message::Request(head) => self.take_request(head, end, piece.time, out),
            Message::Response(head) => self.take_response(&head, piece, out),
        }
    }

    fn request(&mut self, time: Timestamp, content: Content) -> Request {
        self.requests += 1;
        Request {
            connection: self.connection,
            flow: self.flow,
            number: self.requests,
            is_first: self.requests == 1 && self.is_sure,
            time,
            content,
        }
    }

    fn take_request(&mut self, head: RequestHead, end: u32, time: Timestamp, out: &mut Out) {
        out.counts.http += 1;
        for oddity in head.oddities.into_iter().flatten() {
            out.counts.add(oddity);
        }
        let request = self.request(time, Content::Http(head.http));
        out.note_first(&request);
        self.pending_bytes += request.memory();
        self.pending.push_back(Pending {
            request,
            end,
            is_sure: self.is_sure,
            is_sent: false,
            is_answered: false,
        });
        self.is_sure = true;
        self.may_switch = head.may_switch;
        match head.body {
            Ok(body) if body.is_over() => self.request_sent(true, out),
            Ok(body) => self.client.reading = Reading::Body(body),
            Err(reason) => self.stop_reading(Direction::ToServer, reason, out),
        }
        if self.pending_bytes > out.limits.connection && self.server.reading != Reading::Over {
            out.counts.add(Reason::Unanswered);
            self.close_server(false, out);
        }
    }

    fn awaits_response(&self) -> bool {
        let first = self.pending.front();
        first.is_some_and(|first| !first.is_answered)
    }

    /// Which request a response with this acknowledgement answers: the one before which all are
    /// answered. Where responses were lost, the last one that its sender had by then; where
    /// requests were, none that it had not.
    fn is_matched(&mut self, acknowledgement: Option<u32>, out: &mut Out) -> bool {
        let had = |pending: &Pending| {
            acknowledgement.is_none_or(|number| number.wrapping_sub(pending.end) <= 1 << 31)
        };
        if !self.answers_are_sure && acknowledgement.is_some() {
            while self.pending.get(1).is_some_and(had) {
                self.tell_first(out);
            }
        }
        let first = self.pending.front();
        first.is_some_and(|first| {
            !first.is_answered && (first.is_sure && self.answers_are_sure || had(first))
        })
    }

    fn take_response(&mut self, head: &ResponseHead, piece: &Piece<'_>, out: &mut Out) {
        let is_interim = matches!(head.status, 100..=199) && head.status != 101;
        if is_interim {
            return;
        }
        if !self.is_matched(piece.acknowledgement, out) {
            out.counts.add(Reason::UnmatchedResponse);
            self.answers_are_sure = false;
            self.server.reading = Reading::Search;
            self.server.searched = 0;
            return;
        }
        self.answers_are_sure = true;
        let first = self.pending.front_mut();
        let Some(Content::Http(http)) = first.map(|first| &mut first.request.content) else {
            return;
        };
        out.counts.responses += 1;
        if let Some(oddity) = head.oddity {
            out.counts.add(oddity);
        }
        http.response = Some(Response {
            status: head.status,
            time: piece.time,
            last: piece.time,
            bytes: 0,
            is_complete: false,
        });
        let switches = head.status == 101 || http.method() == "CONNECT" && head.status / 100 == 2;
        let has_no_body = switches || matches!(head.status, 204 | 304) || http.method() == "HEAD";
        match head.body {
            _ if has_no_body => self.response_ended(true, out),
            Ok(body) if body.is_over() => self.response_ended(true, out),
            Ok(body) => self.server.reading = Reading::Body(body),
            Err(reason) => self.stop_reading(Direction::ToClient, reason, out),
        }
        if switches {
            out.counts.add(Reason::Switched);
            self.close_client(out);
            self.close_server(false, out);
        }
    }

    /// The request under way was sent, or goes no further.
    fn request_sent(&mut self, is_complete: bool, out: &mut Out) {
        let bytes = self.client.position - self.client.start;
        let Some(last) = self.pending.back_mut() else {
            return;
        };
        if last.is_sent {
            return;
        }
        last.is_sent = true;
        if let Content::Http(http) = &mut last.request.content {
            http.bytes = bytes;
            http.is_complete = is_complete;
        }
        self.tell_due(out);
    }

    /// The response under way ended, or goes no further.
    fn response_ended(&mut self, is_complete: bool, out: &mut Out) {
        let bytes = self.server.position - self.server.start;
        let time = self.server.time;
        let Some(first) = self.pending.front_mut() else {
            return;
        };
        let Content::Http(Http {
            response: Some(response),
            ..
        }) = &mut first.request.content
        else {
            return;
        };
        if first.is_answered {
            return;
        }
        first.is_answered = true;
        response.bytes = bytes;
        response.last = time;
        response.is_complete = is_complete;
        self.tell_due(out);
    }

    /// Tells of requests of which nothing more is to come.
    fn tell_due(&mut self, out: &mut Out) {
        let no_answer_comes = self.server.reading == Reading::Over;
        let is_due = |first: &Pending| first.is_sent && (first.is_answered || no_answer_comes);
        while self.pending.front().is_some_and(is_due) {
            self.tell_first(out);
        }
    }

    fn tell_first(&mut self, out: &mut Out) {
        if let Some(first) = self.pending.pop_front() {
            self.pending_bytes -= first.request.memory();
            out.finished.push(first.request);
        }
    }
}

/// What was read of a message's beginning.
enum Head {
    /// So long, all of it.
    Whole(usize, Message),
    /// There is nothing more to be seen before there are so many bytes, or an end shows.
    Part(usize),
}

enum Message {
    Request(RequestHead),
    Response(ResponseHead),
    Hello(Hello),
}

/// Whether a head may end with what is behind `before`: an empty line.
fn shows_end(buffer: &[u8], before: usize) -> bool {
    let new = &buffer[before.saturating_sub(2)..];
    let lines = new.iter().enumerate().filter(|&(_, &byte)| byte == b'\n');
    let mut behind = lines.map(|(at, _)| &new[at + 1..]);
    behind.any(|rest| rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::ToServer => Direction::ToClient,
        Direction::ToClient => Direction::ToServer,
    }
}
