//! One virtual service: its server list, its scheduler, and the log of events between them.
//!
//! Every change of a counter goes through the log, and the log is settled in order: at once for a
//! typed scheduler, up to a batch later for a packed one. Both ways go through the same code, so a
//! batch sees what single calls would have seen.

mod ask;
mod count;
mod fresh;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::batch::{Kind, LOCAL, PLACE_MASK};
use crate::connections::{Binding, Connections, EntryKind, Slot};
use crate::observer::{Decision, FaultReport, Observer, Reason, Refusal, ServiceIndex, Tag};
use crate::server::{DELETED, ServerEntry};
use crate::{
    Fault, Flow, ForwardingMethod, KernelProfile, Load, Needs, Packet, Parameter, Policy, Protocol,
    Request, Scheduler, Server, ServerId, ServiceConfig, ServiceIdentity, Timestamp,
};

/// Events that wait at most, arrivals or not: bounds memory where nothing arrives.
const LOG_LIMIT: usize = 4096;

/// Calls that may run into their deadline before the policy is set aside for its fallback: each
/// makes everybody wait that long.
const MOST_DEADLINES: u32 = 3;

/// What decides for a service: the policy, how it is set up, and what steps in when it fails.
#[derive(Clone)]
pub struct Scheduling {
    /// The policy.
    pub policy: Arc<dyn Policy>,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Its only source of chance.
    pub seed: u64,
    /// Decides a connection on which the policy failed; without one the first fault is the last
    /// decision.
    pub fallback: Option<Arc<dyn Policy>>,
}

/// A packet that waits for its decision.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) slot: Slot,
    /// The template made with it, or `NO_SLOT`.
    pub(crate) template: Slot,
    pub(crate) tag: Tag,
    pub(crate) reason: Reason,
    pub(crate) at: Timestamp,
    pub(crate) flow: Flow,
}

#[derive(Clone, Copy)]
struct LogEvent {
    word: u32,
    at: Timestamp,
    note: Note,
}

/// What an event is besides its word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    Plain,
    /// Of a connection whose protocol has no states.
    Stateless,
    /// A connection that a template placed, freed within its packet.
    OnePacket,
    /// No connection: a template was bound or went (classic thresholds look then, too).
    TemplateBound,
    TemplateGone,
}

/// What the service needs of the director while it works.
pub(crate) struct Surroundings<'a, O> {
    pub(crate) connections: &'a mut Connections,
    pub(crate) observer: &'a mut O,
    pub(crate) profile: KernelProfile,
    /// What the client of an arrival that is decided at once asked for, where that was read.
    pub(crate) request: Option<&'a Request<'a>>,
}

pub(crate) struct Service {
    pub(crate) index: ServiceIndex,
    pub(crate) config: ServiceConfig,
    pub(crate) identity: ServiceIdentity,
    /// By id; deleted ones stay, as the kernel's trash does while connections refer to them.
    pub(crate) servers: Vec<ServerEntry>,
    /// Ids in the kernel's order, newest first.
    pub(crate) list: Vec<u32>,
    scheduling: Scheduling,
    scheduler: Option<Box<dyn Scheduler>>,
    fallback: Option<Box<dyn Scheduler>>,
    deadlines_exceeded: u32,
    needs: Needs,
    /// Arrivals that one call may hold; 0: the scheduler has no packed twin.
    packed_limit: usize,
    /// Arrivals that may wait: 1 where the next event may depend on an undecided one.
    waiting_limit: usize,
    allow_waiting: bool,
    /// The counters decide about flags between arrivals, so events are settled one by one.
    has_thresholds: bool,
    log: Vec<LogEvent>,
    arrivals: Vec<Arrival>,
    keys: Vec<u64>,
    wire: Vec<u32>,
    /// Words up to the last arrival. What comes after it is told with the next one, as a typed
    /// scheduler is told of it; a new list of servers tells it all at once.
    wire_asked: usize,
    /// Words up to here name servers, none an arrival of the batch at hand.
    wire_named: usize,
    wire_time_us: Option<u64>,
    answers: Vec<u32>,
    changed: Vec<Load>,
    dirty: Vec<u32>,
    /// The policy failed and there is no fallback: the service decides nothing more.
    pub(crate) stopped: bool,
}

