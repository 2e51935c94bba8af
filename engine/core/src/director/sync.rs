//! What directors tell each other of their connections: the rules of the kernel's connection
//! synchronisation (`ip_vs_sync`), without the protocol that carries the messages.
//!
//! A message is no entry: whoever carries it has an entry made of it where a packet of the
//! connection comes to a director that has none. So copies that nobody uses count nowhere.

use super::{Director, around, persistence};
use crate::batch::Kind;
use crate::connections::{
    Binding, Direction, Entry, EntryKind, FlowId, Key, NO_SLOT, NewEntry, Slot,
};
use crate::observer::{Observer, ServiceIndex};
use crate::service::{Note, Surroundings};
use crate::tcp::State;
use crate::{ForwardingMethod, KernelProfile, Packet, Timestamp};

/// What others are told of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    key: Key,
    service: ServiceIndex,
    server: u32,
    state: State,
    /// The template that controls it.
    pub template: Option<(TemplateKey, TemplateMessage)>,
}

/// What finds a template: its service, its client, and what else it holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateKey(ServiceIndex, Key);

/// What others are told of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateMessage {
    server: u32,
    timeout_s: u32,
}

impl Message {
    /// Whose connection it is.
    pub const fn service(&self) -> ServiceIndex {
        self.service
    }

    /// Whether a packet has the ends of the connection, either way.
    pub fn is_about(&self, packet: &Packet) -> bool {
        let key = Key::of(packet);
        self.key == key || self.key == key.reversed()
    }
}

impl TemplateMessage {
    /// Whether the template that was told of at `sent` has ended by `now`.
    pub const fn is_over(&self, sent: Timestamp, now: Timestamp) -> bool {
        sent.plus_seconds(self.timeout_s).0 <= now.0
    }
}

impl<O: Observer> Director<O> {
    /// What others are to be told after this packet of the flow's connection. Only packets from
    /// clients bring it about: the third, then every fiftieth (`sync_threshold` as it is by
    /// default), and each that finds a TCP connection newly in a closing state. Of connections that
    /// are not established yet nobody is told.
    pub fn message(&mut self, flow: FlowId, packet: &Packet) -> Option<Message> {
        let slot = self.connections.find_flow(flow)?;
        let entry = self.connections.get_mut(slot)?;
        if entry.direction_of(packet) != Direction::ToServer || !entry.is_to_be_told() {
            return None;
        }
        entry.note_told();
        if let Binding::Pending(_) = entry.binding() {
            let service = entry.service as usize;
            self.services[service].settle(around!(self));
        }
        // It may have been refused.
        let entry = self.connections.get(slot)?;
        let Binding::Server(server) = entry.binding() else {
            return None;
        };
        let service = ServiceIndex(entry.service);
        let template = self.connections.get(entry.template());
        let template = template.and_then(|template| match template.binding() {
            Binding::Server(server) => Some((
                TemplateKey(service, template.key()),
                TemplateMessage {
                    server,
                    timeout_s: template.timeout_s,
                },
            )),
            Binding::Pending(_) => None,
        });
        Some(Message {
            key: entry.key(),
            service,
            server,
            state: entry.state,
            template,
        })
    }

