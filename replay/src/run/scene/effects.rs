//! What a scenario's events did to one run.

use std::collections::BTreeMap;
use std::sync::Arc;

use equipoise_core::{Address, Decision, Timestamp};
use equipoise_reports::model::{self, Churn, Event, Moves, Way};

use super::settling::{Herd, Settled, Settling};
use super::spread::Spread;
use crate::decisions::Row;
use crate::scenario::{Plan, end_of};

/// What is kept of the events and of what came after them.
pub(super) struct Effects {
    plan: Arc<Plan>,
    /// By event and service, as far as the events happened.
    facts: BTreeMap<(usize, usize), Facts>,
    /// By service.
    clients: Vec<Clients>,
    /// By service, where there are several directors.
    spreads: Vec<Spread>,
    /// What follows the latest change of each service.
    settling: Vec<Option<Settling>>,
    /// Servers that answer no more and are not removed.
    dead: Vec<Dead>,
}

/// A server that answers no more, by its service and id, since an event.
#[derive(Clone, Copy)]
pub(super) struct Dead {
    pub(super) service: usize,
    pub(super) server: u32,
    pub(super) event: usize,
}

/// What one event did to one service.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) at: Timestamp,
    /// Connections that were decided by then.
    pub(super) after: u64,
    pub(super) broken: u64,
    /// Connections that came to another director.
    pub(super) remapped: u64,
    lost: u64,
    /// Clients that came back, by how many changes there had been before and by then.
    clients: BTreeMap<(usize, usize), u64>,
    ways: BTreeMap<(u32, u32), u64>,
    /// Once the service has changed again.
    settled: Option<Settled>,
}

#[derive(Default)]
struct Clients {
    /// The server of each client's latest connection, and how many changes there had been.
    latest: BTreeMap<Address, (u32, usize)>,
    changes: usize,
    /// The shares that the weights gave, after so many changes; none before the first.
    shares: Vec<Vec<f64>>,
    /// The event that changed the service last, and how many changes there were with it; a drain
    /// that comes to its end is one more.
    last_event: Option<(usize, usize)>,
    churn: Churn,
}

impl Clients {
    /// Half the sum of the differences between shares, after so many changes and so many.
    fn distance(&self, before: usize, after: usize) -> f64 {
        let pair = self.shares.get(before).zip(self.shares.get(after));
        let pairs = pair
            .into_iter()
            .flat_map(|(one, other)| one.iter().zip(other));
        pairs.map(|(one, other)| (one - other).abs()).sum::<f64>() / 2.0
    }
}

impl Facts {
    pub(super) fn new(at: Timestamp, after: u64) -> Self {
        Self {
            at,
            after,
            ..Self::default()
        }
    }
}

