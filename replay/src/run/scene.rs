//! A scenario as one run plays it, and what its events did.

use std::collections::BTreeMap;
use std::sync::Arc;

use equipoise_core::{
    Address, ConfigError, Decision, Director, Endpoint, Scheduling, ServerConfig, ServiceIndex,
    Timestamp,
};
use equipoise_reports::model::{Churn, Event, Moves, Way};
use equipoise_reports::stats::promised_by_weight;

use crate::decisions::Row;
use crate::policy::Chosen;
use crate::record::Recorder;
use crate::scenario::{Action, Plan, Target, When, end_of};

/// The scenario of one run.
pub(crate) struct Scene {
    plan: Arc<Plan>,
    next: usize,
    /// Of the first packet.
    first: Option<Timestamp>,
    /// Of what happened last.
    last: Timestamp,
    removals: Vec<Removal>,
    /// By event, as far as they happened.
    facts: Vec<Facts>,
    /// By service.
    clients: Vec<Clients>,
    /// Servers that answer no more and are not removed: service, id and event.
    dead: Vec<(usize, u32, usize)>,
}

/// A server that is to be removed later.
struct Removal {
    at: Timestamp,
    event: usize,
    target: Target,
}

/// What is due.
pub(super) enum Due {
    Event(usize),
    Removal(usize),
}

#[derive(Default)]
struct Facts {
    at_ns: u64,
    after: u64,
    broken: u64,
    lost: u64,
    clients: u64,
    /// Share of the clients that had to move.
    least: f64,
    ways: BTreeMap<(u32, u32), u64>,
}

#[derive(Default)]
struct Clients {
    /// The server of each client's latest connection, and how many changes there had been.
    latest: BTreeMap<Address, (u32, usize)>,
    /// The event that changed the service last, and how many changes there have been.
    last_event: Option<usize>,
    changes: usize,
    churn: Churn,
}

impl Clients {
    fn change(&mut self, event: usize) {
        self.last_event = Some(event);
        self.changes += 1;
    }
}

