//! A packet without a connection: whether a service wants it, and the connection it creates.

use super::{
    Asks, CannotCreate, Director, Incoming, Outcome, around, flow_of, is_reset, is_tcp, persistence,
};
use crate::batch::Kind;
use crate::connections::{Binding, EntryKind, Key, NO_SLOT, NewEntry, Slot};
use crate::observer::{Decision, Observer, Reason, Refusal, ServiceIndex};
use crate::service::{Arrival, Service, Surroundings};
use crate::tcp::{self, State, View};
use crate::{ForwardingMethod, Protocol, Request, TcpFlags};

/// Port from which FTP servers open data connections; never scheduled as a client's.
const FTP_DATA_PORT: u16 = 20;

impl<O: Observer> Director<O> {
    /// A packet without a connection: a service may want it.
    pub(super) fn try_schedule(&mut self, incoming: Incoming<'_>, reason: Reason) -> Outcome {
        let Incoming { packet, tag, .. } = incoming;
        let Some(index) = self
            .table
            .find(packet, self.settings.sysctls.unprivileged_port_start)
        else {
            return Outcome::NotServed;
        };
        let service = &self.services[index.0 as usize];
        if service.stopped {
            return Outcome::Stopped;
        }
        let cannot = match packet.protocol {
            Protocol::Sctp => Some(CannotCreate::Protocol),
            Protocol::Tcp if is_reset(packet) => Some(CannotCreate::Reset),
            Protocol::Tcp
                if !packet.flags.contains(TcpFlags::SYN) && !self.settings.sysctls.sloppy_tcp =>
            {
                Some(CannotCreate::MidStream)
            }
            _ if packet.source_port == FTP_DATA_PORT => Some(CannotCreate::FtpData),
            _ => None,
        };
        if let Some(why) = cannot {
            return Outcome::CannotCreate {
                service: index,
                why,
            };
        }
        if service.config.persistence.is_some() {
            return self.schedule_persistent(index, incoming, reason);
        } else if persistence::is_ftp_data(service, packet) {
            // There is no destination, and FTP's service lets other ports pass (`ip_vs_leave`).
            return Outcome::CannotCreate {
                service: index,
                why: CannotCreate::FtpData,
            };
        } else if service.is_wrong_port(packet) {
            self.services[index.0 as usize].settle(around!(self));
            self.observer.decided(&Decision {
                tag,
                at: self.now,
                service: index,
                server: None,
                reason: Reason::NoDestination(Refusal::WrongPort),
                overloaded: false,
            });
        } else if incoming.awaits_request(service) {
            return Outcome::AwaitsRequest { service: index };
        } else {
            let binding = match self.observer.script() {
                // Any will do: they differ in nothing that matters here.
                Some(_) => Binding::Server(0),
                None => Binding::Pending(service.next_arrival()),
            };
            let slot = self.create(index, incoming, binding, NO_SLOT);
            self.arrive(index, incoming, reason, slot, NO_SLOT);
        }
        Outcome::Decision
    }

    /// Enters a connection into the table, its first packet accounted.
    pub(super) fn create(
        &mut self,
        index: ServiceIndex,
        incoming: Incoming<'_>,
        binding: Binding,
        template: Slot,
    ) -> Slot {
        let packet = incoming.packet;
        let service = &self.services[index.0 as usize];
        let is_tcp = is_tcp(packet);
        let is_one_packet = service.config.one_packet && !is_tcp;
        let input_only = match binding {
            Binding::Server(id) => {
                service.servers[id as usize].config.method != ForwardingMethod::Masquerading
            }
            Binding::Pending(_) => service.input_only(),
        };
        let view = if input_only {
            View::InputOnly
        } else {
            View::Input
        };
        let state = if is_tcp {
            tcp::next(view, State::None, packet.flags)
        } else {
            State::Udp
        };
        let new = NewEntry {
            key: Key::of(packet),
            service: index.0,
            binding,
            kind: if is_one_packet {
                EntryKind::OnePacket
            } else {
                EntryKind::Connection
            },
            state,
            input_only,
            template,
        };
        let slot = self.connections.insert(&new, incoming.flow);
        if let Some(entry) = self.connections.get_mut(slot) {
            entry.count_in(1, u64::from(packet.length));
        }
        if !is_one_packet {
            let end = self.lifetimes.end(state, self.now);
            self.connections.restart(slot, end);
        }
        slot
    }

    /// Asks the policy for the connection in `slot`.
    pub(super) fn arrive(
        &mut self,
        index: ServiceIndex,
        incoming: Incoming<'_>,
        reason: Reason,
        slot: Slot,
        template: Slot,
    ) {
        if let Some((kind, arrival)) = self.arrival(incoming, reason, slot, template) {
            let around = around!(self, incoming.request());
            self.services[index.0 as usize].arrive(kind, arrival, around);
        }
    }

    pub(super) fn arrival(
        &self,
        incoming: Incoming<'_>,
        reason: Reason,
        slot: Slot,
        template: Slot,
    ) -> Option<(Kind, Arrival)> {
        let entry = self.connections.get(slot)?;
        let kind = match entry.kind() {
            EntryKind::OnePacket => Kind::ArriveOnePacket,
            _ if entry.state.is_active() => Kind::ArriveActive,
            _ => Kind::ArriveInactive,
        };
        let arrival = Arrival {
            slot,
            template,
            tag: incoming.tag,
            reason,
            at: self.now,
            flow: flow_of(&entry.key(), incoming.packet.mark),
        };
        Some((kind, arrival))
    }
}

impl<'a> Incoming<'a> {
    /// Whether its connection cannot be decided yet.
    pub(super) fn awaits_request(&self, service: &Service) -> bool {
        matches!(self.asks, Asks::NotYet) && service.reads_requests()
    }

    pub(super) const fn request(&self) -> Option<&'a Request<'a>> {
        match self.asks {
            Asks::For(request) => request,
            Asks::NotYet => None,
        }
    }
}
