//! Several directors of one run, behind a router that sends every packet of a flow, both ways, to
//! the one that a hash names.
//!
//! Each has a connection table and schedulers of its own. One at a time stands in the run's feed,
//! with the run's recorder; the others wait here. The router loses no packet and sees a change of
//! the set at once.

mod told;

use equipoise_core::{Director, FlowId, ServiceIndex, Table, Timestamp};

use crate::feed::Feed;
use crate::record::Recorder;
use crate::scenario::{Directors, HashOf, Remap};
use crate::trace::TracePacket;
use crate::track::{self, Direction};
use crate::transform::mix;
use told::Told;

pub(crate) struct Ecmp {
    plan: Directors,
    members: Vec<Member>,
    /// Who stands in the feed.
    turn: usize,
    /// Those that get packets, by their numbers.
    present: Vec<usize>,
    /// How often they changed.
    epoch: u32,
    /// By flow.
    routes: Vec<Route>,
    told: Told,
}

struct Member {
    /// One without services while its own stands in the feed.
    director: Director<Recorder>,
    /// What was told since then it knows, by the trace's time.
    listens_since: Timestamp,
    /// Connections that it had an entry for without a decision, by service.
    taken_over: Vec<u64>,
}

/// Where a flow goes.
#[derive(Clone, Copy, Default)]
struct Route {
    hash: u64,
    /// As of this epoch.
    owner: (u32, usize),
}

/// What an event did to the connections of one service.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Remapped {
    /// Active ones whose packets go to another director from then on.
    pub(super) moved: u64,
    /// Those of them that it knows nothing of.
    pub(super) broken: u64,
}

impl Ecmp {
    /// `directors` are all but the first, which stands in the feed: in its place is one without
    /// services.
    pub(super) fn new(
        plan: Directors,
        directors: Vec<Director<Recorder>>,
        services: usize,
    ) -> Self {
        let member = |director: Director<Recorder>| Member {
            listens_since: Timestamp::default(),
            director,
            taken_over: vec![0; services],
        };
        Self {
            plan,
            members: directors.into_iter().map(member).collect(),
            turn: 0,
            present: (0..plan.count).collect(),
            epoch: 1,
            routes: Vec::new(),
            told: Told::default(),
        }
    }

    /// Whose turn it is.
    pub(super) fn turn(&self) -> usize {
        self.turn
    }

    /// Connections of a service that a director had an entry for without a decision.
    pub(crate) fn taken_over(&self, director: usize, service: usize) -> u64 {
        self.members[director].taken_over[service]
    }

    /// Lets the director that the packet goes to take its turn, and hear what others know of it.
    #[inline(never)]
    pub(super) fn route(&mut self, feed: &mut Feed<Recorder>, packet: &TracePacket) {
        let flow = packet.observed.flow;
        let place = flow.0 as usize;
        if place >= self.routes.len() {
            self.routes.resize(place + 1, Route::default());
        }
        if packet.observed.begins {
            self.routes[place] = Route {
                hash: self.hash_of(packet),
                owner: (0, 0),
            };
        }
        let route = self.routes[place];
        let owner = if route.owner.0 == self.epoch {
            route.owner.1
        } else {
            let owner = self.owner_of(route.hash);
            self.routes[place].owner = (self.epoch, owner);
            owner
        };
        self.turn_to(feed, owner);
        if self.plan.sync {
            let now = feed.time_of(packet);
            let member = &mut self.members[owner];
            let listener = (owner, member.listens_since);
            let heard = self.told.hear(&mut feed.director, listener, now, packet);
            if let Some(ServiceIndex(service)) = heard {
                member.taken_over[service as usize] += 1;
            }
        }
    }

    /// After the packet, lets the others know what its director would tell them.
    #[inline(never)]
    pub(super) fn tell(&mut self, feed: &mut Feed<Recorder>, packet: &TracePacket) {
        if self.plan.sync {
            let now = feed.time_of(packet);
            self.told.tell(&mut feed.director, self.turn, now, packet);
        }
    }

    /// Does something with each director in the feed, present or not.
    pub(super) fn each(
        &mut self,
        feed: &mut Feed<Recorder>,
        mut act: impl FnMut(usize, &mut Feed<Recorder>),
    ) {
        let turn = self.turn;
        for member in 0..self.members.len() {
            self.turn_to(feed, member);
            act(member, feed);
        }
        self.turn_to(feed, turn);
    }

    /// One leaves, and what it knew is gone; by service, what that did.
    pub(super) fn leave(&mut self, feed: &mut Feed<Recorder>, member: usize) -> Vec<Remapped> {
        let mut present = self.present.clone();
        present.retain(|&other| other != member);
        let remapped = self.change(feed, present);
        self.at(feed, member, |feed| feed.director.restart(Table::Lost));
        self.told.forget(member);
        remapped
    }

