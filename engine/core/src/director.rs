//! The director: packets in, decisions out, as `ip_vs_in` and `ip_vs_out` would have them.
//!
//! Owns services, connections and time. Packets come in the order in which the kernel would see
//! them; time never goes back.

mod configure;
mod flows;
mod follow;
mod persistence;
mod quiet;
mod restart;
mod schedule;
mod sync;

use alloc::vec::Vec;

use crate::batch::Kind;
use crate::connections::{
    Binding, Connections, Direction, Entry, EntryKind, FlowId, Key, NO_SLOT, Slot,
};
use crate::lookup::ServiceTable;
use crate::observer::{Counters, Observer, Reason, ServiceIndex, Tag};
use crate::service::{Note, Service, Surroundings};
use crate::tcp::{self, State, View};
use crate::{
    Flow, KernelProfile, Packet, Protocol, Request, ServerConfig, ServiceConfig, Sysctls, TcpFlags,
    Timeouts, Timestamp,
};

pub use configure::ConfigError;
pub use follow::{LeaderTable, Script};
pub use quiet::{Quiet, QuietSide};
pub use restart::Table;
pub use sync::{Message, TemplateKey, TemplateMessage};

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
    /// It may create a connection once its first request is known, and leaves nothing behind until
    /// then: see [`Director::request`].
    AwaitsRequest {
        /// The service.
        service: ServiceIndex,
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
    lifetimes: Lifetimes,
    connections: Connections,
    services: Vec<Service>,
    table: ServiceTable,
    now: Timestamp,
}

/// A packet on its way through the director.
#[derive(Clone, Copy)]
struct Incoming<'a> {
    packet: &'a Packet,
    /// Where the caller tracks flows.
    flow: Option<FlowId>,
    tag: Tag,
    asks: Asks<'a>,
}

/// Whether it is known what the client asks for.
#[derive(Clone, Copy)]
enum Asks<'a> {
    NotYet,
    For(Option<&'a Request<'a>>),
}

