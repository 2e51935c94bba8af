//! Persistence templates: a client's later connections go where its first one went.
//!
//! Source: `ip_vs_sched_persist`, `ip_vs_check_template`, `ip_vs_conn_expire`.

use super::{Director, Incoming, around};
use crate::batch::Kind;
use crate::connections::{Binding, Entry, EntryKind, Key, NO_SLOT, NewEntry, Slot};
use crate::observer::{Counters, Decision, FaultReport, Observer, Reason, ServiceIndex};
use crate::service::{Note, Service, Surroundings};
use crate::tcp::State;
use crate::{
    Address, CannotCreate, Flow, KernelProfile, Outcome, Packet, Persistence, Timestamp, Traffic,
};

/// What a template gets when its time is up while it controls connections; it keeps this timeout.
pub(super) const CONTROLLING_TIMEOUT_S: u32 = 60;
/// FTP's own port, whose service also catches passive data connections.
const FTP_PORT: u16 = 21;

impl<O: Observer> Director<O> {
    pub(super) fn schedule_persistent(
        &mut self,
        index: ServiceIndex,
        incoming: Incoming<'_>,
        reason: Reason,
    ) -> Outcome {
        let packet = incoming.packet;
        let service = &mut self.services[index.0 as usize];
        let Some(persistence) = service.config.persistence else {
            return Outcome::NotServed;
        };
        let may_pass = is_ftp_data(service, packet);
        let key = template_key(
            &persistence,
            service.identity.port,
            service.identity.mark,
            packet,
        );
        let mut found = self.connections.find_template(&key);
        let binding = found
            .and_then(|slot| self.connections.get(slot))
            .map(Entry::binding);
        if may_pass || matches!(binding, Some(Binding::Pending(_))) {
            service.settle(around!(self));
            found = self.connections.find_template(&key);
        }
        if service.stopped {
            return Outcome::Stopped;
        }
        if let Some((slot, id)) = found.and_then(|slot| self.usable_template(index, slot)) {
            self.place(index, incoming, slot, id);
            return Outcome::Decision;
        }
        if incoming.awaits_request(&self.services[index.0 as usize]) {
            return Outcome::AwaitsRequest { service: index };
        }
        if let Some(invalid) = found {
            // It no longer matches, and its timer runs on.
            self.connections.hide(invalid);
        }
        let service = &self.services[index.0 as usize];
        let binding = Binding::Pending(service.next_arrival());
        let new = NewEntry {
            key,
            service: index.0,
            binding,
            kind: EntryKind::Template,
            state: State::None,
            input_only: false,
            template: NO_SLOT,
        };
        let template = self.connections.insert(&new, None);
        let slot = self.create(index, incoming, binding, template);
        self.control(template, slot, persistence.timeout_s);
        if may_pass {
            if self.has_passed(index, incoming, reason, slot, template) {
                return Outcome::CannotCreate {
                    service: index,
                    why: CannotCreate::FtpData,
                };
            }
        } else {
            self.arrive(index, incoming, reason, slot, template);
        }
        if self.settings.profile == KernelProfile::Classic {
            self.note_template(template, Note::TemplateBound, self.now);
        }
        Outcome::Decision
    }

    /// Asks the policy at once for a packet that passes where there is no destination
    /// (`ip_vs_leave`): whether it did, so that nothing was decided about it.
    fn has_passed(
        &mut self,
        index: ServiceIndex,
        incoming: Incoming<'_>,
        reason: Reason,
        slot: Slot,
        template: Slot,
    ) -> bool {
        let Some((kind, arrival)) = self.arrival(incoming, reason, slot, template) else {
            return false;
        };
        let mut observer = WithoutRefusals {
            observer: &mut self.observer,
            refused: false,
        };
        let around = &mut Surroundings {
            connections: &mut self.connections,
            observer: &mut observer,
            profile: self.settings.profile,
            request: incoming.request(),
        };
        let service = &mut self.services[index.0 as usize];
        service.arrive(kind, arrival, around);
        service.settle(around);
        observer.refused
    }

    /// The template's server, unless the template no longer holds.
    fn usable_template(&self, index: ServiceIndex, slot: Slot) -> Option<(Slot, u32)> {
        let Binding::Server(id) = self.connections.get(slot)?.binding() else {
            return None;
        };
        let server = &self.services[index.0 as usize].servers[id as usize];
        let is_quiescent =
            self.settings.sysctls.expire_quiescent_template && server.config.weight == 0;
        (server.is_listed() && !is_quiescent).then_some((slot, id))
    }

    /// A connection under a template: the policy is not asked.
    fn place(&mut self, index: ServiceIndex, incoming: Incoming<'_>, template: Slot, id: u32) {
        // So that the decisions of a service come in order.
        self.services[index.0 as usize].settle(around!(self));
        let slot = self.create(index, incoming, Binding::Server(id), template);
        let timeout_s = self
            .connections
            .get(template)
            .map_or(0, |entry| entry.timeout_s);
        self.control(template, slot, timeout_s);
        let overloaded = self.services[index.0 as usize].servers[id as usize].overloaded;
        self.observer.decided(&Decision {
            tag: incoming.tag,
            at: self.now,
            service: index,
            server: Some(id),
            reason: Reason::Template,
            overloaded,
        });
        let Some(entry) = self.connections.get(slot) else {
            return;
        };
        let state = entry.state;
        let note = match (entry.kind(), state) {
            (EntryKind::OnePacket, _) => Note::OnePacket,
            (_, State::Udp) => Note::Stateless,
            _ => Note::Plain,
        };
        if note == Note::OnePacket {
            self.free_one_packet(slot);
        }
        let kind = if state.is_active() {
            Kind::PlacedActive
        } else {
            Kind::PlacedInactive
        };
        let service = &mut self.services[index.0 as usize];
        service.log(
            kind,
            slot,
            Binding::Server(id),
            note,
            self.now,
            around!(self),
        );
    }

