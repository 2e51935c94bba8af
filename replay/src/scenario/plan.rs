//! A scenario that fits its set-up: every event names a service and a server that are there when it
//! happens.

use std::sync::Arc;

use equipoise_core::{
    ConfigError, Director, Endpoint, Fault, Scheduling, ServerConfig, Settings, Table,
};

use super::order::{Leaves, Order};
use super::{Connections, Directors, Factor, Scenario, ScenarioError, When, Word, Written, text};
use crate::policy::{Chosen, Policies};
use crate::setup::{PolicyOption, Service, Setup};

/// What is to happen, in order.
pub(crate) struct Plan {
    pub(crate) events: Vec<PlannedEvent>,
    /// For each service all servers that it ever has, by their ids, as they are first added.
    pub(crate) servers: Vec<Vec<ServerConfig>>,
    /// Where there are several directors, or may be.
    pub(crate) directors: Option<Directors>,
}

impl Plan {
    /// Policies that take over.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &Chosen> {
        self.events.iter().filter_map(|event| match &event.action {
            Action::Policy(chosen) => Some(&**chosen),
            _ => None,
        })
    }
}

/// One event.
#[derive(Clone)]
pub(crate) struct PlannedEvent {
    pub(crate) when: When,
    /// By its place; none where it happens to all.
    pub(crate) service: Option<usize>,
    pub(crate) action: Action,
    /// What reports call it.
    pub(crate) label: String,
}

/// A server as it is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) id: u32,
    pub(crate) config: ServerConfig,
}

/// What happens.
#[derive(Clone)]
pub(crate) enum Action {
    Add(Target),
    Remove(Target),
    Weight(Target),
    /// Weight 0, and removed after so many nanoseconds where they are given.
    Drain(Target, Option<u64>),
    /// It answers no more, and is removed so many nanoseconds later.
    Down(Target, u64),
    /// It answers again, and is added again if it was removed.
    Up(Target),
    /// Its connections take so many times as long.
    Slow(Target, Factor),
    Policy(Box<Chosen>),
    /// A director starts again: the only one, or the one of this number.
    Restart(Table, Option<usize>),
    /// A director leaves.
    Leave(usize),
    /// A director joins, after so many nanoseconds in which it has listened to the others.
    Join(usize, u64),
}

impl Plan {
    /// Whether servers are ever slower than in the trace.
    pub(crate) fn slows(&self) -> bool {
        let mut events = self.events.iter();
        events.any(|event| matches!(event.action, Action::Slow(..)))
    }

    /// The same for one director alone.
    pub(crate) fn alone(&self) -> Self {
        let events = self.events.iter();
        let events = events.filter(|event| event.service.is_some());
        Self {
            events: events.cloned().collect(),
            servers: self.servers.clone(),
            directors: None,
        }
    }
}

impl PlannedEvent {
    /// Whether it happens to the service.
    pub(crate) fn is_of(&self, service: usize) -> bool {
        self.service.is_none_or(|own| own == service)
    }
}

/// A server as far as the events are followed.
#[derive(Clone, Copy)]
struct Known {
    config: ServerConfig,
    is_listed: bool,
    is_down: bool,
    /// When it is removed, if it is to be.
    leaves: Option<Leaves>,
}

impl Known {
    fn new(config: ServerConfig) -> Self {
        Self {
            config,
            is_listed: true,
            is_down: false,
            leaves: None,
        }
    }
}