impl Service {
    pub(crate) fn start(
        index: ServiceIndex,
        config: ServiceConfig,
        identity: ServiceIdentity,
        scheduling: Scheduling,
        now: Timestamp,
        allow_waiting: bool,
    ) -> Result<Self, Fault> {
        let mut service = Self {
            index,
            config,
            identity,
            servers: Vec::new(),
            list: Vec::new(),
            scheduling,
            scheduler: None,
            fallback: None,
            deadlines_exceeded: 0,
            needs: Needs::empty(),
            packed_limit: 0,
            waiting_limit: 1,
            allow_waiting,
            has_thresholds: false,
            log: Vec::new(),
            arrivals: Vec::new(),
            keys: Vec::new(),
            wire: Vec::new(),
            wire_asked: 0,
            wire_named: 0,
            wire_time_us: None,
            answers: Vec::new(),
            changed: Vec::new(),
            dirty: Vec::new(),
            stopped: false,
        };
        service.start_scheduler(now)?;
        Ok(service)
    }

    /// Another policy from now on, bound to the full list (`ipvsadm -E -s`).
    pub(crate) fn swap(&mut self, scheduling: Scheduling, now: Timestamp) -> Result<(), Fault> {
        self.scheduling = scheduling;
        self.fallback = None;
        self.deadlines_exceeded = 0;
        self.stopped = false;
        self.start_scheduler(now)
    }

    fn start_scheduler(&mut self, now: Timestamp) -> Result<(), Fault> {
        self.drop_scheduler();
        let Scheduling {
            policy,
            parameters,
            seed,
            ..
        } = &self.scheduling;
        let mut scheduler = policy.start(now, &self.identity, parameters, *seed)?;
        self.needs = scheduler.needs();
        self.packed_limit = scheduler.batch_limit();
        self.forget_changes();
        scheduler.set_servers(&self.snapshot())?;
        self.scheduler = Some(scheduler);
        self.set_limits();
        Ok(())
    }

    /// Connections wait for their first request before they are decided.
    pub(crate) fn reads_requests(&self) -> bool {
        self.scheduling.policy.reads_requests()
    }

    /// Reached by a port that is not its own, as a port-0 service always is.
    pub(crate) fn is_wrong_port(&self, packet: &Packet) -> bool {
        self.identity.mark == 0 && packet.destination_port != self.identity.port
    }

    pub(crate) fn snapshot(&self) -> Vec<Server> {
        self.list
            .iter()
            .map(|&id| self.servers[id as usize].snapshot(id))
            .collect()
    }

    /// The list gives everything as it stands, so what was to be told separately is told.
    fn forget_changes(&mut self) {
        self.wire.clear();
        self.wire_asked = 0;
        self.wire_named = 0;
        self.keys.clear();
        self.wire_time_us = None;
        for id in self.dirty.drain(..) {
            self.servers[id as usize].dirty = false;
        }
    }

    /// After one bind, addition, edit or deletion, everything settled before it.
    pub(crate) fn publish_servers<O: Observer>(&mut self, now: Timestamp, observer: &mut O) {
        for (place, &id) in self.list.iter().enumerate() {
            self.servers[id as usize].place = place as u32;
        }
        self.forget_changes();
        self.set_limits();
        let servers = self.snapshot();
        if let Some(fallback) = &mut self.fallback {
            // A fallback that fails is no help: it is started afresh when it is needed.
            if fallback.set_servers(&servers).is_err() {
                self.fallback = None;
            }
        }
        let Some(scheduler) = &mut self.scheduler else {
            return;
        };
        if let Err(fault) = scheduler.set_servers(&servers) {
            self.fail(fault, None, "told of a change of servers", observer);
            self.restart(now);
        }
    }

