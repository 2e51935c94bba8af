//! A scenario as one run plays it.

mod effects;

use std::sync::Arc;

use equipoise_core::{
    ConfigError, Decision, Director, Endpoint, Scheduling, ServerConfig, ServiceIndex, Table,
    Timestamp,
};
use equipoise_reports::model::{Churn, Event};
use equipoise_reports::stats::promised_by_weight;

use crate::decisions::Row;
use crate::policy::Chosen;
use crate::record::Recorder;
use crate::scenario::{Action, Plan, Target, When, end_of};
use effects::{Dead, Effects, Facts};

/// The scenario of one run.
pub(crate) struct Scene {
    plan: Arc<Plan>,
    next: usize,
    /// Of the first packet.
    first: Option<Timestamp>,
    /// Of what happened last.
    last: Timestamp,
    removals: Vec<Removal>,
    effects: Effects,
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

impl Scene {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        Self {
            effects: Effects::new(Arc::clone(&plan)),
            plan,
            next: 0,
            first: None,
            last: Timestamp::default(),
            removals: Vec::new(),
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

    /// Whose it is; the first's where it is everybody's.
    pub(super) fn service_of(&self, due: &Due) -> ServiceIndex {
        let event = match *due {
            Due::Event(place) => place,
            Due::Removal(place) => self.removals[place].event,
        };
        ServiceIndex(self.plan.events[event].service.unwrap_or(0) as u32)
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
            Due::Removal(place) => return self.remove_later(place, director),
            Due::Event(place) => place,
        };
        self.next += 1;
        let plan = Arc::clone(&self.plan);
        let event = &plan.events[place];
        let Some(service) = event.service else {
            self.play_on_director(place, decided, director);
            return Ok(());
        };
        let index = ServiceIndex(service as u32);
        let before = shares(director, index, &plan.servers[service]);
        let mut facts = Facts::new(at, decided);
        if let Action::Remove(target) | Action::Down(target, _) = event.action {
            facts.broken = active(director, service, target);
        }
        let outcome = self.play_on_service((place, service), director, scheduling);
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
        self.effects.happened(place, service, facts);
        // One that is not noticed yet changes no decision.
        if !matches!(event.action, Action::Down(_, 1..)) {
            self.effects.changed(place, service);
        }
        outcome
    }

    fn play_on_service(
        &mut self,
        (place, service): (usize, usize),
        director: &mut Director<Recorder>,
        scheduling: impl FnOnce(&Chosen, usize) -> Scheduling,
    ) -> Result<(), ConfigError> {
        let plan = Arc::clone(&self.plan);
        let index = ServiceIndex(service as u32);
        let later = |target: Target, ns: u64| Removal {
            at: Timestamp(self.last.0.saturating_add(ns)),
            event: place,
            target,
        };
        match plan.events[place].action {
            Action::Add(target) | Action::Up(target) => {
                // It may have been about to go.
                self.removals.retain(|removal| {
                    let of = plan.events[removal.event].service;
                    (of, removal.target.id) != (Some(service), target.id)
                });
                self.effects
                    .bury(|dead| (dead.service, dead.server) == (service, target.id));
                if is_listed(director, index, target) {
                    director.edit_server(index, target.config)
                } else {
                    director.add_server(index, target.config).map(|_| ())
                }
            }
            Action::Remove(target) | Action::Down(target, 0) => remove(director, service, target),
            Action::Down(target, ns) => {
                self.effects.died(Dead {
                    service,
                    server: target.id,
                    event: place,
                });
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
            // Of no service.
            Action::Restart(_) => Ok(()),
        }
    }

    /// What happens to all services, after so many decisions.
    fn play_on_director(&mut self, place: usize, decided: u64, director: &mut Director<Recorder>) {
        let plan = Arc::clone(&self.plan);
        let Action::Restart(table) = plan.events[place].action else {
            return;
        };
        for service in 0..plan.servers.len() {
            let listed = director.servers(ServiceIndex(service as u32));
            let active = listed.map(|server| u64::from(server.counters.active));
            let mut facts = Facts::new(self.last, decided);
            if table == Table::Lost {
                facts.broken = active.sum();
            }
            self.effects.happened(place, service, facts);
            self.effects.changed(place, service);
        }
        director.restart(table);
    }

    fn remove_later(
        &mut self,
        place: usize,
        director: &mut Director<Recorder>,
    ) -> Result<(), ConfigError> {
        let Removal { event, target, .. } = self.removals.remove(place);
        let Some(service) = self.plan.events[event].service else {
            return Ok(());
        };
        self.effects.bury(|dead| dead.event == event);
        if !self.is_down(event)
            && let Some(facts) = self.effects.of(event, service)
        {
            facts.broken = active(director, service, target);
        }
        self.effects.changed(event, service);
        remove(director, service, target)
    }

    /// Takes in a decision, in the order of the packets.
    pub(super) fn note(&mut self, row: &Row, decision: &Decision) {
        self.effects.note(row, decision);
    }

    /// What there is to report of a service.
    pub(crate) fn report(&self, service: usize) -> (Vec<Event>, Churn) {
        self.effects.report(service)
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
