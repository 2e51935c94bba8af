//! Requests and the responses that answer them, in order.

use equipoise_core::Timestamp;

use super::super::http::{RequestHead, ResponseHead};
use super::super::order::Piece;
use super::super::record::{Content, Http, Request, Response};
use super::super::{Out, Reason};
use super::Exchange;
use super::heads::Message;
use super::side::Reading;
use crate::track::Direction;

/// A request that is not told of.
#[derive(Debug)]
pub(super) struct Pending {
    request: Box<Request>,
    /// The sequence number behind its head.
    end: u32,
    /// Requests before it may have been lost.
    is_sure: bool,
    is_sent: bool,
    is_answered: bool,
}

impl Exchange {
    pub(super) fn take_message(
        &mut self,
        message: &Message<'_>,
        end: u32,
        piece: &Piece<'_>,
        out: &mut Out,
    ) {
        match message {
            Message::Hello(hello) => {
                out.counts.tls += 1;
                let mut request = self.request(piece.time, out);
                request.content = Content::Tls(hello.clone());
                self.tell_opening(&request, out);
                out.finished.push(request);
                self.close_client(out);
            }
            Message::Request(head) => self.take_request(head, end, piece.time, out),
            Message::Response(head) => self.take_response(head, piece, out),
        }
    }

    /// The next request of the connection, with what another one asked for.
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "it stays in its box from beginning to end"
    )]
    fn request(&mut self, time: Timestamp, out: &mut Out) -> Box<Request> {
        self.requests += 1;
        let spare = out.spare.pop();
        let mut request = spare.unwrap_or_else(|| {
            Box::new(Request {
                connection: 0,
                flow: self.flow,
                number: 0,
                is_first: false,
                time,
                content: Content::Http(Http::default()),
            })
        });
        request.connection = self.connection;
        request.flow = self.flow;
        request.number = self.requests;
        request.is_first = self.requests == 1 && self.is_sure;
        request.time = time;
        request
    }

    fn tell_opening(&mut self, request: &Request, out: &mut Out) {
        if request.is_first {
            self.has_told_first = true;
            out.tell_first(request);
        } else {
            self.tell_none(out);
        }
    }

    /// What the client asked for first will not be known.
    pub(super) fn tell_none(&mut self, out: &mut Out) {
        if !self.has_told_first {
            self.has_told_first = true;
            out.tell_none(self.connection, self.flow, self.latest);
        }
    }

    fn take_request(&mut self, head: &RequestHead<'_>, end: u32, time: Timestamp, out: &mut Out) {
        out.counts.http += 1;
        for oddity in head.oddities.into_iter().flatten() {
            out.counts.add(oddity);
        }
        let mut request = self.request(time, out);
        request.ask(head);
        self.tell_opening(&request, out);
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

    pub(super) fn awaits_response(&self) -> bool {
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
    pub(super) fn request_sent(&mut self, is_complete: bool, out: &mut Out) {
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
    pub(super) fn response_ended(&mut self, is_complete: bool, out: &mut Out) {
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
    pub(super) fn tell_due(&mut self, out: &mut Out) {
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