impl Scene {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let services = plan.servers.len();
        Self {
            plan,
            next: 0,
            first: None,
            last: Timestamp::default(),
            removals: Vec::new(),
            facts: Vec::new(),
            clients: (0..services).map(|_| Clients::default()).collect(),
            dead: Vec::new(),
        }
    }

    /// What is to happen before a packet of this time, after so many decisions: when, and what.
    pub(super) fn due(&mut self, now: Timestamp, decided: u64) -> Option<(Timestamp, Due)> {
        let first = *self.first.get_or_insert(now);
        let event = self.plan.events.get(self.next).and_then(|event| {
            let at = match event.when {
                When::At(bound) => bound.after_first(first),
                When::After(connections) if decided >= connections => now,
                When::After(_) => return None,
            };
            // One that waited for those before it happens when they have.
            (at <= now).then_some(at.max(self.last))
        });
        let removals = self.removals.iter().enumerate();
        let removal = removals
            .map(|(place, removal)| (removal.at, place))
            .filter(|&(at, _)| at <= now)
            .min();
        match (event, removal) {
            (Some(at), Some((removal, _))) if at < removal => Some((at, Due::Event(self.next))),
            (_, Some((at, place))) => Some((at, Due::Removal(place))),
            (Some(at), None) => Some((at, Due::Event(self.next))),
            (None, None) => None,
        }
    }

    /// Whose it is.
    pub(super) fn service_of(&self, due: &Due) -> ServiceIndex {
        let event = match *due {
            Due::Event(place) => place,
            Due::Removal(place) => self.removals[place].event,
        };
        ServiceIndex(self.plan.events[event].service as u32)
    }

    /// Carries it out, after so many decisions; the director has settled and knows the time.
    pub(super) fn play(
        &mut self,
        (at, due): (Timestamp, Due),
        decided: u64,
        director: &mut Director<Recorder>,
        scheduling: impl FnOnce(&Chosen, usize) -> Scheduling,
    ) -> Result<(), ConfigError> {
        self.last = at;
        let place = match due {
            Due::Removal(place) => {
                let removal = self.removals.remove(place);
                let service = self.plan.events[removal.event].service;
                self.dead.retain(|&(_, _, event)| event != removal.event);
                if !self.is_down(removal.event) {
                    self.facts[removal.event].broken = active(director, service, removal.target);
                }
                self.clients[service].change(removal.event);
                return remove(director, service, removal.target);
            }
            Due::Event(place) => place,
        };
        self.next += 1;
        let plan = Arc::clone(&self.plan);
        let event = &plan.events[place];
        let service = event.service;
        let index = ServiceIndex(service as u32);
        let before = shares(director, index, &plan.servers[service]);
        let mut facts = Facts {
            at_ns: at.0,
            after: decided,
            ..Facts::default()
        };
        let later = |target: Target, ns: u64| Removal {
            at: Timestamp(at.0.saturating_add(ns)),
            event: place,
            target,
        };
        let outcome = match event.action {
            Action::Add(target) | Action::Up(target) => {
                // It may have been about to go.
                let id = (service, target.id);
                self.removals.retain(|removal| {
                    (plan.events[removal.event].service, removal.target.id) != id
                });
                self.dead
                    .retain(|&(service, server, _)| (service, server) != id);
                if is_listed(director, index, target) {
                    director.edit_server(index, target.config)
                } else {
                    director.add_server(index, target.config).map(|_| ())
                }
            }
            Action::Remove(target) | Action::Down(target, 0) => {
                facts.broken = active(director, service, target);
                remove(director, service, target)
            }
            Action::Down(target, ns) => {
                facts.broken = active(director, service, target);
                self.dead.push((service, target.id, place));
                self.removals.push(later(target, ns));
                Ok(())
            }
            Action::Weight(target) | Action::Drain(target, None) => {
                director.edit_server(index, target.config)
            }
            Action::Drain(target, Some(ns)) => {
                self.removals.push(later(target, ns));
                director.edit_server(index, target.config)
            }
            Action::Policy(ref chosen) => {
                director.set_scheduling(index, scheduling(chosen, service))
            }
        };
        let mut after = shares(director, index, &plan.servers[service]);
        if let Action::Down(target, _) = event.action {
            // As it will be once that is noticed.
            after = shares_without(director, index, &plan.servers[service], Some(target.id));
        }
        let differences = before
            .iter()
            .zip(&after)
            .map(|(one, other)| (one - other).abs());
        facts.least = differences.sum::<f64>() / 2.0;
        self.facts.push(facts);
        // One that is not noticed yet changes no decision.
        if !matches!(event.action, Action::Down(_, 1..)) {
            self.clients[service].change(place);
        }
        outcome
    }

    /// Takes in a decision, in the order of the packets.
    pub(super) fn note(&mut self, row: &Row, decision: &Decision) {
        let Some(id) = decision.server else {
            return;
        };
        let service = decision.service.0 as usize;
        let dead = self.dead.iter();
        for &(_, _, event) in dead.filter(|&&(of, server, _)| (of, server) == (service, id)) {
            self.facts[event].lost += 1;
        }
        let Some(clients) = self.clients.get_mut(service) else {
            return;
        };
        let changes = clients.changes;
        let latest = clients.latest.insert(row.client.address, (id, changes));
        let Some((before, known)) = latest else {
            return;
        };
        match clients.last_event {
            Some(event) if known < changes => {
                let facts = &mut self.facts[event];
                facts.clients += 1;
                if before != id {
                    *facts.ways.entry((before, id)).or_default() += 1;
                }
            }
            _ => {
                clients.churn.again += 1;
                clients.churn.moved += u64::from(before != id);
            }
        }
    }

    /// What there is to report of a service.
    pub(crate) fn report(&self, service: usize) -> (Vec<Event>, Churn) {
        let servers = &self.plan.servers[service];
        let name = |id: u32| {
            servers
                .get(id as usize)
                .map_or_else(String::new, |s| end_of(s).to_string())
        };
        let events = self.plan.events.iter().enumerate();
        let events = events.filter(|(_, event)| event.service == service);
        let events = events.map(|(place, event)| {
            let facts = self.facts.get(place);
            let ways = facts.iter().flat_map(|facts| &facts.ways);
            let ways = ways.map(|(&(from, to), &clients)| Way {
                from: name(from),
                to: name(to),
                clients,
            });
            let ways: Vec<Way> = ways.collect();
            Event {
                event: event.label.clone(),
                at_ns: facts.map(|facts| facts.at_ns),
                after_connections: facts.map(|facts| facts.after),
                broken: facts.map_or(0, |facts| facts.broken),
                lost: facts.map_or(0, |facts| facts.lost),
                moves: Moves {
                    clients: facts.map_or(0, |facts| facts.clients),
                    moved: ways.iter().map(|way| way.clients).sum(),
                    least: facts.map_or(0.0, |facts| facts.least * facts.clients as f64),
                    ways,
                },
            }
        });
        (events.collect(), self.clients[service].churn)
    }

    fn is_down(&self, event: usize) -> bool {
        matches!(self.plan.events[event].action, Action::Down(..))
    }
}

fn remove(
    director: &mut Director<Recorder>,
    service: usize,
    target: Target,
) -> Result<(), ConfigError> {
    let Endpoint { address, port } = end_of(&target.config);
    director.delete_server(ServiceIndex(service as u32), address, port)
}

fn active(director: &Director<Recorder>, service: usize, target: Target) -> u64 {
    let server = director.server(ServiceIndex(service as u32), target.id);
    server.map_or(0, |server| u64::from(server.counters.active))
}

fn is_listed(director: &Director<Recorder>, service: ServiceIndex, target: Target) -> bool {
    director
        .servers(service)
        .any(|server| server.id == target.id)
}

/// The shares that the weights give, by id, over all servers that there ever are.
fn shares(director: &Director<Recorder>, service: ServiceIndex, all: &[ServerConfig]) -> Vec<f64> {
    shares_without(director, service, all, None)
}

fn shares_without(
    director: &Director<Recorder>,
    service: ServiceIndex,
    all: &[ServerConfig],
    without: Option<u32>,
) -> Vec<f64> {
    let mut weights = vec![0; all.len()];
    for server in director.servers(service) {
        if let Some(weight) = weights.get_mut(server.id as usize) {
            *weight = server.config.weight;
        }
    }
    if let Some(weight) = without.and_then(|id| weights.get_mut(id as usize)) {
        *weight = 0;
    }
    promised_by_weight(&weights)
}