    fn set_limits(&mut self) {
        let mut listed = self
            .list
            .iter()
            .map(|&id| &self.servers[id as usize].config);
        let method = listed.clone().next().map(|first| first.method);
        let mixed = listed.clone().any(|config| Some(config.method) != method);
        self.has_thresholds = listed.any(|config| config.upper_threshold != 0);
        let may_wait = self.allow_waiting && !mixed && !self.has_thresholds;
        self.waiting_limit = if may_wait {
            self.packed_limit.max(1)
        } else {
            1
        };
    }

    /// Whether new connections see no replies; where servers differ, each decision is settled
    /// before this can matter.
    pub(crate) fn input_only(&self) -> bool {
        self.list.first().is_some_and(|&id| {
            self.servers[id as usize].config.method != ForwardingMethod::Masquerading
        })
    }

    /// A packet that the policy decides; settled at once where it may not wait.
    pub(crate) fn arrive<O: Observer>(
        &mut self,
        kind: Kind,
        arrival: Arrival,
        around: &mut Surroundings<'_, O>,
    ) {
        let note = if arrival.flow.protocol == Protocol::Tcp {
            Note::Plain
        } else {
            Note::Stateless
        };
        if let Some(script) = around.observer.script() {
            script.arrived(self.index, kind, &arrival);
            return;
        }
        let word = kind.word(arrival.flow.protocol as u32);
        let at = arrival.at;
        if self.packed_limit > 0 && !self.has_thresholds {
            self.put_arrival_on_wire(word, &arrival);
        }
        self.log.push(LogEvent { word, at, note });
        self.arrivals.push(arrival);
        if self.arrivals.len() >= self.waiting_limit {
            self.settle(around);
        }
    }

    /// The number that the next arrival will have in its batch.
    pub(crate) fn next_arrival(&self) -> u32 {
        self.arrivals.len() as u32
    }

    /// A change at the server that `binding` names, of the entry in `slot`.
    pub(crate) fn log<O: Observer>(
        &mut self,
        kind: Kind,
        slot: Slot,
        binding: Binding,
        note: Note,
        at: Timestamp,
        around: &mut Surroundings<'_, O>,
    ) {
        if let Some(script) = around.observer.script() {
            script.changed(self.index, kind, slot, note, at);
            return;
        }
        let word = match binding {
            Binding::Pending(number) => kind.word(number | LOCAL),
            Binding::Server(id) => match self.servers[id as usize].place {
                // Not listed: the policy does not know it. What was before comes before it.
                DELETED => {
                    self.settle(around);
                    self.count(id, kind, note, at, around);
                    return;
                }
                place => kind.word(place),
            },
        };
        let is_connection = matches!(note, Note::Plain | Note::Stateless);
        if is_connection && self.speaks_packed() && !self.has_thresholds {
            self.wire.push(word);
        }
        self.log.push(LogEvent { word, at, note });
        if self.log.len() >= LOG_LIMIT {
            self.settle(around);
        }
    }

    fn speaks_packed(&self) -> bool {
        self.packed_limit > 0 && self.needs.contains(Needs::LOADS)
    }

