//! A scenario as one run plays it.

mod effects;
mod settling;
mod spread;

use std::sync::Arc;

use equipoise_core::{
    ConfigError, Decision, Director, Endpoint, Scheduling, ServerConfig, ServiceIndex, Table,
    Timestamp,
};
use equipoise_reports::model::{Churn, Event};
use equipoise_reports::stats::promised_by_weight;

use super::directors::Directors;
use super::ecmp::Remapped;
use crate::decisions::Row;
use crate::policy::Chosen;
use crate::record::Recorder;
use crate::scenario::{Action, Factor, Plan, Target, When, end_of};
use effects::{Dead, Effects, Facts};
use settling::Settling;
pub(crate) use spread::Spread;

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

    /// Whether it makes a server slower, or faster again: its service, its id, and by what factor.
    pub(super) fn slows(&self, due: &Due) -> Option<((u32, u32), Factor)> {
        let Due::Event(place) = *due else {
            return None;
        };
        let event = &self.plan.events[place];
        match event.action {
            Action::Slow(target, factor) => Some(((event.service? as u32, target.id), factor)),
            _ => None,
        }
    }

    /// Carries it out, after so many decisions; the directors have settled and know the time.
    /// `scheduling` gives a policy for a service of a director.
    pub(super) fn play(
        &mut self,
        (at, due): (Timestamp, Due),
        decided: u64,
        directors: &mut Directors<'_>,
        scheduling: impl Fn(&Chosen, usize, usize) -> Scheduling,
    ) -> Result<(), ConfigError> {
        self.last = at;
        let place = match due {
            Due::Removal(place) => return self.remove_later(place, directors),
            Due::Event(place) => place,
        };
        self.next += 1;
        let plan = Arc::clone(&self.plan);
        let event = &plan.events[place];
        let Some(service) = event.service else {
            self.play_on_directors(place, decided, directors);
            return Ok(());
        };
        let index = ServiceIndex(service as u32);
        let before = shares(directors.one(), index, &plan.servers[service]);
        // What lasts in the run is counted in the run's time.
        let now = directors.feed.at(at);
        let mut facts = Facts::new(at, decided);
        if let Action::Remove(target) | Action::Down(target, _) = event.action {
            facts.broken = directors.active(index, target.id);
        }
        let outcome = self.play_on_service((place, service), directors, scheduling);
        let after = shares(directors.one(), index, &plan.servers[service]);
        self.effects.happened(place, service, facts);
        // One that is not noticed yet changes no decision.
        if !matches!(event.action, Action::Down(_, 1..)) {
            let shares = (before, after.clone());
            self.effects.changed(place, service, shares);
        }
        if settles(&event.action) {
            let server = match event.action {
                Action::Add(target) | Action::Up(target) | Action::Weight(target) => {
                    Some(target.id)
                }
                _ => None,
            };
            let settling = Settling::new(place, now, server, after);
            self.effects.settles(service, settling);
        }
        outcome
    }

    fn play_on_service(
        &mut self,
        (place, service): (usize, usize),
        directors: &mut Directors<'_>,
        scheduling: impl Fn(&Chosen, usize, usize) -> Scheduling,
    ) -> Result<(), ConfigError> {
        let plan = Arc::clone(&self.plan);
        let index = ServiceIndex(service as u32);
        let later = |target: Target, ns: u64| Removal {
            at: Timestamp(self.last.0.saturating_add(ns)),
            event: place,
            target,
        };
        if let Action::Add(target)
        | Action::Up(target)
        | Action::Remove(target)
        | Action::Down(target, _)
        | Action::Drain(target, _) = plan.events[place].action
        {
            // It may have been about to go: what is said last of that holds.
            self.removals.retain(|removal| {
                let of = plan.events[removal.event].service;
                (of, removal.target.id) != (Some(service), target.id)
            });
            self.effects
                .bury(|dead| (dead.service, dead.server) == (service, target.id));
        }
        match plan.events[place].action {
            Action::Add(target) | Action::Up(target) => {
                let is_listed = is_listed(directors.one(), index, target);
                directors.configure(|_, director| {
                    if is_listed {
                        director.edit_server(index, target.config)
                    } else {
                        director.add_server(index, target.config).map(|_| ())
                    }
                })
            }
            Action::Remove(target) | Action::Down(target, 0) => remove(directors, index, target),
            Action::Down(target, ns) => {
                self.effects.died(Dead {
                    service,
                    server: target.id,
                    event: place,
                });
                self.removals.push(later(target, ns));
                Ok(())
            }
            Action::Weight(target) | Action::Drain(target, None) => edit(directors, index, target),
            Action::Drain(target, Some(ns)) => {
                self.removals.push(later(target, ns));
                edit(directors, index, target)
            }
            Action::Policy(ref chosen) => directors.configure(|number, director| {
                director.set_scheduling(index, scheduling(chosen, service, number))
            }),
            // That shows in the trace; and those of no service.
            Action::Slow(..) | Action::Restart(..) | Action::Leave(_) | Action::Join(..) => Ok(()),
        }
    }

    /// What happens to all services, after so many decisions.
    fn play_on_directors(&mut self, place: usize, decided: u64, directors: &mut Directors<'_>) {
        let plan = Arc::clone(&self.plan);
        let Directors { feed, ecmp } = directors;
        let remapped = match (&plan.events[place].action, ecmp) {
            (&Action::Restart(table, Some(director)), Some(ecmp)) => {
                ecmp.restart(feed, director, (table, self.last))
            }
            (&Action::Leave(director), Some(ecmp)) => ecmp.leave(feed, director),
            (&Action::Join(director, listened), Some(ecmp)) => {
                let since = Timestamp(self.last.0.saturating_sub(listened));
                ecmp.join(feed, director, since)
            }
            (&Action::Restart(table, _), _) => {
                let mut remapped = vec![Remapped::default(); plan.servers.len()];
                if table == Table::Lost {
                    for (_, ServiceIndex(service)) in feed.director.active_flows() {
                        remapped[service as usize].broken += 1;
                    }
                }
                feed.director.restart(table);
                remapped
            }
            _ => return,
        };
        for (service, remapped) in remapped.into_iter().enumerate() {
            let mut facts = Facts::new(self.last, decided);
            (facts.broken, facts.remapped) = (remapped.broken, remapped.moved);
            self.effects.happened(place, service, facts);
            let index = ServiceIndex(service as u32);
            let fair = shares(&feed.director, index, &plan.servers[service]);
            self.effects
                .changed(place, service, (fair.clone(), fair.clone()));
            if settles(&plan.events[place].action) {
                let now = feed.at(self.last);
                let settling = Settling::new(place, now, None, fair);
                self.effects.settles(service, settling);
            }
        }
    }

    fn remove_later(
        &mut self,
        place: usize,
        directors: &mut Directors<'_>,
    ) -> Result<(), ConfigError> {
        let Removal { event, target, .. } = self.removals.remove(place);
        let Some(service) = self.plan.events[event].service else {
            return Ok(());
        };
        let index = ServiceIndex(service as u32);
        self.effects.bury(|dead| dead.event == event);
        let is_down = self.is_down(event);
        if !is_down && let Some(facts) = self.effects.of(event, service) {
            facts.broken = directors.active(index, target.id);
        }
        let all = &self.plan.servers[service];
        let before = shares(directors.one(), index, all);
        let outcome = remove(directors, index, target);
        let after = shares(directors.one(), index, all);
        if is_down {
            self.effects.changed(event, service, (before, after));
        } else {
            self.effects.changed_again(service, (before, after));
        }
        outcome
    }

    /// Takes in a decision, in the order of the packets.
    pub(super) fn note(&mut self, row: &Row, decision: &Decision) {
        self.effects.note(row, decision);
    }

    /// What there is to report of a service.
    pub(crate) fn report(&self, service: usize) -> (Vec<Event>, Churn) {
        self.effects.report(service)
    }

    /// What each of several directors decided for a service.
    pub(crate) fn spread(&self, service: usize) -> Spread {
        self.effects.spread(service)
    }

    fn is_down(&self, event: usize) -> bool {
        matches!(self.plan.events[event].action, Action::Down(..))
    }
}

