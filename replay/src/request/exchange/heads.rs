//! Heads where they lie: in a packet, or joined of several.

use super::super::http::{self, RequestHead, ResponseHead};
use super::super::order::Piece;
use super::super::record::Hello;
use super::super::{Out, Reason, tls};
use super::Exchange;
use super::side::Reading;
use crate::track::Direction;

impl Exchange {
    /// Passes over what is no beginning; how much that is.
    pub(super) fn search(&mut self, from: Direction, piece: &Piece<'_>, out: &mut Out) -> u32 {
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
    pub(super) fn read_head(&mut self, from: Direction, piece: &Piece<'_>, out: &mut Out) -> u32 {
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
            let side = self.side(from);
            let ends_first_line = !side.has_line && bytes[..added].contains(&b'\n');
            if buffer.len() < side.wanted
                && buffer.len() < most
                && !ends_first_line
                && !shows_end(&buffer, before)
            {
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
                self.take_message(&message, end, piece, out);
                return used as u32;
            }
            Err(reason) => {
                self.refuse(from, reason, out);
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
        side.has_line = buffer.contains(&b'\n');
        side.buffer = buffer;
        side.wanted = wanted;
        side.position += added as u64;
        added as u32
    }

    /// Looks at the part of a head behind which nothing comes: that it is none is told, however its
    /// pieces were cut.
    pub(super) fn look_last(&mut self, from: Direction, out: &mut Out) {
        let side = self.side(from);
        if side.reading != Reading::Head || side.buffer.is_empty() {
            return;
        }
        let buffer = std::mem::take(&mut side.buffer);
        if let Err(reason) = self.parse(from, &buffer) {
            self.refuse(from, reason, out);
        }
    }

    fn refuse(&mut self, from: Direction, reason: Reason, out: &mut Out) {
        let is_switched = from == Direction::ToServer && self.may_switch;
        let reason = if is_switched {
            Reason::Switched
        } else {
            reason
        };
        self.stop_reading(from, reason, out);
    }

    fn parse<'a>(&self, from: Direction, bytes: &'a [u8]) -> Result<Head<'a>, Reason> {
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
}

/// What was read of a message's beginning.
enum Head<'a> {
    /// So long, all of it.
    Whole(usize, Message<'a>),
    /// There is nothing more to be seen before there are so many bytes, or an end shows.
    Part(usize),
}

pub(super) enum Message<'a> {
    Request(RequestHead<'a>),
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