    /// Decides what waits and brings the counters up to date.
    pub(crate) fn settle<O: Observer>(&mut self, around: &mut Surroundings<'_, O>) {
        if self.log.is_empty() {
            return;
        }
        let log = core::mem::take(&mut self.log);
        let arrivals = core::mem::take(&mut self.arrivals);
        let one_call = self.packed_limit > 0 && !self.has_thresholds && self.scheduler.is_some();
        let mut faulted = false;
        self.answers.clear();
        let outcome = if one_call && self.wire_asked > 0 {
            self.run_packed(arrivals.len())
        } else {
            Ok(())
        };
        if let Err(fault) = outcome {
            let waiting = arrivals.first().zip(arrivals.last());
            self.fail(fault, waiting, "deciding", around.observer);
            faulted = true;
        }
        let mut given: Vec<Option<u32>> = Vec::with_capacity(arrivals.len());
        for event in &log {
            let Some(kind) = Kind::of(event.word) else {
                continue;
            };
            if !kind.is_arrival() {
                self.settle_event(*event, kind, &given, around);
                continue;
            }
            let arrival = &arrivals[given.len()];
            let answer = if self.stopped {
                None
            } else if one_call && !faulted {
                let answer = self.checked_place(self.answers[given.len()]).map_err(Some);
                faulted |= answer.is_err();
                Some(answer)
            } else if faulted || self.scheduler.is_none() {
                Some(Err(None))
            } else {
                let answer = self.ask(event.word, arrival, around.request).map_err(Some);
                faulted |= answer.is_err();
                Some(answer)
            };
            let server = if let Some(answer) = answer {
                self.conclude(arrival, answer, around)
            } else {
                // After the fault that stopped the service, later arrivals were never asked about.
                if !around.connections.bind_followed(arrival.slot, None) {
                    for slot in [arrival.template, arrival.slot] {
                        around.connections.remove(slot);
                    }
                }
                None
            };
            given.push(server);
            if let Some(id) = server {
                self.count(id, kind, event.note, event.at, around);
            }
        }
        self.name_servers(&given);
        if let Err(fault) = self.tell_gathered() {
            self.fail(fault, None, "told of loads", around.observer);
            faulted = true;
        }
        if faulted && !self.stopped {
            self.restart(log[log.len() - 1].at);
        }
        // The buffers go back for the next batch.
        self.log = log;
        self.log.clear();
        self.arrivals = arrivals;
        self.arrivals.clear();
    }

    fn settle_event<O: Observer>(
        &mut self,
        event: LogEvent,
        kind: Kind,
        given: &[Option<u32>],
        around: &mut Surroundings<'_, O>,
    ) {
        let place = event.word & PLACE_MASK;
        let id = if event.word & LOCAL == 0 {
            self.list.get(place as usize).copied()
        } else {
            given.get(place as usize).copied().flatten()
        };
        let Some(id) = id else { return };
        let is_connection = matches!(event.note, Note::Plain | Note::Stateless);
        if self.has_thresholds && is_connection && self.speaks_packed() {
            // With thresholds nothing waits, so the server is known.
            self.wire.push(kind.word(self.servers[id as usize].place));
        }
        self.count(id, kind, event.note, event.at, around);
    }

    /// Makes an answer true: binds the connection, or refuses it. Gives the server.
    fn conclude<O: Observer>(
        &mut self,
        arrival: &Arrival,
        answer: Result<Option<u32>, Option<Fault>>,
        around: &mut Surroundings<'_, O>,
    ) -> Option<u32> {
        let (server, reason) = match answer {
            Ok(Some(id)) => (Some(id), arrival.reason),
            Ok(None) => (None, Reason::NoDestination(self.refusal())),
            Err(fault) => {
                if let Some(fault) = fault {
                    self.fail(fault, Some((arrival, arrival)), "deciding", around.observer);
                }
                if self.scheduling.fallback.is_none() {
                    self.stopped = true;
                    (None, Reason::Fault)
                } else {
                    match self.ask_fallback(arrival, around.request) {
                        Some(id) => (Some(id), Reason::Fallback),
                        None => (None, Reason::NoDestination(self.refusal())),
                    }
                }
            }
        };
        around.observer.decided(&Decision {
            tag: arrival.tag,
            at: arrival.at,
            service: self.index,
            server,
            reason,
            overloaded: server.is_some_and(|id| self.servers[id as usize].overloaded),
        });
        self.bind(arrival, server, around);
        server
    }

