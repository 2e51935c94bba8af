//! Directors that share one connection table.
//!
//! Where no decision can change what becomes of a connection, directors that differ in their
//! policies alone have the same connections at the same times, each bound to another server. One
//! of them leads: it takes in packets, asks no policy, and writes down what its services would be
//! told. The others follow: they decide, and keep of each connection its server alone.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Director, around, flow_of};
use crate::batch::Kind;
use crate::connections::{Binding, Connections, EntryKind, Slot, Traffic};
use crate::observer::{Decision, Observer, ServiceIndex};
use crate::service::{Arrival, Note, Scheduling, Service, Surroundings};
use crate::{
    Fault, Flow, Load, Needs, Parameter, Policy, Scheduler, Server, ServerId, ServiceConfig,
    ServiceIdentity, Timestamp,
};

/// Servers of a service whose decisions others may follow, at most: with more than its least table
/// has slots (251), mh can be without a choice.
const MOST_FOLLOWED: usize = 250;

/// What a director that leads wrote down since [`Script::clear`]: its observer.
pub struct Script {
    events: Vec<Event>,
}

enum Event {
    Arrived {
        service: ServiceIndex,
        kind: Kind,
        arrival: Arrival,
    },
    Changed {
        service: ServiceIndex,
        kind: Kind,
        slot: Slot,
        note: Note,
        at: Timestamp,
    },
    Closed {
        service: ServiceIndex,
        slot: Slot,
        flow: Flow,
        traffic: Traffic,
    },
    /// Refused before any policy is asked.
    Refused(Decision),
}

impl Script {
    /// How many events it holds.
    pub const fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing happened.
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Forgets what everybody has followed.
    pub fn clear(&mut self) {
        self.events.clear();
    }

    #[inline]
    pub(crate) fn arrived(&mut self, service: ServiceIndex, kind: Kind, arrival: &Arrival) {
        self.events.push(Event::Arrived {
            service,
            kind,
            arrival: *arrival,
        });
    }

    #[inline]
    pub(crate) fn changed(
        &mut self,
        service: ServiceIndex,
        kind: Kind,
        slot: Slot,
        note: Note,
        at: Timestamp,
    ) {
        self.events.push(Event::Changed {
            service,
            kind,
            slot,
            note,
            at,
        });
    }

    #[inline]
    pub(crate) fn closed(
        &mut self,
        service: ServiceIndex,
        slot: Slot,
        flow: &Flow,
        traffic: &Traffic,
    ) {
        self.events.push(Event::Closed {
            service,
            slot,
            flow: *flow,
            traffic: *traffic,
        });
    }
}

impl Observer for Script {
    fn decided(&mut self, decision: &Decision) {
        self.events.push(Event::Refused(*decision));
    }

    #[inline]
    fn script(&mut self) -> Option<&mut Script> {
        Some(self)
    }
}

impl<O: Observer> Director<O> {
    /// A director for this one and its like to follow: with the same settings, services and
    /// servers, and at the same time. Their policies must be such that they choose a server
    /// whenever all are usable.
    ///
    /// None where even then a decision could change what becomes of connections: where a service
    /// is persistent, or schedules datagrams one by one, or has no server; where a server is
    /// quiesced, deleted, has a threshold or another forwarding method than its neighbours; where
    /// there are more servers than every policy has room for; and where there are connections
    /// already.
    pub fn leader(&self) -> Option<Director<Script>> {
        let is_fit = self.connection_count() == 0 && self.services.iter().all(Service::may_follow);
        if !is_fit {
            return None;
        }
        let mut leader = Director::new(self.settings, Script { events: Vec::new() });
        leader.advance(self.now);
        for service in &self.services {
            let scheduling = Scheduling {
                policy: Arc::new(Nobody),
                parameters: Vec::new(),
                seed: 0,
                fallback: None,
            };
            let index = leader.add_service(service.config, scheduling).ok()?;
            for server in &service.servers {
                leader.add_server(index, server.config).ok()?;
            }
        }
        Some(leader)
    }

