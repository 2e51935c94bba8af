//! Connections that wait for their first request: what of them a director has not seen yet.

use std::collections::VecDeque;

use equipoise_core::{FlowId, Packet, Quiet, QuietSide, ServiceIndex, TcpFlags, Timestamp};

use crate::trace::{Asked, Event, TracePacket};
use crate::track::{Direction, Told, is_plain};

/// How long a connection waits before it is given up (nginx's `client_header_timeout`).
const PATIENCE: u64 = 60 * Timestamp::SECOND;
/// Events of a connection that are kept one by one; of what only acknowledges, sums beyond that.
const MOST_APART: usize = 64;
/// With more it is given up.
const MOST_KEPT: usize = 256;

/// Packets that are kept of all connections, some 170 MB; with more the oldest connections are given
/// up.
const MOST_IN_ALL: usize = 1 << 20;

/// Those of one run.
pub(super) struct Waiting {
    /// By flow number.
    flows: Vec<Option<Box<Waiter>>>,
    /// When they are given up, the first to be so in front; some are gone already.
    ends: VecDeque<(Timestamp, FlowId, u64)>,
    /// Packets that are kept, first ones included, and how many may be.
    kept: usize,
    most: usize,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            flows: Vec::new(),
            ends: VecDeque::new(),
            kept: 0,
            most: MOST_IN_ALL,
        }
    }
}

/// One connection.
pub(super) struct Waiter {
    pub(super) service: ServiceIndex,
    /// The packet that would have created it.
    pub(super) first: TracePacket,
    /// What followed.
    pub(super) rest: Vec<Event>,
    /// When it is given up, by the run's clock.
    until: Timestamp,
}

/// What became of an event.
pub(super) enum Kept {
    /// It waits with its connection.
    Yes,
    /// None of its connection waits.
    No,
    /// Neither: the one that waited on its flow is given up.
    GivenUp(Box<Waiter>),
}

impl Waiting {
    /// A connection waits from `now` on; gives the one that waited in its place.
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        service: ServiceIndex,
        first: &TracePacket,
    ) -> Option<Box<Waiter>> {
        let flow = first.observed.flow;
        let until = Timestamp(now.0.saturating_add(PATIENCE));
        self.ends
            .push_back((until, flow, first.observed.connection));
        let waiter = Waiter {
            service,
            first: *first,
            rest: Vec::new(),
            until,
        };
        let place = flow.0 as usize;
        if place >= self.flows.len() {
            self.flows.resize_with(place + 1, || None);
        }
        self.kept += 1;
        let replaced = self.flows[place].replace(Box::new(waiter));
        self.kept -= replaced.as_ref().map_or(0, |waiter| waiter.kept());
        replaced
    }

    /// Whether a connection has ever waited.
    #[inline]
    pub(super) const fn is_unused(&self) -> bool {
        self.flows.is_empty()
    }

    /// Keeps what belongs to a connection that waits, if it may go on waiting at that time.
    pub(super) fn keep(&mut self, now: Timestamp, event: &Event) -> Kept {
        let (flow, connection) = match event {
            Event::Packet(packet) => (packet.observed.flow, Some(packet.observed.connection)),
            Event::Told(told) => (told.flow, None),
            Event::Asked(_) => return Kept::No,
        };
        let Some(place) = self.flows.get_mut(flow.0 as usize) else {
            return Kept::No;
        };
        let Some(waiter) = place else {
            return Kept::No;
        };
        let is_its = connection.is_none_or(|number| number == waiter.connection());
        let before = waiter.kept();
        if is_its && now < waiter.until && self.kept < self.most && waiter.keep(event) {
            self.kept += waiter.kept() - before;
            return Kept::Yes;
        }
        self.kept -= before;
        place.take().map_or(Kept::No, Kept::GivenUp)
    }

    /// The connection whose first request is known, if it still waits.
    pub(super) fn end(&mut self, now: Timestamp, asked: &Asked) -> Option<Box<Waiter>> {
        let place = self.flows.get_mut(asked.flow.0 as usize)?;
        let waiter = place
            .take_if(|waiter| waiter.connection() == asked.connection && now < waiter.until)?;
        self.kept -= waiter.kept();
        Some(waiter)
    }

    /// One that has waited too long by `now`, or the oldest where too much is kept.
    pub(super) fn give_up(&mut self, now: Timestamp) -> Option<Box<Waiter>> {
        while let Some(&(end, flow, connection)) = self.ends.front()
            && (end <= now || self.kept >= self.most)
        {
            self.ends.pop_front();
            let place = self.flows.get_mut(flow.0 as usize);
            let waiter =
                place.and_then(|place| place.take_if(|waiter| waiter.connection() == connection));
            if let Some(waiter) = waiter {
                self.kept -= waiter.kept();
                return Some(waiter);
            }
        }
        None
    }
}

impl Waiter {
    const fn connection(&self) -> u64 {
        self.first.observed.connection
    }

    fn kept(&self) -> usize {
        1 + self.rest.len()
    }