    fn bind<O: Observer>(
        &self,
        arrival: &Arrival,
        server: Option<u32>,
        around: &mut Surroundings<'_, O>,
    ) {
        if around.connections.bind_followed(arrival.slot, server) {
            return;
        }
        let Some(id) = server else {
            around.connections.remove(arrival.template);
            if let Some(entry) = around.connections.remove(arrival.slot) {
                let later = entry.traffic().packets_in.saturating_sub(1);
                around.observer.refused_later_packets(self.index, later);
            }
            return;
        };
        let method = self.servers[id as usize].config.method;
        for slot in [arrival.slot, arrival.template] {
            if let Some(entry) = around.connections.get_mut(slot) {
                entry.bind(id);
                entry.input_only = method != ForwardingMethod::Masquerading;
            }
        }
        let is_one_packet = around
            .connections
            .get(arrival.slot)
            .is_some_and(|entry| entry.kind() == EntryKind::OnePacket);
        if !is_one_packet {
            return;
        }
        if let Some(entry) = around.connections.remove(arrival.slot) {
            around
                .observer
                .closed(self.index, id, &arrival.flow, &entry.traffic());
        }
    }

    fn refusal(&self) -> Refusal {
        let listed = || self.list.iter().map(|&id| &self.servers[id as usize]);
        if self.list.is_empty() {
            Refusal::NoServers
        } else if listed().all(|server| server.config.weight == 0) {
            Refusal::AllQuiesced
        } else if listed().all(|server| server.config.weight == 0 || server.overloaded) {
            Refusal::AllOverloaded
        } else {
            Refusal::PolicyChoseNone
        }
    }

    fn ask_fallback(&mut self, arrival: &Arrival, request: Option<&Request<'_>>) -> Option<u32> {
        if self.fallback.is_none() {
            let policy = self.scheduling.fallback.as_ref()?;
            let mut fresh = policy
                .start(arrival.at, &self.identity, &[], self.scheduling.seed)
                .ok()?;
            fresh.set_servers(&self.snapshot()).ok()?;
            self.fallback = Some(fresh);
        }
        let loads: Vec<Load> = self
            .list
            .iter()
            .map(|&id| load_of(id, &self.servers[id as usize]))
            .collect();
        let changed = (!loads.is_empty()).then_some(&loads[..]);
        let fallback = self.fallback.as_mut()?;
        let answer = fallback.schedule_request(arrival.at, &arrival.flow, request, changed);
        let ServerId(id) = answer.ok().flatten()?;
        let server = self.servers.get(id as usize)?;
        (server.is_listed() && server.config.weight > 0).then_some(id)
    }

    /// The instance is thrown away, whatever comes next.
    fn fail<O: Observer>(
        &mut self,
        fault: Fault,
        waiting: Option<(&Arrival, &Arrival)>,
        during: &'static str,
        observer: &mut O,
    ) {
        self.drop_scheduler();
        self.deadlines_exceeded += u32::from(fault == Fault::DeadlineExceeded);
        if waiting.is_none() && self.scheduling.fallback.is_none() {
            self.stopped = true;
        }
        observer.faulted(&FaultReport {
            fault,
            service: self.index,
            first: waiting.map(|(first, _)| first.tag),
            last: waiting.map(|(_, last)| last.tag),
            during,
        });
    }

    /// Nothing is kept for an instance that is gone.
    fn drop_scheduler(&mut self) {
        self.scheduler = None;
        self.needs = Needs::empty();
        self.packed_limit = 0;
        self.forget_changes();
    }

    /// A fresh instance after a fault; where even that fails, the fallback decides from now on.
    fn restart(&mut self, now: Timestamp) {
        if self.scheduling.fallback.is_none() || self.deadlines_exceeded >= MOST_DEADLINES {
            return;
        }
        if self.start_scheduler(now).is_err() {
            self.drop_scheduler();
        }
    }
}

fn load_of(id: u32, server: &ServerEntry) -> Load {
    Load {
        server: ServerId(id),
        active: server.counters.active,
        inactive: server.counters.inactive,
        status: server.status(),
        latency_us: 0,
    }
}
