//! The director: packets in, decisions out, as `ip_vs_in` and `ip_vs_out` would have them.
//!
//! Owns services, connections and time. Packets come in the order in which the kernel would see
//! them; time never goes back.

mod configure;
mod persistence;

use alloc::vec::Vec;

use crate::batch::Kind;
use crate::connections::{
    Binding, Connections, Direction, EntryKind, Key, NO_SLOT, NewEntry, Slot,
};
use crate::lookup::ServiceTable;
use crate::observer::{Counters, Decision, Observer, Reason, Refusal, ServiceIndex, Tag};
use crate::service::{Arrival, Note, Service, Surroundings};
use crate::tcp::{self, State, View};
use crate::{
    Flow, ForwardingMethod, KernelProfile, Packet, Protocol, ServerConfig, ServiceConfig, Sysctls,
    TcpFlags, Timeouts, Timestamp,
};

pub use configure::ConfigError;

/// Port from which FTP servers open data connections; never scheduled as a client's.
const FTP_DATA_PORT: u16 = 20;
/// Real servers hold at most this many entries of one service (27 bits of a place, one spare).
const SERVERS_LIMIT: usize = 1 << 26;

/// What holds for the whole director.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Which kernel is followed.
    pub profile: KernelProfile,
    /// Its switches.
    pub sysctls: Sysctls,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// Decisions may wait for others, so that one call of the policy decides many. They are the
    /// same decisions; without it each is there when [`Director::packet`] returns.
    pub batching: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It creates a connection, or would: [`Observer::decided`] tells of it, perhaps later.
    Decision,
    /// It belongs to a connection.
    Forwarded,
    /// From the server to the client, by a way that does not pass the director.
    Bypassed,
    /// It belongs to a connection whose server was deleted, and is dropped.
    Dropped,
    /// It is for a service but cannot create a connection.
    CannotCreate {
        /// The service.
        service: ServiceIndex,
        /// Why not.
        why: CannotCreate,
    },
    /// No service and no connection wants it.
    NotServed,
    /// The policy of its service failed without a fallback; nothing more is decided.
    Stopped,
}

/// Why a packet for a service cannot create a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CannotCreate {
    /// A reset.
    Reset,
    /// A TCP segment without SYN.
    MidStream,
    /// From a client's port 20, or for another port of an FTP service that has no destination for
    /// it: one that is not persistent never has.
    FtpData,
    /// A protocol that is not scheduled.
    Protocol,
}

/// One server as `ipvsadm -L` would show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerView {
    /// Id within the service.
    pub id: u32,
    /// Its configuration in force.
    pub config: ServerConfig,
    /// Its connections.
    pub counters: Counters,
    /// The overload flag.
    pub overloaded: bool,
}

/// One connection as `ipvsadm -Lc` would show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionView {
    /// Its state.
    pub state: State,
    /// The lifetime that its last packet gave it, in seconds.
    pub timeout_s: u32,
    /// Its server, by id; none while the decision waits.
    pub server: Option<u32>,
}

/// Services, their connections, and the passing of time.
pub struct Director<O> {
    /// Whoever watches.
    pub observer: O,
    settings: Settings,
    connections: Connections,
    services: Vec<Service>,
    table: ServiceTable,
    now: Timestamp,
}

/// Splits the director into a service and what it needs of the rest.
macro_rules! around {
    ($director:ident) => {
        &mut Surroundings {
            connections: &mut $director.connections,
            observer: &mut $director.observer,
            profile: $director.settings.profile,
        }
    };
}
use around;

impl<O: Observer> Director<O> {
    /// A director without services.
    pub fn new(settings: Settings, observer: O) -> Self {
        Self {
            observer,
            settings,
            connections: Connections::default(),
            services: Vec::new(),
            table: ServiceTable::default(),
            now: Timestamp::default(),
        }
    }