    /// False where there is too much of it.
    fn keep(&mut self, event: &Event) -> bool {
        let sum;
        let event = match event {
            Event::Packet(packet)
                if self.rest.len() >= MOST_APART && self.changes_nothing(packet) =>
            {
                sum = Event::Told(self.told_of(packet));
                &sum
            }
            _ => event,
        };
        if let (Some(Event::Told(sums)), Event::Told(told)) = (self.rest.last_mut(), event) {
            add(&mut sums.quiet, &told.quiet);
            return true;
        }
        let has_room = self.rest.len() < MOST_KEPT;
        if has_room {
            self.rest.push(event.clone());
        }
        has_room
    }

    /// Whether it only acknowledges, as one from its end did after all that do more.
    fn changes_nothing(&self, packet: &TracePacket) -> bool {
        let of_packets = self.rest.iter().rev().filter_map(|event| match event {
            Event::Packet(packet) => Some(packet),
            _ => None,
        });
        let mut plain = of_packets.take_while(|before| is_plain(before.packet.flags));
        is_plain(packet.packet.flags)
            && plain.any(|before| before.observed.direction == packet.observed.direction)
    }

    fn told_of(&self, packet: &TracePacket) -> Told {
        let side = QuietSide {
            packets: 1,
            bytes: u64::from(packet.packet.length),
            last: packet.time,
        };
        // The sample's end is the one that its sums are `low` of.
        let quiet = match packet.observed.direction {
            Direction::ToServer => Quiet {
                low: side,
                ..Quiet::default()
            },
            Direction::ToClient => Quiet {
                high: side,
                ..Quiet::default()
            },
        };
        let told = Told {
            flow: packet.observed.flow,
            sample: Packet {
                flags: TcpFlags::ACK,
                length: 0,
                ..self.first.packet
            },
            quiet,
        };
        if self.client_is_low() {
            told
        } else {
            turned(told)
        }
    }

    /// Whether the client's is the lower end, whose sums are `low` in what the tracker tells.
    fn client_is_low(&self) -> bool {
        let packet = &self.first.packet;
        (packet.source, packet.source_port) <= (packet.destination, packet.destination_port)
    }

    /// Packets that its client sent.
    pub(super) fn packets(&self) -> u64 {
        let is_low = self.client_is_low();
        let packets = self.rest.iter().map(|event| match event {
            Event::Packet(packet) => u64::from(packet.observed.direction == Direction::ToServer),
            Event::Told(told) if is_low => told.quiet.low.packets,
            Event::Told(told) => told.quiet.high.packets,
            Event::Asked(_) => 0,
        });
        1 + packets.sum::<u64>()
    }
}

/// Told from the other end.
fn turned(told: Told) -> Told {
    let mut sample = told.sample;
    std::mem::swap(&mut sample.source, &mut sample.destination);
    std::mem::swap(&mut sample.source_port, &mut sample.destination_port);
    Told {
        sample,
        quiet: Quiet {
            low: told.quiet.high,
            high: told.quiet.low,
        },
        ..told
    }
}

fn add(sums: &mut Quiet, more: &Quiet) {
    for (sum, more) in [(&mut sums.low, &more.low), (&mut sums.high, &more.high)] {
        sum.packets += more.packets;
        sum.bytes += more.bytes;
        sum.last = sum.last.max(more.last);
    }
}

#[cfg(test)]
mod tests {
    use equipoise_core::{Address, Protocol};

    use super::*;
    use crate::track::Observed;

    fn packet(connection: u64, flags: TcpFlags) -> TracePacket {
        TracePacket {
            capture: 0,
            number: connection,
            time: Timestamp(0),
            raw_time_ns: None,
            packet: Packet {
                source: Address::v4(1),
                destination: Address::v4(2),
                source_port: connection as u16,
                destination_port: 80,
                protocol: Protocol::Tcp,
                flags,
                length: 40,
                mark: 0,
            },
            observed: Observed {
                connection,
                flow: FlowId(connection as u32),
                direction: Direction::ToServer,
                begins: flags.contains(TcpFlags::SYN),
                first_response_ns: None,
            },
            payload_length: 0,
        }
    }

    #[test]
    fn no_more_is_kept_of_all_than_may_be() {
        let mut waiting = Waiting {
            most: 100,
            ..Waiting::default()
        };
        let (mut given_up, mut packets) = (0, 0);
        for connection in 1..=60 {
            while let Some(waiter) = waiting.give_up(Timestamp(0)) {
                given_up += 1;
                packets += waiter.packets();
            }
            let first = packet(connection, TcpFlags::SYN);
            assert!(
                waiting
                    .begin(Timestamp(0), ServiceIndex(0), &first)
                    .is_none()
            );
            for _ in 0..3 {
                let event = Event::Packet(packet(connection, TcpFlags::ACK));
                match waiting.keep(Timestamp(0), &event) {
                    Kept::Yes => {}
                    Kept::GivenUp(waiter) => {
                        given_up += 1;
                        packets += waiter.packets();
                        break;
                    }
                    Kept::No => unreachable!("it waits"),
                }
            }
            assert!(waiting.kept <= 100);
        }
        while let Some(waiter) = waiting.give_up(Timestamp(u64::MAX)) {
            given_up += 1;
            packets += waiter.packets();
        }
        assert_eq!((given_up, packets, waiting.kept), (60, 240, 0));
    }
}
