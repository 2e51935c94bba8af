//! One connection as a machine that sends one segment at a time.
//!
//! The capture is taken beside the service: whatever answers the client's packets comes after a
//! moment, whatever answers the service's after a round trip. A side sends flights of segments that
//! double with each round trip, and the other acknowledges every second one. Nothing is lost.

use std::io::Write;

use super::error::SynthError;
use super::frames::{ACK, Client, FIN, Frames, PSH, RST, SYN, Segment, Side};
use super::http::Head;
use super::scripts::{Message, Plan, Scripts};

/// What the service takes to answer a packet.
const TURN_NS: u64 = 50_000;
/// Between two segments of a flight: full ones at 1 Gbit/s.
const GAP_NS: u64 = 12_000;
/// How long an acknowledgement may wait for something to go with.
const DELAYED_NS: u64 = 40_000_000;
/// Segments of the first flight (RFC 6928), and of the largest.
const FIRST_FLIGHT: u32 = 10;
const LARGEST_FLIGHT: u32 = 64;

/// What happened by now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that began, those of the flood not counted.
    pub connections: u64,
    /// Those of them by IPv6.
    pub ipv6_connections: u64,
    /// Requests, each with its response.
    pub requests: u64,
    /// Connections closed by a FIN of either side.
    pub closed: u64,
    /// Connections ended by a reset.
    pub reset: u64,
    /// SYNs of the flood.
    pub flood: u64,
}

pub(super) struct Connection {
    pub(super) client: Client,
    /// The client's place among the clients; none for the flood.
    pub(super) rank: Option<u32>,
    next: Step,
    plan: Plan,
    ends: [End; 2],
    message: Message,
    /// Until what follows the message.
    pause_ns: u64,
}

/// What one side counts.
#[derive(Clone, Copy)]
struct End {
    sequence: u32,
    /// What it has acknowledged of the other's.
    acknowledged: u32,
    identification: u16,
    /// Segments that it may send before it waits.
    flight: u32,
}

#[derive(Clone, Copy)]
enum Step {
    Syn,
    SynAck,
    Established,
    Data,
    Acknowledge,
    /// What could have waited for something to go with.
    AcknowledgeLate,
    Reset,
    Fin,
    FinOfServer,
    Last,
}

impl Connection {
    /// A connection of a client, or a SYN of the flood.
    pub(super) fn new(client: Client, rank: Option<u32>, scripts: &mut Scripts) -> Self {
        let ends = [(); 2].map(|()| {
            let numbers = scripts.numbers();
            End {
                sequence: numbers as u32,
                acknowledged: 0,
                identification: (numbers >> 32) as u16,
                flight: FIRST_FLIGHT,
            }
        });
        Self {
            client,
            rank,
            next: Step::Syn,
            plan: rank.map_or_else(Plan::default, |_| scripts.plan()),
            ends,
            message: Message::new(Side::Client, Head::Ok, 0),
            pause_ns: 0,
        }
    }

    /// Sends the next segment. When the one after it is due, none where it was the last.
    #[inline]
    pub(super) fn step<W: Write>(
        &mut self,
        now: u64,
        scripts: &mut Scripts,
        tally: &mut Tally,
        frames: &mut Frames<W>,
    ) -> Result<Option<u64>, SynthError> {
        use Side::{Client, Server};
        let next = match self.next {
            Step::Syn => {
                self.signal(now, Client, SYN, frames)?;
                self.next = Step::SynAck;
                now + TURN_NS
            }
            Step::SynAck => {
                self.signal(now, Server, SYN | ACK, frames)?;
                if self.rank.is_none() {
                    return Ok(None);
                }
                self.next = Step::Established;
                self.after(now, Client)
            }
            Step::Established => {
                self.signal(now, Client, ACK, frames)?;
                self.ask(scripts, tally);
                now + GAP_NS
            }
            Step::Data => {
                self.send(now, scripts, frames)?;
                self.after_data(now, scripts, tally)
            }
            Step::Acknowledge => {
                self.acknowledge(now, frames)?;
                self.after_acknowledgement(now, scripts, tally)
            }
            Step::AcknowledgeLate => {
                self.acknowledge(now, frames)?;
                self.go_on(scripts, tally);
                now.saturating_add(self.pause_ns)
            }
            Step::Reset => {
                self.signal(now, Client, RST | ACK, frames)?;
                tally.reset += 1;
                return Ok(None);
            }
            Step::Fin => {
                self.signal(now, Client, FIN | ACK, frames)?;
                tally.closed += 1;
                self.next = Step::FinOfServer;
                now + TURN_NS
            }
            Step::FinOfServer => {
                self.signal(now, Server, FIN | ACK, frames)?;
                self.next = Step::Last;
                self.after(now, Client)
            }
            Step::Last => {
                self.signal(now, Client, ACK, frames)?;
                return Ok(None);
            }
        };
        Ok(Some(next))
    }

    /// When a side answers what was sent now.
    fn after(&self, now: u64, side: Side) -> u64 {
        match side {
            Side::Client => now.saturating_add(self.plan.rtt_ns),
            Side::Server => now + TURN_NS,
        }
    }

    /// Sends a segment without payload.
    fn signal<W: Write>(
        &mut self,
        now: u64,
        from: Side,
        flags: u8,
        frames: &mut Frames<W>,
    ) -> Result<(), SynthError> {
        let segment = self.segment(from, flags);
        frames.put(now, &self.client, segment, (&[], &[]))
    }

