//! Packets that can change nothing in any run: held back, and told of in sums.
//!
//! Keeps the contract of `Director::quiet`: that such packets only refresh timers and count as
//! traffic, whatever a run has made of their flow.

use std::collections::VecDeque;

use equipoise_core::{FlowId, Packet, Quiet, QuietSide, TcpFlags, Timestamp};

use super::Told;
use super::flow::Flow;
use crate::decode::Decoded;

/// Under which conditions packets are held back.
#[derive(Clone, Copy, Debug)]
pub struct Holding {
    half_ns: u64,
    in_order: bool,
}

/// Acknowledges and does nothing else that a state machine looks at.
#[inline]
pub(crate) fn is_plain(flags: TcpFlags) -> bool {
    const TELLING: TcpFlags = TcpFlags::SYN
        .union(TcpFlags::FIN)
        .union(TcpFlags::RST)
        .union(TcpFlags::ACK);
    flags.intersection(TELLING) == TcpFlags::ACK
}

impl Holding {
    /// `limit_ns` is the capture's time that `Settings::quiet_limit` stands for.
    pub fn new(limit_ns: u64) -> Self {
        Self {
            half_ns: limit_ns / 2,
            in_order: false,
        }
    }

    pub(super) fn at_most(self, ns: u64) -> Self {
        Self {
            half_ns: self.half_ns.min(ns),
            ..self
        }
    }

    pub(super) const fn in_order(self) -> Self {
        Self {
            in_order: true,
            ..self
        }
    }

    /// Whether the packet of `flow` from `side` changes nothing.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    pub(super) fn may_hold(
        self,
        flow: &Flow,
        side: usize,
        now: Timestamp,
        decoded: &Decoded,
    ) -> bool {
        is_plain(decoded.packet.flags)
            && flow.is_routine(side, now, self.half_ns)
            && has_room(flow, side, decoded)
    }

    /// Whether what is held back of the flow must be told before the packet is passed on. A director
    /// does not mind the order of plain packets, but whoever keeps packets until a request is known
    /// counts them one by one.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    pub(super) fn tells_before(self, flow: &Flow, side: usize, decoded: &Decoded) -> bool {
        self.in_order || !is_plain(decoded.packet.flags) || !has_room(flow, side, decoded)
    }
}

/// Whether one more can be counted as held.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
fn has_room(flow: &Flow, side: usize, decoded: &Decoded) -> bool {
    let from = &flow.sides[side];
    from.held_bytes <= u32::MAX - decoded.packet.length && from.held_packets < u32::MAX
}

/// Counts a packet as held; true where it is the flow's first.
#[inline]
pub(super) fn hold(flow: &mut Flow, side: usize, decoded: &Decoded) -> bool {
    let is_first = flow.sides[0].held_packets | flow.sides[1].held_packets == 0;
    let from = &mut flow.sides[side];
    from.held_packets += 1;
    from.held_bytes += decoded.packet.length;
    is_first
}

/// Notes that a packet is passed on.
#[inline]
pub(super) fn pass(flow: &mut Flow, side: usize, now: Timestamp, decoded: &Decoded) {
    if is_plain(decoded.packet.flags) {
        flow.note_plain(side);
    } else {
        flow.note_change();
    }
    flow.note_told(side, now.0);
}

#[inline(never)]
fn sum_up(place: u32, flow: &mut Flow, last: [u64; 2]) -> Told {
    let [mut quiet, mut other] = [0, 1].map(|side| {
        let (from, last) = (&mut flow.sides[side], last[side]);
        let told = QuietSide {
            packets: u64::from(from.held_packets),
            bytes: u64::from(from.held_bytes),
            last: Timestamp(last),
        };
        from.held_packets = 0;
        from.held_bytes = 0;
        if told.packets > 0 {
            flow.note_told(side, last);
        }
        told
    });
    let [mut low, mut high] = flow.ends();
    if low > high {
        std::mem::swap(&mut low, &mut high);
        std::mem::swap(&mut quiet, &mut other);
    }
    Told {
        flow: FlowId(place),
        sample: Packet {
            source: low.0,
            destination: high.0,
            source_port: low.1,
            destination_port: high.1,
            protocol: flow.protocol,
            flags: TcpFlags::ACK,
            length: 0,
            mark: 0,
        },
        quiet: Quiet {
            low: quiet,
            high: other,
        },
    }
}

/// Flows of which something is held, by the time at which it must be told.
#[derive(Default)]
pub(super) struct Tells {
    due: VecDeque<(u64, u32)>,
    /// By flow, whether something is held: most was told of before it is due, and to look at flows
    /// that nobody else looks at takes long.
    holds: Vec<bool>,
}

impl Tells {
    /// Adds a flow, and gives the time at which the first is due.
    #[inline]
    pub(super) fn add(&mut self, now: Timestamp, holding: Holding, flow: u32) -> u64 {
        let place = flow as usize;
        if place >= self.holds.len() {
            self.holds.resize(place + 1, false);
        }
        self.holds[place] = true;
        // Early rather than late, for many to be due at a time. The wait is the same for all, so these
        // times are in order.
        let step = holding.half_ns / 8 + 1;
        let at = now.0.saturating_add(holding.half_ns);
        self.due.push_back((at - at % step, flow));
        self.due()
    }

    /// When the first is due.
    pub(super) fn due(&self) -> u64 {
        self.due.front().map_or(u64::MAX, |&(at, _)| at)
    }

    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<u32> {
        while let Some((_, flow)) = self.due.pop_front_if(|&mut (at, _)| at <= now.0) {
            if self.holds[flow as usize] {
                return Some(flow);
            }
        }
        None
    }

    /// What is held of a flow, if anything; from now on nothing is. `last` is the time of each
    /// side's latest packet but for one that is passed on now.
    #[inline]
    pub(super) fn tell(&mut self, place: u32, flow: &mut Flow, last: [u64; 2]) -> Option<Told> {
        if flow.sides[0].held_packets | flow.sides[1].held_packets == 0 {
            return None;
        }
        self.holds[place as usize] = false;
        Some(sum_up(place, flow, last))
    }
}