/// Splits the director into a service and what it needs of the rest.
macro_rules! around {
    ($director:ident) => {
        around!($director, None)
    };
    ($director:ident, $request:expr) => {
        &mut Surroundings {
            connections: &mut $director.connections,
            observer: &mut $director.observer,
            profile: $director.settings.profile,
            request: $request,
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
            lifetimes: Lifetimes::new(&settings.timeouts),
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
    #[inline]
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if self.connections.may_have_due(self.now) {
            self.fire();
        }
    }

    #[inline(never)]
    fn fire(&mut self) {
        while let Some((slot, due)) = self.connections.next_due(self.now) {
            self.expire(slot, due);
        }
    }

    /// One packet, at `now` or at the latest time told, whichever is later.
    pub fn packet(&mut self, now: Timestamp, packet: &Packet, tag: Tag) -> Outcome {
        self.advance(now);
        self.pass(Incoming {
            packet,
            flow: None,
            tag,
            asks: Asks::NotYet,
        })
    }

    /// [`Director::packet`] of a packet that awaited its connection's first request
    /// ([`Outcome::AwaitsRequest`]), now that this is known, or that there is none to be read. The
    /// connection begins at `now`.
    pub fn request(
        &mut self,
        now: Timestamp,
        packet: &Packet,
        request: Option<&Request<'_>>,
        tag: Tag,
    ) -> Outcome {
        self.advance(now);
        self.pass(Incoming {
            packet,
            flow: None,
            tag,
            asks: Asks::For(request),
        })
    }

    /// The observed time to the first response of the connection a packet belongs to.
    pub fn first_response(&mut self, packet: &Packet, elapsed_ns: u64) {
        let found = self.connections.find(packet);
        if let Some(entry) = found.and_then(|(slot, _)| self.connections.get_mut(slot)) {
            entry.note_first_response(elapsed_ns);
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
        self.lose_connections();
    }

    /// Connections in the table, templates not counted.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// The connection that a packet belongs to, as `ipvsadm -Lc` would show it.
    pub fn connection(&self, packet: &Packet) -> Option<ConnectionView> {
        let (slot, _) = self.connections.find(packet)?;
        let entry = self.connections.get(slot)?;
        let server = match entry.binding() {
            Binding::Server(id) => Some(id),
            Binding::Pending(_) => None,
        };
        Some(ConnectionView {
            state: entry.state,
            timeout_s: entry.state.timeout_s(&self.settings.timeouts),
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

    fn pass(&mut self, incoming: Incoming<'_>) -> Outcome {
        let found = match incoming.flow {
            Some(flow) => self.connections.find_flow(flow).and_then(|slot| {
                let entry = self.connections.get(slot)?;
                Some((slot, entry.direction_of(incoming.packet)))
            }),
            None => self.connections.find(incoming.packet),
        };
        match found {
            Some((slot, Direction::ToServer)) => self.client_packet(slot, incoming),
            Some((slot, Direction::ToClient)) => self.server_packet(slot, incoming),
            None => self.try_schedule(incoming, Reason::Scheduled),
        }
    }

    #[inline]
    fn client_packet(&mut self, slot: Slot, incoming: Incoming<'_>) -> Outcome {
        let Some(entry) = self.connections.get_mut(slot) else {
            return Outcome::NotServed;
        };
        let packet = incoming.packet;
        let service = &mut self.services[entry.service as usize];
        let is_syn = is_new_connection(packet);
        let mut reason = Reason::Scheduled;
        match entry.binding() {
            Binding::Pending(_) => {
                // What this packet does depends on whether the connection is refused.
                if is_syn || is_reset(packet) || self.settings.sysctls.sloppy_tcp || !is_tcp(packet)
                {
                    service.settle(around!(self));
                    return self.pass(incoming);
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
                        .may_reuse(entry.state, entry.input_only, entry.template())
                };
                if reschedules {
                    self.connections.expire_now(slot, self.now);
                    return self.try_schedule(incoming, reason);
                }
                if !server.is_listed() {
                    if !self.settings.sysctls.expire_nodest_conn {
                        return Outcome::Dropped;
                    }
                    self.connections.expire_now(slot, self.now);
                    return self.try_schedule(incoming, Reason::Scheduled);
                }
            }
        }
        entry.count_in(1, u64::from(packet.length));
        let old = entry.state;
        entry.state = tcp::next(entry.input_view(), old, packet.flags);
        let is_other_kind = old.is_active() != entry.state.is_active();
        if !entry.postpone(self.lifetimes.end(entry.state, self.now)) {
            self.connections.queue(slot);
        }
        if is_other_kind {
            self.tell_kind(slot);
        }
        Outcome::Forwarded
    }

    #[inline]
    fn server_packet(&mut self, slot: Slot, incoming: Incoming<'_>) -> Outcome {
        let Some(entry) = self.connections.get_mut(slot) else {
            return Outcome::NotServed;
        };
        let packet = incoming.packet;
        // If the connection is refused, a packet to a service is that service's client's.
        let unprivileged_from = self.settings.sysctls.unprivileged_port_start;
        if matches!(entry.binding(), Binding::Pending(_))
            && self.table.find(packet, unprivileged_from).is_some()
        {
            self.services[entry.service as usize].settle(around!(self));
            return self.pass(incoming);
        }
        entry.count_out(1, u64::from(packet.length));
        if entry.input_only {
            return Outcome::Bypassed;
        }
        let old = entry.state;
        entry.state = tcp::next(View::Output, old, packet.flags);
        let is_other_kind = old.is_active() != entry.state.is_active();
        if !entry.postpone(self.lifetimes.end(entry.state, self.now)) {
            self.connections.queue(slot);
        }
        if is_other_kind {
            self.tell_kind(slot);
        }
        Outcome::Forwarded
    }

    /// Tells the service that a connection came to be active, or ceased to be.
    fn tell_kind(&mut self, slot: Slot) {
        let Some(entry) = self.connections.get(slot) else {
            return;
        };
        let kind = if entry.state.is_active() {
            Kind::BecameActive
        } else {
            Kind::BecameInactive
        };
        let (binding, service) = (entry.binding(), entry.service);
        let service = &mut self.services[service as usize];
        service.log(kind, slot, binding, Note::Plain, self.now, around!(self));
    }

    /// The timer of an entry fired.
    fn expire(&mut self, slot: Slot, due: Timestamp) {
        let Some(entry) = self.connections.get(slot) else {
            return;
        };
        let index = entry.service as usize;
        if let Binding::Pending(_) = entry.binding() {
            self.services[index].settle(around!(self));
        }
        // It may have been refused.
        let Some(entry) = self.connections.get(slot) else {
            return;
        };
        match entry.kind() {
            EntryKind::Template if entry.controls() > 0 => {
                self.restart_template(slot, due, persistence::CONTROLLING_TIMEOUT_S);
            }
            EntryKind::Template => self.end_template(slot, due),
            _ => self.end_connection(slot, due),
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
        service.log(kind, slot, entry.binding(), note, at, around!(self));
        self.tell_closed(slot, &entry);
        self.release_template(entry.template());
    }

    fn tell_closed(&mut self, slot: Slot, entry: &Entry) {
        let Binding::Server(id) = entry.binding() else {
            return;
        };
        let (service, traffic) = (ServiceIndex(entry.service), entry.traffic());
        let flow = flow_of(&entry.key(), 0);
        match self.observer.script() {
            Some(script) => script.closed(service, slot, &flow, &traffic),
            None => self.observer.closed(service, id, &flow, &traffic),
        }
    }
}

/// How long a connection lives in each state, in nanoseconds.
struct Lifetimes([u64; State::COUNT]);

impl Lifetimes {
    fn new(timeouts: &Timeouts) -> Self {
        let ns = |state: State| u64::from(state.timeout_s(timeouts)) * Timestamp::SECOND;
        Self(State::ALL.map(ns))
    }

    /// When a connection in `state` ends whose last packet came at `last`.
    #[inline]
    const fn end(&self, state: State, last: Timestamp) -> Timestamp {
        Timestamp(last.0.saturating_add(self.0[state as usize]))
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
