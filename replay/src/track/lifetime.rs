//! How flows begin, are found again by their index, and are forgotten.

use equipoise_core::{Packet, Protocol, Timestamp};

use super::flow::{FORGOTTEN, Flow};
use super::hash::{hash, hash_of};
use super::legs::{Leg, Place};
use super::recent::way_back;
use super::{Tracker, retention};
use crate::decode::Decoded;

impl Tracker {
    /// A connection begins, on the flow that was found or on a new one; the place of the flow.
    #[inline(never)]
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        has_legs: bool,
        decoded: &Decoded,
        way: u64,
        found: Option<(u32, usize)>,
    ) -> u32 {
        let packet = &decoded.packet;
        self.connections += 1;
        self.tcp_connections += u64::from(packet.protocol == Protocol::Tcp);
        // Before the flow is written, for the look-up not to wait until that has reached memory.
        let leg = if has_legs {
            let next = self.free.front().copied();
            let place = found.map(|(place, _)| place).or(next);
            let place = place.unwrap_or(self.flows.len() as u32);
            let connection = Place(place, self.connections);
            self.legs.begin(now, decoded, connection)
        } else {
            Leg::First
        };
        let place = match found {
            Some((place, side)) => {
                self.begin_again(now, packet, place, side);
                place
            }
            None => self.begin_flow(now, packet, way),
        };
        match leg {
            Leg::First => {}
            Leg::Second => self.mark_second_leg(place),
            Leg::FirstOf(Place(other, number)) => {
                if self.flows[other as usize].number() == number {
                    self.mark_second_leg(other);
                }
            }
            Leg::Scan(Place(other, number)) => {
                let other = &mut self.flows[other as usize];
                if other.number() == number && other.unmark_second_leg() {
                    self.inferred.second_legs -= 1;
                }
            }
        }
        place
    }

    fn begin_again(&mut self, now: Timestamp, packet: &Packet, place: u32, side: usize) {
        let flow = &mut self.flows[place as usize];
        // What was held back belongs to the connection that ends here.
        let lasts = flow.lasts();
        self.told.extend(self.tells.tell(place, flow, lasts));
        self.ended.push(flow.connection());
        flow.begin_again(self.connections, now, packet, side);
    }

    fn mark_second_leg(&mut self, place: u32) {
        // What comes later is not held back, and does not count with what was.
        self.tell(place);
        let flow = &mut self.flows[place as usize];
        self.inferred.second_legs += u64::from(flow.mark_second_leg());
    }

    fn begin_flow(&mut self, now: Timestamp, packet: &Packet, way: u64) -> u32 {
        if self.index.len() == self.index.capacity() {
            self.make_index();
        }
        let flow = Flow::begin(self.connections, now, packet);
        let place = if let Some(place) = self.free.pop_front() {
            self.flows[place as usize] = flow;
            place
        } else {
            self.flows.push(flow);
            self.holders.push(0);
            self.flows.len() as u32 - 1
        };
        self.recent.put(way_back(packet), place, 1);
        // Where both ends are one, both ways are, too, and the first side sends.
        self.recent.put(way, place, 0);
        self.index.insert_unique(hash(packet), place, |_| 0);
        let first_check = self.retention.first_check(now.0);
        if first_check < u64::MAX {
            self.due = self.due.min(first_check);
            self.checks.add(first_check, place);
        }
        place
    }

    /// Makes an index of the flows that are known, with room for more, in the order of their places:
    /// to look at them in any other order would take longer than all the rest.
    #[cold]
    fn make_index(&mut self) {
        let known = self.flows.len() - self.free.len();
        // An empty table asks for no hashes, and so does one that has room.
        self.index.clear();
        self.index.reserve(known + known / 4 + 1, |_| 0);
        let known = (0..).zip(&self.flows);
        for (place, flow) in known.filter(|(_, flow)| flow.number() != FORGOTTEN) {
            self.index.insert_unique(hash_of(flow), place, |_| 0);
        }
    }

    /// Tells of what has been held back for long, and forgets what has been silent for long.
    #[cold]
    pub(super) fn keep_time(&mut self, now: Timestamp) {
        while let Some(place) = self.tells.next_due(now) {
            self.tell(place);
        }
        self.forget_silent(now);
        self.due = self.tells.due().min(self.checks.due());
    }

    fn forget_silent(&mut self, now: Timestamp) {
        loop {
            let flows = &self.flows;
            let retention = &self.retention;
            let first_check = |place: u32| retention.first_check(flows[place as usize].first());
            let Some(place) = self.checks.next_due(now, first_check) else {
                break;
            };
            let flow = &mut self.flows[place as usize];
            let is_wanted = self.holders[place as usize] > 0 || self.batch < flow.batch + 2;
            if is_wanted || !self.retention.is_over(flow, now) {
                let again = self
                    .retention
                    .until(flow)
                    .max(now.0.saturating_add(retention::AGAIN_NS));
                self.checks.add_again(again, place);
                continue;
            }
            let lasts = flow.lasts();
            self.told.extend(self.tells.tell(place, flow, lasts));
            self.ended.push(flow.connection());
            flow.set_forgotten();
            self.free.push_back(place);
        }
    }

    /// Of the flows that are not forgotten, by the numbers of their connections.
    #[expect(
        clippy::stable_sort_primitive,
        reason = "most are in order already, and the stable one makes use of that"
    )]
    pub(super) fn places(&self) -> Vec<u32> {
        let all = self.flows.iter().map(Flow::number).zip(0..);
        let mut places: Vec<(u64, u32)> = all.filter(|&(number, _)| number != FORGOTTEN).collect();
        places.sort();
        places.into_iter().map(|(_, place)| place).collect()
    }
}