impl Effects {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        let services = plan.servers.len();
        let directors = plan.directors.map_or(0, |directors| directors.all);
        let spread = Spread::new(directors);
        Self {
            plan,
            facts: BTreeMap::new(),
            clients: (0..services).map(|_| Clients::default()).collect(),
            spreads: (0..services).map(|_| spread.clone()).collect(),
            settling: (0..services).map(|_| None).collect(),
            dead: Vec::new(),
        }
    }

    /// An event happened to a service.
    pub(super) fn happened(&mut self, event: usize, service: usize, facts: Facts) {
        self.facts.insert((event, service), facts);
    }

    /// What an event did to a service; none before it happened.
    pub(super) fn of(&mut self, event: usize, service: usize) -> Option<&mut Facts> {
        self.facts.get_mut(&(event, service))
    }

    /// From here on decisions are made otherwise, for an event; with the shares that the weights
    /// gave before, and give now.
    pub(super) fn changed(&mut self, event: usize, service: usize, shares: (Vec<f64>, Vec<f64>)) {
        self.changed_again(service, shares);
        if let Some(clients) = self.clients.get_mut(service) {
            clients.last_event = Some((event, clients.changes));
        }
    }

    /// From here on decisions are made otherwise, for an event that has changed them before.
    pub(super) fn changed_again(&mut self, service: usize, (before, now): (Vec<f64>, Vec<f64>)) {
        if let Some(clients) = self.clients.get_mut(service) {
            if clients.shares.is_empty() {
                clients.shares.push(before);
            }
            clients.shares.push(now);
            clients.changes += 1;
        }
        if let Some(spread) = self.spreads.get_mut(service) {
            spread.begin_again();
        }
        if let Some(settling) = self.settling.get_mut(service).and_then(Option::take)
            && let Some(facts) = self.facts.get_mut(&(settling.event, service))
        {
            facts.settled = Some(settling.outcome());
        }
    }

    /// From here on a service settles.
    pub(super) fn settles(&mut self, service: usize, settling: Settling) {
        if let Some(place) = self.settling.get_mut(service) {
            *place = Some(settling);
        }
    }

    /// What each of several directors decided for a service.
    pub(super) fn spread(&self, service: usize) -> Spread {
        let mut spread = self.spreads[service].clone();
        spread.begin_again();
        spread
    }

    pub(super) fn died(&mut self, dead: Dead) {
        self.dead.push(dead);
    }

    /// Those are not dead any more, or it has been noticed.
    pub(super) fn bury(&mut self, is_buried: impl Fn(&Dead) -> bool) {
        self.dead.retain(|dead| !is_buried(dead));
    }

    /// Takes in a decision, in the order of the packets.
    pub(super) fn note(&mut self, row: &Row, decision: &Decision) {
        let service = decision.service.0 as usize;
        if let Some(spread) = self.spreads.get_mut(service) {
            spread.note(row, decision);
        }
        let Some(id) = decision.server else {
            return;
        };
        if let Some(settling) = self.settling.get_mut(service).and_then(Option::as_mut) {
            settling.note(id, decision.at);
        }
        let of_server = |dead: &&Dead| (dead.service, dead.server) == (service, id);
        for dead in self.dead.iter().filter(of_server) {
            if let Some(facts) = self.facts.get_mut(&(dead.event, service)) {
                facts.lost += 1;
            }
        }
        let Some(clients) = self.clients.get_mut(service) else {
            return;
        };
        let changes = clients.changes;
        let latest = clients.latest.insert(row.client.address, (id, changes));
        let Some((before, known)) = latest else {
            return;
        };
        if known == changes {
            clients.churn.again += 1;
            clients.churn.moved += u64::from(before != id);
            return;
        }
        // Whoever has come since then is counted already.
        let event = clients.last_event.filter(|&(_, since)| known < since);
        if let Some(facts) = event.and_then(|(event, _)| self.facts.get_mut(&(event, service))) {
            *facts.clients.entry((known, changes)).or_default() += 1;
            if before != id {
                *facts.ways.entry((before, id)).or_default() += 1;
            }
        }
    }

    /// What there is to report of a service.
    pub(super) fn report(&self, service: usize) -> (Vec<Event>, Churn) {
        let servers = &self.plan.servers[service];
        let clients = &self.clients[service];
        let name = |id: u32| {
            servers
                .get(id as usize)
                .map_or_else(String::new, |s| end_of(s).to_string())
        };
        let events = self.plan.events.iter().enumerate();
        let events = events.filter(|(_, event)| event.is_of(service));
        let events = events.map(|(place, event)| {
            let facts = self.facts.get(&(place, service));
            let ways = facts.iter().flat_map(|facts| &facts.ways);
            let ways = ways.map(|(&(from, to), &clients)| Way {
                from: name(from),
                to: name(to),
                clients,
            });
            let ways: Vec<Way> = ways.collect();
            let came_back = facts.iter().flat_map(|facts| &facts.clients);
            let least = came_back
                .clone()
                .map(|(&(known, now), &count)| clients.distance(known, now) * count as f64);
            let settling = self.settling[service].as_ref();
            let settling = settling.filter(|settling| settling.event == place);
            let settling = settling.map(Settling::outcome);
            let settled = facts.and_then(|facts| facts.settled.as_ref());
            let settled = settled.or(settling.as_ref());
            let herd = |herd: &Herd| model::Herd {
                server: name(herd.server),
                fair: herd.fair,
                first: herd.first,
                peak: herd.peak,
            };
            Event {
                event: event.label.clone(),
                at_ns: facts.map(|facts| facts.at.0),
                after_connections: facts.map(|facts| facts.after),
                broken: facts.map_or(0, |facts| facts.broken),
                remapped: facts.map_or(0, |facts| facts.remapped),
                lost: facts.map_or(0, |facts| facts.lost),
                settling: settled.map(|settled| model::Settling {
                    connections: settled.connections,
                    herd: settled.herd.as_ref().map(herd),
                    rebalanced_ns: settled.rebalanced_ns,
                }),
                moves: Moves {
                    clients: came_back.map(|(_, count)| count).sum(),
                    moved: ways.iter().map(|way| way.clients).sum(),
                    least: least.fold(0.0, |sum, least| sum + least),
                    ways,
                },
            }
        });
        (events.collect(), clients.churn)
    }
}