    /// Before a packet of the flow, what another director said of its connection at `sent`: an
    /// entry is made of it, or the one that is there is brought up to date. Whether one was made.
    pub fn take_message(
        &mut self,
        now: Timestamp,
        flow: FlowId,
        packet: &Packet,
        (message, sent): (&Message, Timestamp),
    ) -> bool {
        self.advance(now);
        if !message.is_about(packet) || !self.would_take(message, sent) {
            return false;
        }
        let end = self.lifetimes.end(message.state, sent);
        if let Some(slot) = self.connections.find_flow(flow) {
            self.update(slot, message.state, end);
            return false;
        }
        let ServiceIndex(index) = message.service;
        let Some(service) = self.services.get_mut(index as usize) else {
            return false;
        };
        let Some(server) = service.servers.get(message.server as usize) else {
            return false;
        };
        let binding = Binding::Server(message.server);
        let new = NewEntry {
            key: message.key,
            service: index,
            binding,
            kind: EntryKind::Connection,
            state: message.state,
            input_only: server.config.method != ForwardingMethod::Masquerading,
            template: NO_SLOT,
        };
        let slot = self.connections.insert(&new, Some(flow));
        if let Some(entry) = self.connections.get_mut(slot) {
            entry.note_copied();
        }
        self.connections.restart(slot, end);
        let (kind, note) = match message.state {
            State::Udp => (Kind::PlacedInactive, Note::Stateless),
            state if state.is_active() => (Kind::PlacedActive, Note::Plain),
            _ => (Kind::PlacedInactive, Note::Plain),
        };
        service.log(kind, slot, binding, note, self.now, around!(self));
        true
    }

    /// Whether the entry that was told of at `sent` would still be there.
    pub fn would_take(&self, message: &Message, sent: Timestamp) -> bool {
        self.lifetimes.end(message.state, sent) > self.now
    }

    fn update(&mut self, slot: Slot, state: State, end: Timestamp) {
        let Some(entry) = self.connections.get_mut(slot) else {
            return;
        };
        if let Binding::Pending(_) = entry.binding() {
            // Another connection of the same ends, which nobody can know of yet.
            return;
        }
        let old = core::mem::replace(&mut entry.state, state);
        if old.is_active() != state.is_active() {
            self.tell_kind(slot);
        }
        self.connections.restart(slot, end);
    }

    /// What finds the template under which a packet's connection would come; none where its
    /// service is not persistent.
    pub fn template_key(&self, packet: &Packet) -> Option<TemplateKey> {
        let unprivileged_from = self.settings.sysctls.unprivileged_port_start;
        let index = self.table.find(packet, unprivileged_from)?;
        let service = &self.services[index.0 as usize];
        let (port, mark) = (service.identity.port, service.identity.mark);
        let persistence = service.config.persistence?;
        let key = persistence::template_key(&persistence, port, mark, packet);
        Some(TemplateKey(index, key))
    }

    /// Before a packet, what another director said of its template at `sent`; of no effect where
    /// there is one. Whether one was made.
    pub fn take_template(
        &mut self,
        now: Timestamp,
        TemplateKey(index, key): &TemplateKey,
        (message, sent): (&TemplateMessage, Timestamp),
    ) -> bool {
        self.advance(now);
        if message.is_over(sent, self.now) || self.connections.find_template(key).is_some() {
            return false;
        }
        let new = NewEntry {
            key: *key,
            service: index.0,
            binding: Binding::Server(message.server),
            kind: EntryKind::Template,
            state: State::None,
            input_only: false,
            template: NO_SLOT,
        };
        let slot = self.connections.insert(&new, None);
        self.restart_template(slot, sent, message.timeout_s);
        if self.settings.profile == KernelProfile::Classic {
            self.note_template(slot, Note::TemplateBound, self.now);
        }
        true
    }

    /// Flows with a TCP connection in an active state, bound to a server that is there, in their
    /// order; and whose it is.
    pub fn active_flows(&self) -> impl Iterator<Item = (FlowId, ServiceIndex)> + '_ {
        let is_open = |entry: &Entry| {
            let Binding::Server(id) = entry.binding() else {
                return false;
            };
            let service = &self.services[entry.service as usize];
            entry.state.is_active() && service.servers[id as usize].is_listed()
        };
        let flows = self.connections.flows();
        flows
            .filter(move |(_, entry)| is_open(entry))
            .map(|(flow, entry)| (flow, ServiceIndex(entry.service)))
    }

    /// Whether a packet of the flow finds an entry.
    pub fn knows(&self, flow: FlowId) -> bool {
        self.connections.find_flow(flow).is_some()
    }
}