/// Whether it is looked at how a service settles after that.
const fn settles(action: &Action) -> bool {
    match action {
        Action::Add(_)
        | Action::Up(_)
        | Action::Weight(_)
        | Action::Policy(_)
        | Action::Restart(..)
        | Action::Join(..) => true,
        Action::Remove(_)
        | Action::Drain(..)
        | Action::Down(..)
        | Action::Slow(..)
        | Action::Leave(_) => false,
    }
}

fn remove(
    directors: &mut Directors<'_>,
    service: ServiceIndex,
    target: Target,
) -> Result<(), ConfigError> {
    let Endpoint { address, port } = end_of(&target.config);
    directors.configure(|_, director| director.delete_server(service, address, port))
}

fn edit(
    directors: &mut Directors<'_>,
    service: ServiceIndex,
    target: Target,
) -> Result<(), ConfigError> {
    directors.configure(|_, director| director.edit_server(service, target.config))
}

fn is_listed(director: &Director<Recorder>, service: ServiceIndex, target: Target) -> bool {
    director
        .servers(service)
        .any(|server| server.id == target.id)
}

/// The shares that the weights give, by id, over all servers that there ever are.
fn shares(director: &Director<Recorder>, service: ServiceIndex, all: &[ServerConfig]) -> Vec<f64> {
    let mut weights = vec![0; all.len()];
    for server in director.servers(service) {
        if let Some(weight) = weights.get_mut(server.id as usize) {
            *weight = server.config.weight;
        }
    }
    promised_by_weight(&weights)
}