    /// A segment that acknowledges all that came, and takes its place in the sequence.
    fn segment(&mut self, from: Side, flags: u8) -> Segment {
        let other = self.ends[from.other() as usize].sequence;
        let end = &mut self.ends[from as usize];
        if flags & ACK != 0 {
            end.acknowledged = other;
        }
        let sequence = end.sequence;
        end.sequence = sequence.wrapping_add(u32::from(flags & (SYN | FIN) != 0));
        self.numbered(from, flags, sequence)
    }

    fn numbered(&mut self, from: Side, flags: u8, sequence: u32) -> Segment {
        let end = &mut self.ends[from as usize];
        end.identification = end.identification.wrapping_add(1);
        Segment {
            from,
            flags,
            sequence,
            acknowledgement: end.acknowledged,
            identification: end.identification,
        }
    }

    /// The next segment of the message.
    fn send<W: Write>(
        &mut self,
        now: u64,
        scripts: &mut Scripts,
        frames: &mut Frames<W>,
    ) -> Result<(), SynthError> {
        let mss = u64::from(frames.mss(self.client.is_v6));
        let Message {
            from, head, body, ..
        } = self.message;
        if self.message.sent == 0 {
            self.message.head_length = scripts.texts.head(head, body).len() as u64;
        } else if self.message.sent < self.message.head_length {
            scripts.texts.head(head, body);
        }
        let message = &mut self.message;
        let (begin, total) = (message.sent, message.head_length + body);
        let end = total.min(begin + mss);
        message.sent = end;
        message.flown += 1;
        let flags = if end == total { PSH | ACK } else { ACK };
        let split = message.head_length.clamp(begin, end);
        // Of the head, what is in this segment; of the body, the rest.
        let of_head = begin.min(split) as usize..split as usize;
        let length = (end - split) as usize;
        let offset = split - message.head_length.min(split);
        let (text, filling) = scripts.texts.parts(offset, length);
        let text = text.get(of_head).unwrap_or_default();
        let segment = self.segment(from, flags);
        let sender = &mut self.ends[from as usize];
        sender.sequence = sender.sequence.wrapping_add((end - begin) as u32);
        frames.put(now, &self.client, segment, (text, filling))
    }

    fn after_data(&mut self, now: u64, scripts: &mut Scripts, tally: &mut Tally) -> u64 {
        let message = &mut self.message;
        let (flown, receiver) = (message.flown, message.from.other());
        if message.is_complete() {
            // The last one may go with the answer.
            message.due = flown / 2;
            self.pause_ns = scripts.pause_ns(message.from, self.plan.requests > 0);
        } else if flown == self.ends[message.from as usize].flight {
            message.due = flown.div_ceil(2);
        } else {
            return now + GAP_NS;
        }
        let then = self.after(now, receiver);
        if self.message.due > 0 {
            self.next = Step::Acknowledge;
            then
        } else {
            self.turn(then, scripts, tally)
        }
    }

    /// Acknowledges two more segments, or what there is.
    fn acknowledge<W: Write>(
        &mut self,
        now: u64,
        frames: &mut Frames<W>,
    ) -> Result<(), SynthError> {
        let receiver = self.message.from.other();
        let sent = self.ends[self.message.from as usize].sequence;
        let two = 2 * u32::from(frames.mss(self.client.is_v6));
        let end = &mut self.ends[receiver as usize];
        let rest = sent.wrapping_sub(end.acknowledged);
        end.acknowledged = end.acknowledged.wrapping_add(rest.min(two));
        let sequence = end.sequence;
        let segment = self.numbered(receiver, ACK, sequence);
        frames.put(now, &self.client, segment, (&[], &[]))
    }

    fn after_acknowledgement(&mut self, now: u64, scripts: &mut Scripts, tally: &mut Tally) -> u64 {
        self.message.due -= 1;
        if self.message.due > 0 {
            return now + GAP_NS;
        }
        if self.message.is_complete() {
            return self.turn(now, scripts, tally);
        }
        let from = self.message.from;
        let sender = &mut self.ends[from as usize];
        sender.flight = (2 * sender.flight).min(LARGEST_FLIGHT);
        self.message.flown = 0;
        self.next = Step::Data;
        self.after(now, from)
    }

    /// The message has come: what follows it, and when, if it is looked at from `ready` on.
    fn turn(&mut self, ready: u64, scripts: &mut Scripts, tally: &mut Tally) -> u64 {
        let from = self.message.from;
        let acknowledged = self.ends[from.other() as usize].acknowledged;
        let is_rest = acknowledged != self.ends[from as usize].sequence;
        if is_rest && self.pause_ns > DELAYED_NS {
            self.pause_ns -= DELAYED_NS;
            self.next = Step::AcknowledgeLate;
            return ready.saturating_add(DELAYED_NS);
        }
        self.go_on(scripts, tally);
        ready.saturating_add(self.pause_ns)
    }

    fn go_on(&mut self, scripts: &mut Scripts, tally: &mut Tally) {
        match self.message.from {
            Side::Client => {
                self.message = scripts.response();
                self.next = Step::Data;
            }
            Side::Server if self.plan.requests > 0 => self.ask(scripts, tally),
            Side::Server if self.plan.is_reset => self.next = Step::Reset,
            Side::Server => self.next = Step::Fin,
        }
    }

    fn ask(&mut self, scripts: &mut Scripts, tally: &mut Tally) {
        self.plan.requests -= 1;
        tally.requests += 1;
        self.message = scripts.request();
        self.next = Step::Data;
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}