    fn free_one_packet(&mut self, slot: Slot) {
        if let Some(entry) = self.connections.remove(slot) {
            self.tell_closed(slot, &entry);
        }
    }

    /// The template's time begins anew with each connection made from it.
    fn control(&mut self, template: Slot, connection: Slot, timeout_s: u32) {
        let is_counted = self
            .connections
            .get(connection)
            .is_some_and(|entry| entry.kind() == EntryKind::Connection);
        if is_counted {
            self.change_controls(template, 1);
        } else if let Some(entry) = self.connections.get_mut(connection) {
            entry.leave_template();
        }
        self.restart_template(template, self.now, timeout_s);
    }

    /// A template keeps the timeout that it is given.
    pub(super) fn restart_template(&mut self, slot: Slot, at: Timestamp, timeout_s: u32) {
        if let Some(entry) = self.connections.get_mut(slot) {
            entry.timeout_s = timeout_s;
        }
        self.connections.restart(slot, at.plus_seconds(timeout_s));
    }

    /// A connection under the template has gone.
    pub(super) fn release_template(&mut self, template: Slot) {
        self.change_controls(template, -1);
    }

    fn change_controls(&mut self, template: Slot, by: i32) {
        if let Some(entry) = self.connections.get_mut(template) {
            entry.change_controls(by);
        }
    }

    pub(super) fn end_template(&mut self, slot: Slot, at: Timestamp) {
        if self.settings.profile == KernelProfile::Classic {
            self.note_template(slot, Note::TemplateGone, at);
        }
        self.connections.remove(slot);
    }

    /// Classic thresholds are looked at when templates come and go, too.
    pub(super) fn note_template(&mut self, slot: Slot, note: Note, at: Timestamp) {
        let Some(entry) = self.connections.get(slot) else {
            return;
        };
        let (binding, service) = (entry.binding(), entry.service);
        let service = &mut self.services[service as usize];
        service.log(Kind::GoneInactive, slot, binding, note, at, around!(self));
    }
}

/// Whether a packet came to an FTP service by another port than its own.
pub(super) fn is_ftp_data(service: &Service, packet: &Packet) -> bool {
    service.identity.port == FTP_PORT && service.is_wrong_port(packet)
}

/// Keeps decisions without a destination to itself, and passes on everything else.
struct WithoutRefusals<'a, O> {
    observer: &'a mut O,
    refused: bool,
}

impl<O: Observer> Observer for WithoutRefusals<'_, O> {
    fn decided(&mut self, decision: &Decision) {
        if let Reason::NoDestination(_) = decision.reason {
            self.refused = true;
        } else {
            self.observer.decided(decision);
        }
    }

    fn counted(&mut self, at: Timestamp, service: ServiceIndex, server: u32, counters: Counters) {
        self.observer.counted(at, service, server, counters);
    }

    fn closed(&mut self, service: ServiceIndex, server: u32, flow: &Flow, traffic: &Traffic) {
        self.observer.closed(service, server, flow, traffic);
    }

    fn refused_later_packets(&mut self, service: ServiceIndex, packets: u64) {
        self.observer.refused_later_packets(service, packets);
    }

    fn faulted(&mut self, report: &FaultReport) {
        self.observer.faulted(report);
    }
}

pub(super) fn template_key(
    persistence: &Persistence,
    service_port: u16,
    mark: u32,
    packet: &Packet,
) -> Key {
    let client = Address(packet.source.0 & persistence.netmask);
    let own_port = packet.destination_port == service_port && service_port != FTP_PORT;
    if mark != 0 {
        return Key {
            client,
            destination: Address(u128::from(mark)),
            client_port: 0,
            destination_port: if own_port { service_port } else { 0 },
            protocol: None,
        };
    }
    Key {
        client,
        destination: packet.destination,
        client_port: 0,
        destination_port: if own_port { service_port } else { 0 },
        protocol: Some(packet.protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;

    #[test]
    fn a_mark_serves_every_protocol_and_port_with_one_template() {
        let persistence = Persistence {
            timeout_s: 50,
            netmask: Persistence::ipv4_netmask(0xffff_ff00),
        };
        let packet = |protocol, destination_port| Packet {
            source: Address::v4(0xc612_0007),
            destination: Address::v4(0x0a00_0001),
            source_port: 4000,
            destination_port,
            protocol,
            flags: crate::TcpFlags::SYN,
            length: 40,
            mark: 7,
        };
        let one = template_key(&persistence, 0, 7, &packet(Protocol::Tcp, 80));
        let other = template_key(&persistence, 0, 7, &packet(Protocol::Udp, 53));
        assert_eq!(one, other);
        assert_eq!(one.client, Address::v4(0xc612_0000));
    }
}
