//! Packets to observed connections: what happened in the capture, whoever balances what.
//!
//! Shared by all runs. Knows nothing of IPVS states. A connection is observed from its first
//! packet, SYN or not, which is more than IPVS would schedule. Holds back packets that can change
//! nothing in any run, and tells of them in sums. Forgets what has been silent for long, so memory
//! follows the connections that are open at a time.

mod connection;
mod copies;
mod flow;
mod hash;
mod holding;
mod legs;
mod lifetime;
mod recent;
mod retention;
mod survey;

pub use connection::{Basis, Close, Connection, Traffic};
pub(crate) use hash::hash;
pub use holding::Holding;
pub(crate) use holding::is_plain;
pub use retention::Retention;
pub use survey::{EndpointCount, Endpoints, can_be_service};

use std::collections::VecDeque;

use equipoise_core::{FlowId, Packet, Quiet, ServiceKey, TcpFlags, Timestamp};
use hashbrown::HashTable;

use crate::decode::Decoded;
use copies::Copies;
use flow::Flow;
use holding::Tells;
use legs::Legs;
use recent::{Recent, way};
use retention::Checks;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From client to server.
    ToServer,
    /// From server to client.
    ToClient,
}

/// What the tracker says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The connection, numbered from 1 in order of first packets.
    pub connection: u64,
    /// The 5-tuple, both directions. The number is used again once everybody has forgotten it.
    pub flow: FlowId,
    /// Which way, as far as is known by now.
    pub direction: Direction,
    /// Whether the connection begins with this packet.
    pub begins: bool,
    /// On the packet that is the first response, and on no other: nanoseconds since the client's
    /// first payload.
    pub first_response_ns: Option<u64>,
}

/// Packets of a flow that were held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whose.
    pub flow: FlowId,
    /// As a packet from the lower end to the higher would look.
    pub sample: Packet,
    /// How many, how long and when.
    pub quiet: Quiet,
}

/// What was inferred and left out of all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inferred {
    /// Packets that a mirror port copied: the same IP packet within a millisecond.
    pub copies: u64,
    /// Connections from a masquerading director to its real servers, whose other legs are in the
    /// capture, too.
    pub second_legs: u64,
    /// Their packets.
    pub second_leg_packets: u64,
}

/// The place of no flow.
const NOWHERE: u32 = u32::MAX;

/// What is at hand of a packet's flow.
#[derive(Clone, Copy)]
struct Sought {
    way: u64,
    /// [`NOWHERE`] where it has to be looked up.
    place: u32,
    side: u32,
}

impl Sought {
    const fn nowhere(way: u64) -> Self {
        let (place, side) = (NOWHERE, 0);
        Self { way, place, side }
    }
}

/// The flows of the present.
pub struct Tracker {
    flows: Vec<Flow>,
    /// Those to use again, the longest free first: so neighbours are of one time.
    free: VecDeque<u32>,
    /// Their places in `flows`, never iterated. What is forgotten stays until it is made again: to
    /// take it out each time would be two more looks at memory that is in no cache.
    index: HashTable<u32>,
    /// Packets come in trains, and this is one access where the index takes three.
    recent: Recent,
    /// How many entries directors have for a flow.
    holders: Vec<u32>,
    connections: u64,
    tcp_connections: u64,
    inferred: Inferred,
    copies: Copies,
    legs: Legs,
    batch: u32,
    retention: Retention,
    /// The shortest silence that can end a connection.
    shortest_ns: u64,
    /// When [`Tracker::keep_time`] has something to do.
    due: u64,
    checks: Checks,
    holding: Option<Holding>,
    tells: Tells,
    told: Vec<Told>,
    ended: Vec<Connection>,
    /// Places of connections that end with the trace.
    leaving: Vec<u32>,
    /// The place of the flow that was found last.
    last: u32,
    /// Of the packet that was not held back last.
    sought: Sought,
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new(Retention::default(), None)
    }
}

impl Tracker {
    /// A tracker that forgets as told, and holds back packets where it may.
    pub fn new(retention: Retention, holding: Option<Holding>) -> Self {
        // So a packet that is held back never follows a silence that ends its connection.
        let holding = holding.map(|holding| holding.at_most(retention.shortest()));
        Self {
            flows: Vec::new(),
            free: VecDeque::new(),
            index: HashTable::new(),
            recent: Recent::default(),
            holders: Vec::new(),
            connections: 0,
            tcp_connections: 0,
            inferred: Inferred::default(),
            copies: Copies::default(),
            legs: Legs::new(Vec::new()),
            batch: 0,
            retention,
            shortest_ns: retention.shortest(),
            due: u64::MAX,
            checks: Checks::default(),
            holding,
            tells: Tells::default(),
            told: Vec::new(),
            ended: Vec::new(),
            leaving: Vec::new(),
            last: NOWHERE,
            sought: Sought::nowhere(0),
        }
    }