    /// Takes in what the leader wrote down until `now`, and decides all of it. A director that
    /// follows is given no packets, and everything that its own leader writes from the beginning.
    ///
    /// Where a policy's failure stops it underway, what the script says of other services, and of
    /// connections that are there already, counts to its end all the same.
    ///
    /// If a policy refuses a connection all the same, that counts as refused, but what becomes of
    /// its later packets is not known here.
    pub fn follow(&mut self, script: &Script, now: Timestamp) {
        for event in &script.events {
            match event {
                Event::Arrived {
                    service,
                    kind,
                    arrival,
                } => {
                    let service = &mut self.services[service.0 as usize];
                    let number = service.next_arrival();
                    self.connections.await_server(arrival.slot, number);
                    service.arrive(*kind, *arrival, around!(self));
                }
                &Event::Changed {
                    service,
                    kind,
                    slot,
                    note,
                    at,
                } => self.change(service, kind, slot, note, at),
                Event::Closed {
                    service,
                    slot,
                    flow,
                    traffic,
                } => {
                    if let Some(Binding::Server(id)) = self.connections.followed(*slot) {
                        self.observer.closed(*service, id, flow, traffic);
                    }
                }
                Event::Refused(decision) => {
                    self.services[decision.service.0 as usize].settle(around!(self));
                    self.observer.decided(decision);
                }
            }
        }
        self.now = now;
        self.settle();
    }

    #[inline]
    fn change(&mut self, service: ServiceIndex, kind: Kind, slot: Slot, note: Note, at: Timestamp) {
        let service = &mut self.services[service.0 as usize];
        let is_end = matches!(kind, Kind::GoneActive | Kind::GoneInactive);
        if is_end && matches!(self.connections.followed(slot), Some(Binding::Pending(_))) {
            // The slot may be another connection's before this one is decided.
            service.settle(around!(self));
        }
        if let Some(binding) = self.connections.followed(slot) {
            service.log(kind, slot, binding, note, at, around!(self));
        }
    }

    /// [`Director::finish`], of a director that followed: connections that are open at the leader
    /// are reported as closed.
    pub fn finish_following(&mut self, leader: LeaderTable<'_>) {
        for slot in leader.0.slots() {
            let Some(entry) = leader.0.get(slot) else {
                continue;
            };
            let followed = self.connections.followed(slot);
            if let (EntryKind::Connection, Some(Binding::Server(id))) = (entry.kind(), followed) {
                let flow = flow_of(&entry.key(), 0);
                let service = ServiceIndex(entry.service);
                self.observer.closed(service, id, &flow, &entry.traffic());
            }
        }
    }
}

/// The connection table of a director that leads, for all that follow at once.
#[derive(Clone, Copy)]
pub struct LeaderTable<'a>(&'a Connections);

impl Director<Script> {
    /// What [`Director::finish_following`] needs of it.
    pub const fn leader_table(&self) -> LeaderTable<'_> {
        LeaderTable(&self.connections)
    }

    /// [`Director::advance`] in steps, so that what is written down stays short: fires at most so
    /// many timers, and is true once none is due.
    pub fn advance_a_step(&mut self, now: Timestamp, at_most: usize) -> bool {
        self.now = self.now.max(now);
        for _ in 0..at_most {
            let Some((slot, due)) = self.connections.next_due(self.now) else {
                return true;
            };
            self.expire(slot, due);
        }
        !self.connections.may_have_due(self.now)
    }
}

impl Service {
    /// Whether nothing but the server of a connection depends on decisions, as long as none is a
    /// refusal: see [`Director::leader`].
    fn may_follow(&self) -> bool {
        let ServiceConfig {
            persistence,
            one_packet,
            ..
        } = self.config;
        let are_alike = self.servers.iter().all(|server| {
            server.is_listed()
                && server.config.weight > 0
                && server.config.upper_threshold == 0
                && server.config.method == self.servers[0].config.method
        });
        let are_few = (1..=MOST_FOLLOWED).contains(&self.servers.len());
        persistence.is_none() && !one_packet && are_few && are_alike
    }
}

/// What decides in a director that leads, which asks nobody.
struct Nobody;

impl Policy for Nobody {
    fn start(
        &self,
        _: Timestamp,
        _: &ServiceIdentity,
        _: &[Parameter],
        _: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        Ok(Box::new(Nobody))
    }
}

impl Scheduler for Nobody {
    fn needs(&self) -> Needs {
        Needs::empty()
    }

    fn set_servers(&mut self, _: &[Server]) -> Result<(), Fault> {
        Ok(())
    }

    fn schedule(
        &mut self,
        _: Timestamp,
        _: &Flow,
        _: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        Ok(None)
    }
}