    /// One joins, knowing what was told since it listens, by the trace's time; by service, what
    /// that did.
    pub(super) fn join(
        &mut self,
        feed: &mut Feed<Recorder>,
        member: usize,
        listens_since: Timestamp,
    ) -> Vec<Remapped> {
        self.at(feed, member, |feed| feed.director.restart(Table::Lost));
        self.members[member].listens_since = listens_since;
        let mut present = self.present.clone();
        present.push(member);
        present.sort_unstable();
        self.change(feed, present)
    }

    /// One starts again at a time of the trace; by service, what that did.
    pub(super) fn restart(
        &mut self,
        feed: &mut Feed<Recorder>,
        member: usize,
        (table, at): (Table, Timestamp),
    ) -> Vec<Remapped> {
        let mut remapped = self.nothing();
        if table == Table::Lost {
            for (_, service, owner) in self.active(feed) {
                let broken = u64::from(owner == member);
                remapped[service.0 as usize].broken += broken;
            }
            self.members[member].listens_since = at;
        }
        self.at(feed, member, |feed| feed.director.restart(table));
        remapped
    }

    fn change(&mut self, feed: &mut Feed<Recorder>, present: Vec<usize>) -> Vec<Remapped> {
        let active = self.active(feed);
        self.present = present;
        self.epoch += 1;
        let mut remapped = self.nothing();
        for (flow, ServiceIndex(service), before) in active {
            let owner = self.owner_of(self.routes[flow.0 as usize].hash);
            if owner == before {
                continue;
            }
            let remapped = &mut remapped[service as usize];
            remapped.moved += 1;
            let director = self.director(feed, owner);
            let listener = (owner, self.members[owner].listens_since);
            let is_known = director.knows(flow) || self.told.knows(director, listener, flow);
            remapped.broken += u64::from(!is_known);
        }
        remapped
    }

    fn nothing(&self) -> Vec<Remapped> {
        let services = self.members.first().map(|member| &member.taken_over);
        vec![Remapped::default(); services.map_or(0, Vec::len)]
    }

    /// Flows with an active connection at the director that their packets go to.
    fn active(&self, feed: &Feed<Recorder>) -> Vec<(FlowId, ServiceIndex, usize)> {
        let mut active = Vec::new();
        for &member in &self.present {
            for (flow, service) in self.director(feed, member).active_flows() {
                if self.owner_of(self.routes[flow.0 as usize].hash) == member {
                    active.push((flow, service, member));
                }
            }
        }
        active
    }

    fn at(
        &mut self,
        feed: &mut Feed<Recorder>,
        member: usize,
        act: impl FnOnce(&mut Feed<Recorder>),
    ) {
        let turn = self.turn;
        self.turn_to(feed, member);
        act(feed);
        self.turn_to(feed, turn);
    }

    fn director<'a>(&'a self, feed: &'a Feed<Recorder>, member: usize) -> &'a Director<Recorder> {
        if member == self.turn {
            &feed.director
        } else {
            &self.members[member].director
        }
    }

    fn turn_to(&mut self, feed: &mut Feed<Recorder>, member: usize) {
        if member == self.turn {
            return;
        }
        let before = &mut self.members[self.turn].director;
        std::mem::swap(&mut feed.director, before);
        std::mem::swap(&mut feed.director, &mut self.members[member].director);
        let recorder = &mut self.members[self.turn].director.observer;
        std::mem::swap(&mut feed.director.observer, recorder);
        feed.director.observer.turn_to(member);
        self.turn = member;
    }

    /// Where flows of this hash go.
    fn owner_of(&self, hash: u64) -> usize {
        match self.plan.remap {
            Remap::Modulo => self.present[(hash % self.present.len() as u64) as usize],
            // Rendezvous: whoever comes or goes changes nothing between the others.
            Remap::Resilient => {
                let present = self.present.iter().copied();
                present
                    .max_by_key(|&member| mix(hash ^ mix(member as u64)))
                    .unwrap_or(0)
            }
        }
    }

    fn hash_of(&self, packet: &TracePacket) -> u64 {
        let seed = mix(self.plan.seed);
        match self.plan.hash_of {
            HashOf::Flow => mix(track::hash(&packet.packet) ^ seed),
            HashOf::Client => {
                let client = match packet.observed.direction {
                    Direction::ToServer => packet.packet.source,
                    Direction::ToClient => packet.packet.destination,
                };
                mix(client.0 as u64 ^ mix((client.0 >> 64) as u64 ^ seed))
            }
        }
    }
}
