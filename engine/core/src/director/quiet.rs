//! Packets that change nothing, told in sums.
//!
//! A host that feeds many directors need not pass each of them every packet of an established
//! connection: it may hold back those that [`Director::quiet`] allows, and tell how many they were.

use super::{CannotCreate, Director, Settings};
use crate::connections::{Direction, FlowId};
use crate::observer::{Observer, ServiceIndex};
use crate::tcp::State;
use crate::{Packet, Timestamp};

/// Packets of one flow that the host held back, by the end they came from: `low` sent the sample
/// that they are told of with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quiet {
    /// From the sample's end.
    pub low: QuietSide,
    /// From the other end.
    pub high: QuietSide,
}

/// Packets that were held back from one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuietSide {
    /// How many.
    pub packets: u64,
    /// Their IP bytes.
    pub bytes: u64,
    /// When the latest came, or one like it that was passed since; of no meaning without packets.
    pub last: Timestamp,
}

/// The states in which a connection may be while its packets are held back: those that a
/// connection can reach from its SYN.
pub(crate) const QUIET_STATES: [State; 7] = [
    State::Established,
    State::SynSent,
    State::SynRecv,
    State::FinWait,
    State::TimeWait,
    State::Close,
    State::CloseWait,
];

impl Settings {
    /// Nanoseconds, less than any timeout that can run while packets are held back: see
    /// [`Director::quiet`].
    pub const fn quiet_limit(&self) -> u64 {
        let mut least_s = u32::MAX;
        let mut place = 0;
        while place < QUIET_STATES.len() {
            let timeout_s = QUIET_STATES[place].timeout_s(&self.timeouts);
            if timeout_s < least_s {
                least_s = timeout_s;
            }
            place += 1;
        }
        (least_s as u64 * Timestamp::SECOND).saturating_sub(1)
    }
}

impl<O: Observer> Director<O> {
    /// Packets of a flow that were held back. `sample` is one of them as one of the ends would send
    /// it: ACK set, its length of no meaning. No time passes.
    ///
    /// The answer names, for that end and for the other, the service that wanted packets
    /// from there, and why they could not create a connection; none where there is a connection,
    /// or where [`Director::packet_of_flow`] would not have answered so.
    ///
    /// After this the director is as if it had been given each of them in its time, provided that
    /// the host keeps these rules:
    ///
    /// - Held back are only plain packets: TCP with ACK and without SYN, FIN and RST. Every other
    ///   packet of the flow is passed, and what was held back before it is told first. A plain packet
    ///   may be passed before what was held back is told.
    /// - Since the last packet that is not plain, a plain one was passed from the same end.
    /// - It came less than half of [`Settings::quiet_limit`] after the latest packet passed or
    ///   told from its end, and also from the other end, if that has ever sent one: the replies of
    ///   a direct-routing connection do not keep it alive.
    /// - They are told before the director learns of a time half of the limit or more after the
    ///   first of them.
    /// - Before the director's end and before it is changed it is told the time of the latest
    ///   packet, held back or not ([`Director::advance`]).
    /// - Times of packets do not go back.
    /// - Packets bear no marks, `sloppy_tcp` is off, and no server is deleted.
    pub fn quiet(
        &mut self,
        flow: FlowId,
        sample: &Packet,
        quiet: &Quiet,
    ) -> [Option<(ServiceIndex, CannotCreate)>; 2] {
        let reply = Packet {
            source: sample.destination,
            destination: sample.source,
            source_port: sample.destination_port,
            destination_port: sample.source_port,
            ..*sample
        };
        let sides = [(sample, &quiet.low), (&reply, &quiet.high)];
        let Some(slot) = self.connections.find_flow(flow) else {
            return sides.map(|(packet, side)| {
                let wants = side.packets > 0;
                wants.then(|| self.turned_away(packet)).flatten()
            });
        };
        let Some(entry) = self.connections.get_mut(slot) else {
            return [None; 2];
        };
        let mut latest = None;
        for (packet, side) in sides {
            if side.packets == 0 {
                continue;
            }
            let touches = match entry.direction_of(packet) {
                Direction::ToServer => {
                    entry.count_in(side.packets, side.bytes);
                    true
                }
                Direction::ToClient => {
                    entry.count_out(side.packets, side.bytes);
                    !entry.input_only
                }
            };
            if touches {
                latest = latest.max(Some(side.last));
            }
        }
        if let Some(latest) = latest {
            // A packet that was passed after them may have moved the deadline further.
            let end = self.lifetimes.end(entry.state, latest);
            if !entry.postpone(end.max(entry.deadline)) {
                self.connections.queue(slot);
            }
        }
        [None; 2]
    }