    /// Knows the services: a connection to one of them is no director's second leg.
    #[must_use]
    pub fn with_services(mut self, services: Vec<ServiceKey>) -> Self {
        self.legs = Legs::new(services);
        self
    }

    /// From now on what was held back is told before every packet that is passed on.
    pub(crate) fn tell_in_order(&mut self) {
        self.holding = self.holding.map(Holding::in_order);
    }

    /// Takes in the next packet; `now` never goes back. None where the packet is held
    /// back or left out.
    #[inline]
    pub fn track(&mut self, now: Timestamp, decoded: &Decoded) -> Option<Observed> {
        self.track_at(now, true, decoded)
    }

    /// [`Tracker::track`] with a packet that may not bear the time at which it is taken in: how soon
    /// it followed another cannot be told then, and nothing is inferred from it.
    #[inline]
    pub fn track_at(
        &mut self,
        now: Timestamp,
        is_its_own: bool,
        decoded: &Decoded,
    ) -> Option<Observed> {
        if !is_its_own {
            self.sought = self.seek(&decoded.packet);
        } else if self.hold(now, decoded) {
            return None;
        }
        self.pass(now, is_its_own, decoded)
    }

    /// The way of most packets, in few steps: takes in one that is held back, at the time that it
    /// bears. False where it is none of these or that would take longer to find out: then nothing was
    /// done, and [`Tracker::pass`] does the same with it.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "handing the packet over in memory takes as long as all of this"
    )]
    pub(crate) fn hold(&mut self, now: Timestamp, decoded: &Decoded) -> bool {
        let way = way(&decoded.packet);
        let mut sought = Sought::nowhere(way);
        if let Some((place, side)) = self.recent.find(way)
            && let Some(flow) = self.flows.get_mut(place as usize)
            && flow.is_from(side, &decoded.packet)
        {
            // What its flags show, the plain packet before it did.
            if let Some(holding) = self.holding
                && now.0 < self.due
                && holding.may_hold(flow, side, now, decoded)
                && (decoded.payload_length == 0 || flow.has_responded())
            {
                flow.batch = self.batch;
                self.last = place;
                if self.copies.is_copy(now, decoded, way) {
                    flow.count_copy(decoded, side);
                    self.inferred.copies += 1;
                    return true;
                }
                flow.count(now, decoded, side);
                if holding::hold(flow, side, decoded) {
                    self.tell_later(now, holding, place);
                }
                return true;
            }
            sought = Sought {
                way,
                place,
                side: side as u32,
            };
        }
        self.sought = sought;
        false
    }

    /// What [`Tracker::track_at`] does with a packet that [`Tracker::hold`] did not take in, right
    /// after that.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    pub(crate) fn pass(
        &mut self,
        now: Timestamp,
        is_its_own: bool,
        decoded: &Decoded,
    ) -> Option<Observed> {
        if self.due <= now.0 {
            self.keep_time(now);
            self.sought = self.seek(&decoded.packet);
        }
        let Sought { way, place, side } = self.sought;
        let is_copy = is_its_own && self.copies.is_copy(now, decoded, way);
        let found = if place == NOWHERE {
            self.look_up(&decoded.packet, way)
        } else {
            Some((place, side as usize))
        };
        if let (true, Some((place, side))) = (is_copy, found) {
            let flow = &mut self.flows[place as usize];
            flow.batch = self.batch;
            flow.count_copy(decoded, side);
            self.last = place;
            self.inferred.copies += 1;
            return None;
        }
        let begins = match found {
            Some((place, side)) => {
                let flow = &self.flows[place as usize];
                let silence = now.0.saturating_sub(flow.last());
                let is_over = silence > self.shortest_ns && self.retention.is_over(flow, now);
                is_over || flow.ends_before(decoded, side)
            }
            None => true,
        };
        let (place, side) = match found {
            Some(found) if !begins => found,
            _ => (self.begin(now, is_its_own, decoded, way, found), 0),
        };
        self.last = place;
        let flow = &mut self.flows[place as usize];
        flow.batch = self.batch;
        let lasts = flow.lasts();
        let (direction, is_response) = flow.take(now, decoded, side);
        if flow.is_second_leg() {
            self.inferred.second_leg_packets += 1;
            return None;
        }
        if let Some(holding) = self.holding {
            let wants_passing = begins || is_response;
            if !wants_passing && holding.may_hold(flow, side, now, decoded) {
                if holding::hold(flow, side, decoded) {
                    self.tell_later(now, holding, place);
                }
                return None;
            }
            if holding.tells_before(flow, side, decoded) {
                self.told.extend(self.tells.tell(place, flow, lasts));
            }
            holding::pass(flow, side, now, decoded);
        }
        Some(Observed {
            connection: flow.number(),
            flow: FlowId(place),
            direction,
            begins,
            first_response_ns: if is_response {
                flow.first_response_ns()
            } else {
                None
            },
        })
    }

    fn tell_later(&mut self, now: Timestamp, holding: Holding, place: u32) {
        self.due = self.due.min(self.tells.add(now, holding, place));
    }

    /// Whether [`Tracker::told`] has something.
    #[inline]
    pub fn has_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// What was told of since the last call, to be taken before the packet that was tracked last.
    #[inline]
    pub fn told(&mut self) -> std::vec::Drain<'_, Told> {
        self.told.drain(..)
    }

    /// Tells of everything that is still held back: at the end of the trace.
    pub fn tell_all(&mut self) {
        while let Some(place) = self.tells.next_due(Timestamp(u64::MAX)) {
            self.tell(place);
        }
    }

    /// Connections that ended since the last call, in the order in which their end was noticed.
    pub fn ended(&mut self) -> impl Iterator<Item = Connection> + '_ {
        let flows = &self.flows;
        let leaving = self.leaving.drain(..);
        let leaving = leaving.map(|place| flows[place as usize].connection());
        self.ended.drain(..).chain(leaving)
    }

    /// Connections that have not ended, in the order of their numbers.
    pub fn under_way(&self) -> Vec<Connection> {
        let places = self.places().into_iter();
        places
            .map(|place| self.flows[place as usize].connection())
            .collect()
    }

    /// Ends every connection: at the end of the trace. They come in the order of their numbers.
    pub fn end_all(&mut self) {
        if self.index.is_empty() {
            return;
        }
        self.tell_all();
        self.leaving = self.places();
        self.index.clear();
    }

    /// The connection that a flow carries now, or carried last.
    pub fn connection(&self, flow: FlowId) -> Option<Connection> {
        self.flows.get(flow.0 as usize).map(Flow::connection)
    }

    /// The flow of the packet that was tracked last, and the number of its connection.
    #[inline]
    pub fn carrier(&self) -> Option<(FlowId, u64)> {
        let flow = self.flows.get(self.last as usize)?;
        Some((FlowId(self.last), flow.number()))
    }

    /// Connections seen so far.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Those of TCP among them.
    pub fn tcp_connections(&self) -> u64 {
        self.tcp_connections
    }

    /// What was inferred so far.
    pub fn inferred(&self) -> Inferred {
        self.inferred
    }

    /// A new batch begins. Whoever takes in packets later is one batch behind at most.
    pub fn next_batch(&mut self) {
        self.batch += 1;
    }

    /// A director made an entry for the flow.
    pub fn entry_made(&mut self, flow: FlowId) {
        if let Some(holders) = self.holders.get_mut(flow.0 as usize) {
            *holders += 1;
        }
    }

    /// A director's entry for the flow is gone.
    pub fn entry_gone(&mut self, flow: FlowId) {
        if let Some(holders) = self.holders.get_mut(flow.0 as usize) {
            *holders = holders.saturating_sub(1);
        }
    }

    /// What is at hand of the packet's flow.
    fn seek(&self, packet: &Packet) -> Sought {
        let way = way(packet);
        let Some((place, side)) = self.recent.find(way) else {
            return Sought::nowhere(way);
        };
        match self.flows.get(place as usize) {
            Some(flow) if flow.is_from(side, packet) => {
                let side = side as u32;
                Sought { way, place, side }
            }
            _ => Sought::nowhere(way),
        }
    }

    #[inline(never)]
    fn look_up(&mut self, packet: &Packet, way: u64) -> Option<(u32, usize)> {
        let side_at = |place: u32| self.flows.get(place as usize)?.side_of(packet);
        let mut side = 0;
        let &place = self.index.find(hash(packet), |&place| {
            let found = side_at(place);
            side = found.unwrap_or(0);
            found.is_some()
        })?;
        self.recent.put(way, place, side);
        Some((place, side))
    }

    fn tell(&mut self, place: u32) {
        if let Some(flow) = self.flows.get_mut(place as usize) {
            let lasts = flow.lasts();
            self.told.extend(self.tells.tell(place, flow, lasts));
        }
    }
}

fn is_syn(flags: TcpFlags) -> bool {
    flags & (TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::SYN
}