impl Scenario {
    /// Checks the events against the set-up, in their order.
    pub(crate) fn plan(
        &self,
        setup: &Setup,
        policies: &mut Policies,
    ) -> Result<Plan, ScenarioError> {
        let known = |config: &ServerConfig| Known::new(*config);
        let services = setup.services.iter();
        let mut state: Vec<Vec<Known>> = services
            .map(|service| service.servers.iter().map(known).collect())
            .collect();
        let mut present = self.present()?;
        let mut events = Vec::new();
        let mut order = Order::default();
        for written in &self.events {
            let when = self.when(written, &mut order)?;
            self.check_keys(written)?;
            let is_of_director = written.action.get_ref().is_of_director();
            let service = (!is_of_director).then(|| self.service(written, setup));
            let service = service.transpose()?;
            let action = match (written.action.get_ref(), service) {
                (Word::Policy, Some(service)) => {
                    let chosen = self.policy(written, &setup.services[service], policies)?;
                    Action::Policy(Box::new(chosen))
                }
                (_, Some(service)) => {
                    let state = (&mut state[service], &order);
                    self.action(written, &setup.services[service], state)?
                }
                (word, None) => {
                    let director = self.director(written, &mut present)?;
                    match (word, director) {
                        (Word::Leave, Some(director)) => Action::Leave(director),
                        (Word::Join, Some(director)) => {
                            Action::Join(director, ns(written.listened.as_ref()).unwrap_or(0))
                        }
                        (_, director) => Action::Restart(table(written), director),
                    }
                }
            };
            events.push(PlannedEvent {
                when,
                service,
                label: action.label(),
                action,
            });
        }
        let servers = state.into_iter();
        let configs = |known: Vec<Known>| known.into_iter().map(|known| known.config).collect();
        Ok(Plan {
            events,
            servers: servers.map(configs).collect(),
            directors: present.directors(),
        })
    }

    fn when(&self, written: &Written, order: &mut Order) -> Result<When, ScenarioError> {
        let (when, span) = match (&written.at, &written.after) {
            (Some(at), None) => (When::At(at.get_ref().0), at.span()),
            (None, Some(after)) => (When::After(*after.get_ref()), after.span()),
            _ => {
                let what = "an event has either `at` (a time) or `after` (a number of connections)";
                return Err(self.wrong(&written.action.span(), what));
            }
        };
        if !order.follows(when) {
            let what =
                "this is before an event above it: events stand in the order in which they happen";
            return Err(self.wrong(&span, what));
        }
        Ok(when)
    }

    /// The place of the service that is named, or of the only one.
    fn service(&self, written: &Written, setup: &Setup) -> Result<usize, ScenarioError> {
        let keys: Vec<String> = setup
            .services
            .iter()
            .map(|service| service.config.key.to_string())
            .collect();
        let Some(named) = &written.service else {
            if keys.len() == 1 {
                return Ok(0);
            }
            let what = format!(
                "there are several services: say which by `service` ({})",
                keys.join(", ")
            );
            return Err(self.wrong(&written.action.span(), what));
        };
        let text = named.get_ref();
        let with_protocol = format!("tcp:{text}");
        let found = keys
            .iter()
            .position(|key| key == text || *key == with_protocol);
        found.ok_or_else(|| {
            let what = format!(
                "there is no service `{text}`; there are {}",
                keys.join(", ")
            );
            self.wrong(&named.span(), what)
        })
    }

    /// The policy that takes over a service, tried on it.
    fn policy(
        &self,
        written: &Written,
        service: &Service,
        policies: &mut Policies,
    ) -> Result<Chosen, ScenarioError> {
        let (text, span) = match &written.policy {
            Some(policy) => (policy.get_ref().as_str(), policy.span()),
            None => ("", written.action.span()),
        };
        let option =
            PolicyOption::parse(text).map_err(|error| self.wrong(&span, error.to_string()))?;
        let chosen = policies.option(&option);
        let chosen = chosen.map_err(|error| self.wrong(&span, error.to_string()))?;
        start(&chosen, service).map_err(|error| match error {
            ConfigError::Policy(Fault::Refused { message }) => {
                self.wrong(&span, format!("{text}: {message}"))
            }
            error => self.wrong(&span, format!("{text}: {error}")),
        })?;
        Ok(chosen)
    }