    /// The latest time it was told.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Lets time pass: timers due at or before `now` fire, by deadline and then age.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((slot, due)) = self.connections.next_due(self.now) {
            self.expire(slot, due);
        }
    }

    /// One packet, at `now` or at the latest time told, whichever is later.
    pub fn packet(&mut self, now: Timestamp, packet: &Packet, tag: Tag) -> Outcome {
        self.advance(now);
        match self.connections.find(packet) {
            Some((slot, Direction::ToServer)) => self.client_packet(slot, packet, tag),
            Some((slot, Direction::ToClient)) => self.server_packet(slot, packet, tag),
            None => self.try_schedule(packet, tag, Reason::Scheduled),
        }
    }

    /// The observed time to the first response of the connection a packet belongs to.
    pub fn first_response(&mut self, packet: &Packet, elapsed_ns: u64) {
        let found = self.connections.find(packet);
        if let Some(entry) = found.and_then(|(slot, _)| self.connections.get_mut(slot)) {
            entry.traffic.first_response_ns.get_or_insert(elapsed_ns);
        }
    }

    /// Decides what waits; after it all counters are up to date.
    pub fn settle(&mut self) {
        for service in &mut self.services {
            service.settle(around!(self));
        }
    }

    /// Ends the trace: settles, and reports every connection that is still open as closed.
    pub fn finish(&mut self) {
        self.settle();
        let open: Vec<Slot> = self.connections.slots().collect();
        for slot in open {
            let Some(entry) = self.connections.remove(slot) else {
                continue;
            };
            if let (EntryKind::Connection, Binding::Server(id)) = (entry.kind, entry.binding) {
                let flow = flow_of(&entry.key, 0);
                self.observer
                    .closed(ServiceIndex(entry.service), id, &flow, &entry.traffic);
            }
        }
    }

    /// Connections in the table, templates not counted.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// The connection that a packet belongs to, as `ipvsadm -Lc` would show it.
    pub fn connection(&self, packet: &Packet) -> Option<ConnectionView> {
        let (slot, _) = self.connections.find(packet)?;
        let entry = self.connections.get(slot)?;
        let server = match entry.binding {
            Binding::Server(id) => Some(id),
            Binding::Pending(_) => None,
        };
        Some(ConnectionView {
            state: entry.state,
            timeout_s: entry.timeout_s,
            server,
        })
    }

    /// The real servers of a service in the kernel's order, newest first.
    pub fn servers(&self, service: ServiceIndex) -> impl Iterator<Item = ServerView> + '_ {
        let listed = self
            .services
            .get(service.0 as usize)
            .map(|service| &service.list[..]);
        listed
            .unwrap_or_default()
            .iter()
            .filter_map(move |&id| self.server(service, id))
    }

    /// One real server of a service, listed or deleted.
    pub fn server(&self, service: ServiceIndex, id: u32) -> Option<ServerView> {
        let server = self
            .services
            .get(service.0 as usize)?
            .servers
            .get(id as usize)?;
        Some(ServerView {
            id,
            config: server.config,
            counters: server.counters,
            overloaded: server.overloaded,
        })
    }

    /// How a service was defined.
    pub fn service(&self, service: ServiceIndex) -> Option<&ServiceConfig> {
        Some(&self.services.get(service.0 as usize)?.config)
    }

    /// Whether some policy failed without a fallback, so that its service decides nothing more.
    pub fn is_stopped(&self) -> bool {
        self.services.iter().any(|service| service.stopped)
    }

    fn client_packet(&mut self, slot: Slot, packet: &Packet, tag: Tag) -> Outcome {
        let Some(entry) = self.connections.get(slot) else {
            return Outcome::NotServed;
        };
        let service = &mut self.services[entry.service as usize];
        let is_syn = is_new_connection(packet);
        let mut reason = Reason::Scheduled;
        match entry.binding {
            Binding::Pending(_) => {
                // What this packet does depends on whether the connection is refused.
                if is_syn || is_reset(packet) || self.settings.sysctls.sloppy_tcp || !is_tcp(packet)
                {
                    service.settle(around!(self));
                    return self.packet(self.now, packet, tag);
                }
            }
            Binding::Server(id) => {
                let server = &service.servers[id as usize];
                let reschedules = if !is_syn {
                    false
                } else if self.settings.sysctls.expire_nodest_conn && server.config.weight == 0 {
                    true
                } else {
                    reason = Reason::Reused;
                    self.settings
                        .may_reuse(entry.state, entry.input_only, entry.template)
                };
                if reschedules {
                    self.connections.expire_now(slot, self.now);
                    return self.try_schedule(packet, tag, reason);
                }
                if !server.is_listed() {
                    if !self.settings.sysctls.expire_nodest_conn {
                        return Outcome::Dropped;
                    }
                    self.connections.expire_now(slot, self.now);
                    return self.try_schedule(packet, tag, Reason::Scheduled);
                }
            }
        }
        let view = if entry.input_only {
            View::InputOnly
        } else {
            View::Input
        };
        self.touch(slot, view, packet);
        Outcome::Forwarded
    }

    fn server_packet(&mut self, slot: Slot, packet: &Packet, tag: Tag) -> Outcome {
        let Some(entry) = self.connections.get_mut(slot) else {
            return Outcome::NotServed;
        };
        // If the connection is refused, a packet to a service is that service's client's.
        let unprivileged_from = self.settings.sysctls.unprivileged_port_start;
        if matches!(entry.binding, Binding::Pending(_))
            && self.table.find(packet, unprivileged_from).is_some()
        {
            self.services[entry.service as usize].settle(around!(self));
            return self.packet(self.now, packet, tag);
        }
        if entry.input_only {
            entry.traffic.packets_out += 1;
            entry.traffic.bytes_out += u64::from(packet.length);
            return Outcome::Bypassed;
        }
        self.touch(slot, View::Output, packet);
        Outcome::Forwarded
    }

    /// State, timer and traffic of a connection for one of its packets.
    fn touch(&mut self, slot: Slot, view: View, packet: &Packet) {
        let Some(entry) = self.connections.get_mut(slot) else {
            return;
        };
        let traffic = &mut entry.traffic;
        if view == View::Output {
            traffic.packets_out += 1;
            traffic.bytes_out += u64::from(packet.length);
        } else {
            traffic.packets_in += 1;
            traffic.bytes_in += u64::from(packet.length);
        }
        let old = entry.state;
        if old != State::Udp {
            entry.state = tcp::next(view, old, packet.flags);
        }
        let (new, binding, service) = (entry.state, entry.binding, entry.service);
        self.connections
            .restart(slot, self.now, new.timeout_s(&self.settings.timeouts));
        if old.is_active() != new.is_active() {
            let kind = if new.is_active() {
                Kind::BecameActive
            } else {
                Kind::BecameInactive
            };
            let service = &mut self.services[service as usize];
            service.log(kind, binding, Note::Plain, self.now, around!(self));
        }
    }

    /// A packet without a connection: a service may want it.
    fn try_schedule(&mut self, packet: &Packet, tag: Tag, reason: Reason) -> Outcome {
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
            return self.schedule_persistent(index, packet, tag, reason);
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
        } else {
            let binding = Binding::Pending(service.next_arrival());
            let slot = self.create(index, packet, binding, NO_SLOT);
            self.arrive(index, packet, tag, reason, slot, NO_SLOT);
        }
        Outcome::Decision
    }

    /// Enters a connection into the table, its first packet accounted.
    fn create(
        &mut self,
        index: ServiceIndex,
        packet: &Packet,
        binding: Binding,
        template: Slot,
    ) -> Slot {
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
        let slot = self.connections.insert(NewEntry {
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
        });
        if let Some(entry) = self.connections.get_mut(slot) {
            entry.traffic.packets_in = 1;
            entry.traffic.bytes_in = u64::from(packet.length);
        }
        if !is_one_packet {
            self.connections
                .restart(slot, self.now, state.timeout_s(&self.settings.timeouts));
        }
        slot
    }

    /// Asks the policy for the connection in `slot`.
    fn arrive(
        &mut self,
        index: ServiceIndex,
        packet: &Packet,
        tag: Tag,
        reason: Reason,
        slot: Slot,
        template: Slot,
    ) {
        if let Some((kind, arrival)) = self.arrival(packet, tag, reason, slot, template) {
            self.services[index.0 as usize].arrive(kind, arrival, around!(self));
        }
    }

    fn arrival(
        &self,
        packet: &Packet,
        tag: Tag,
        reason: Reason,
        slot: Slot,
        template: Slot,
    ) -> Option<(Kind, Arrival)> {
        let entry = self.connections.get(slot)?;
        let kind = match entry.kind {
            EntryKind::OnePacket => Kind::ArriveOnePacket,
            _ if entry.state.is_active() => Kind::ArriveActive,
            _ => Kind::ArriveInactive,
        };
        let arrival = Arrival {
            slot,
            template,
            tag,
            reason,
            at: self.now,
            flow: flow_of(&entry.key, packet.mark),
        };
        Some((kind, arrival))
    }

    /// The timer of an entry fired.
    fn expire(&mut self, slot: Slot, due: Timestamp) {
        let Some(entry) = self.connections.get(slot) else {
            return;
        };
        let index = entry.service as usize;
        if let Binding::Pending(_) = entry.binding {
            self.services[index].settle(around!(self));
        }
        match self.connections.get(slot).map(|entry| entry.kind) {
            None => {}
            Some(EntryKind::Template { controls: 1.. }) => {
                self.connections
                    .restart(slot, due, persistence::CONTROLLING_TIMEOUT_S);
            }
            Some(EntryKind::Template { controls: 0 }) => self.end_template(slot, due),
            Some(_) => self.end_connection(slot, due),
        }
    }

    fn end_connection(&mut self, slot: Slot, at: Timestamp) {
        let Some(entry) = self.connections.remove(slot) else {
            return;
        };
        let service = &mut self.services[entry.service as usize];
        let kind = if entry.state.is_active() {
            Kind::GoneActive
        } else {
            Kind::GoneInactive
        };
        let note = if entry.state == State::Udp {
            Note::Stateless
        } else {
            Note::Plain
        };
        service.log(kind, entry.binding, note, at, around!(self));
        if let Binding::Server(id) = entry.binding {
            let flow = flow_of(&entry.key, 0);
            self.observer
                .closed(ServiceIndex(entry.service), id, &flow, &entry.traffic);
        }
        self.release_template(entry.template);
    }
}

impl Settings {
    /// Whether a SYN on a connection in `state` begins a new one (`is_new_conn_expected`).
    const fn may_reuse(&self, state: State, input_only: bool, template: Slot) -> bool {
        let mode = self.sysctls.conn_reuse_mode;
        mode != 0
            && template == NO_SLOT
            && (matches!(state, State::TimeWait | State::Close)
                || mode & 2 != 0 && input_only && matches!(state, State::FinWait))
    }
}

fn is_tcp(packet: &Packet) -> bool {
    packet.protocol == Protocol::Tcp
}

fn is_new_connection(packet: &Packet) -> bool {
    is_tcp(packet) && packet.flags.contains(TcpFlags::SYN)
}

fn is_reset(packet: &Packet) -> bool {
    is_tcp(packet) && packet.flags.contains(TcpFlags::RST)
}

fn flow_of(key: &Key, mark: u32) -> Flow {
    Flow {
        client: key.client,
        client_port: key.client_port,
        destination: key.destination,
        destination_port: key.destination_port,
        protocol: key.protocol.unwrap_or(Protocol::Tcp),
        mark,
    }
}