    /// The service that wants a packet without SYN that belongs to no connection.
    fn turned_away(&self, packet: &Packet) -> Option<(ServiceIndex, CannotCreate)> {
        let unprivileged_from = self.settings.sysctls.unprivileged_port_start;
        let index = self.table.find(packet, unprivileged_from)?;
        let service = &self.services[index.0 as usize];
        (!service.stopped).then_some((index, CannotCreate::MidStream))
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::tcp::{self, View};
    use crate::{TcpFlags, Timeouts};

    const EVERY_STATE: [State; 11] = [
        State::None,
        State::Established,
        State::SynSent,
        State::SynRecv,
        State::FinWait,
        State::TimeWait,
        State::Close,
        State::CloseWait,
        State::LastAck,
        State::Listen,
        State::SynAck,
    ];

    /// The state after a packet from the client, or from the server; replies that bypass the
    /// director change nothing.
    fn after(state: State, input_only: bool, from_client: bool, flags: TcpFlags) -> State {
        let view = match (input_only, from_client) {
            (true, true) => View::InputOnly,
            (true, false) => return state,
            (false, true) => View::Input,
            (false, false) => View::Output,
        };
        tcp::next(view, state, flags)
    }

    #[test]
    fn after_one_plain_packet_from_an_end_others_from_there_change_nothing() {
        let plain = [TcpFlags::ACK, TcpFlags::ACK | TcpFlags::PSH];
        for (start, input_only) in EVERY_STATE.iter().flat_map(|&s| [(s, false), (s, true)]) {
            for (length, word) in
                (1..=4).flat_map(|length| (0..1 << length).map(move |w| (length, w)))
            {
                let mut state = start;
                let mut has_sent = [false; 2];
                for step in 0..length {
                    let from_client = word >> step & 1 == 1;
                    state = after(state, input_only, from_client, plain[step % 2]);
                    has_sent[usize::from(from_client)] = true;
                }
                for end in [0, 1].into_iter().filter(|&end| has_sent[end]) {
                    for flags in plain {
                        assert_eq!(
                            after(state, input_only, end == 1, flags),
                            state,
                            "from {start}, input only {input_only}, after {word:0length$b}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_plain_packet_without_the_acknowledgement_is_none() {
        let closed = after(State::Established, false, true, TcpFlags::PSH);
        assert_eq!(closed, State::Close);
    }

    #[test]
    fn quiet_states_are_those_that_a_connection_can_reach() {
        let flags = (0..=u8::MAX).map(TcpFlags::from_bits_truncate);
        for input_only in [false, true] {
            let mut reached: BTreeSet<State> = flags
                .clone()
                .filter(|flags| flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::RST))
                .map(|flags| after(State::None, input_only, true, flags))
                .collect();
            loop {
                let further: BTreeSet<State> = reached
                    .iter()
                    .flat_map(|&state| flags.clone().map(move |flags| (state, flags)))
                    .flat_map(|(state, flags)| {
                        [true, false].map(|client| after(state, input_only, client, flags))
                    })
                    .chain(reached.iter().copied())
                    .collect();
                if further == reached {
                    break;
                }
                reached = further;
            }
            let quiet = BTreeSet::from(QUIET_STATES);
            if input_only {
                assert!(reached.is_subset(&quiet), "{reached:?}");
            } else {
                assert_eq!(reached, quiet);
            }
        }
    }

    #[test]
    fn the_limit_is_below_every_timeout() {
        let limit = |tcp_s, tcp_fin_s| {
            let timeouts = Timeouts {
                tcp_s,
                tcp_fin_s,
                udp_s: 1,
            };
            Settings {
                timeouts,
                ..Settings::default()
            }
            .quiet_limit()
        };
        assert_eq!(limit(900, 120), 10 * Timestamp::SECOND - 1);
        assert_eq!(limit(3, 120), 3 * Timestamp::SECOND - 1);
        assert_eq!(limit(900, 0), 0);
    }
}