    /// What happens to a server, which is then `state`.
    fn action(
        &self,
        written: &Written,
        service: &Service,
        (state, order): (&mut Vec<Known>, &Order),
    ) -> Result<Action, ScenarioError> {
        let (text, span) = match &written.server {
            Some(server) => (server.get_ref().as_str(), server.span()),
            None => ("", written.action.span()),
        };
        let wrong = |what: String| self.wrong(&span, what);
        let config = service
            .server(text)
            .map_err(|problem| wrong(problem.to_string()))?;
        let same = |known: &Known| {
            (known.config.address, known.config.port) == (config.address, config.port)
        };
        let place = state.iter().position(same);
        let end = end_of(&config);
        if *written.action.get_ref() == Word::Add {
            // One that is about to go may be added, and stays.
            let stays = place.is_some_and(|place| {
                let known = &state[place];
                known.is_listed && known.leaves.is_none()
            });
            if stays {
                return Err(wrong(format!("{end} is in the service already by then")));
            }
            let known = Known::new(config);
            let id = place.unwrap_or(state.len());
            if id == state.len() {
                state.push(known);
            } else {
                state[id] = known;
            }
            return Ok(Action::Add(Target {
                id: id as u32,
                config,
            }));
        }
        if text.contains(',') {
            return Err(wrong(format!(
                "{end} is there already: only `add` takes options"
            )));
        }
        let absent = || wrong(format!("{end} is not in {} by then", service.config.key));
        let place = place.ok_or_else(absent)?;
        let known = &mut state[place];
        let target = |config: ServerConfig| Target {
            id: place as u32,
            config,
        };
        if *written.action.get_ref() == Word::Up {
            if !known.is_down {
                return Err(wrong(format!("{end} is not down by then")));
            }
            *known = Known::new(known.config);
            return Ok(Action::Up(target(known.config)));
        }
        let has_left = known.leaves.is_some_and(|leaves| !order.is_before(leaves));
        if !known.is_listed || has_left {
            return Err(absent());
        }
        if known.is_down && matches!(written.action.get_ref(), Word::Drain | Word::Down) {
            return Err(wrong(format!("{end} is down already by then")));
        }
        Ok(match written.action.get_ref() {
            Word::Weight => {
                let Some(weight) = &written.weight else {
                    return Err(absent());
                };
                let Ok(wanted) = u16::try_from(*weight.get_ref()) else {
                    let what = format!("weight {} is none of 0 to 65535", weight.get_ref());
                    return Err(self.wrong(&weight.span(), what));
                };
                known.config.weight = u32::from(wanted);
                Action::Weight(target(known.config))
            }
            Word::Slow => {
                let factor = written.factor.as_ref().map(|factor| *factor.get_ref());
                Action::Slow(target(known.config), factor.unwrap_or_default())
            }
            Word::Drain => {
                known.config.weight = 0;
                let lasts = ns(written.lasts.as_ref());
                known.leaves = lasts.map(|ns| order.in_time(ns));
                Action::Drain(target(known.config), lasts)
            }
            Word::Down => {
                let noticed = ns(written.noticed.as_ref()).unwrap_or(0);
                (known.is_down, known.leaves) = (true, Some(order.in_time(noticed)));
                Action::Down(target(known.config), noticed)
            }
            _ => {
                (known.is_listed, known.is_down) = (false, false);
                Action::Remove(target(known.config))
            }
        })
    }
}

fn ns(duration: Option<&toml::Spanned<text::Duration>>) -> Option<u64> {
    duration.map(|duration| duration.get_ref().0)
}

/// Whether the policy starts with its parameters, as a run will have it start.
fn start(chosen: &Chosen, service: &Service) -> Result<(), ConfigError> {
    let scheduling = Scheduling {
        policy: Arc::clone(&chosen.policy),
        parameters: chosen.parameters.clone(),
        seed: 0,
        fallback: None,
    };
    let mut director = Director::new(Settings::default(), ());
    director.add_service(service.config, scheduling).map(|_| ())
}

pub(crate) fn end_of(config: &ServerConfig) -> Endpoint {
    Endpoint {
        address: config.address,
        port: config.port,
    }
}

/// A director's connections are lost where nothing is said of them.
fn table(written: &Written) -> Table {
    match written.connections.as_ref().map(toml::Spanned::get_ref) {
        Some(Connections::Kept) => Table::Kept,
        Some(Connections::Lost) | None => Table::Lost,
    }
}

/// Whether a service's events change what its servers are.
pub(crate) fn changes_servers(plan: &Plan, service: usize) -> bool {
    let mut events = plan.events.iter();
    events.any(|event| {
        event.service == Some(service)
            && !matches!(event.action, Action::Policy(_) | Action::Slow(..))
    })
}
