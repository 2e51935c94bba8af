//! What the engine tells whoever watches: decisions, counters, finished connections.

use alloc::string::String;

use crate::connections::Traffic;
use crate::{Fault, Flow, Script, Timestamp};

/// Position of a virtual service in the director, in the order of adding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceIndex(pub u32);

/// The caller's own name for a packet, given back with its decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u64);

/// How a packet that creates a connection, or would, came by its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The policy chose it.
    Scheduled,
    /// A persistence template had it.
    Template,
    /// The policy chose it, for a SYN on a closed connection (`conn_reuse_mode`).
    Reused,
    /// There is none: the packet is refused.
    NoDestination(Refusal),
    /// The policy failed, and the fallback chose it.
    Fallback,
    /// The policy failed, and there is no fallback.
    Fault,
}

/// Why there was no destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// The service has no real server.
    NoServers,
    /// Every real server has weight 0.
    AllQuiesced,
    /// Every real server of weight above 0 is overloaded.
    AllOverloaded,
    /// A server could have been chosen, and the policy chose none.
    PolicyChoseNone,
    /// A non-persistent service was reached by a port that is not its own.
    WrongPort,
}

/// The outcome for one packet that creates a connection, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The caller's name for the packet.
    pub tag: Tag,
    /// When the packet came.
    pub at: Timestamp,
    /// The service that took it.
    pub service: ServiceIndex,
    /// The server, by its id within the service.
    pub server: Option<u32>,
    /// How it was come by.
    pub reason: Reason,
    /// The chosen server was overloaded, and was taken all the same.
    pub overloaded: bool,
}

/// Connections bound to one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// In an active state.
    pub active: u32,
    /// All others.
    pub inactive: u32,
    /// Of the inactive, those of a protocol without states (UDP).
    pub stateless: u32,
}

impl Counters {
    /// All entries of the connection table.
    pub const fn total(&self) -> u32 {
        self.active + self.inactive
    }

    /// Connections in use: active ones, and those of protocols without states.
    pub const fn concurrent(&self) -> u32 {
        self.active + self.stateless
    }
}

/// A policy's fault, where it happened, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultReport {
    /// What happened.
    pub fault: Fault,
    /// The service whose instance failed.
    pub service: ServiceIndex,
    /// First connection of the call that failed; none where it was no decision.
    pub first: Option<Tag>,
    /// Last connection of that call: the same as `first` for a typed call.
    pub last: Option<Tag>,
    /// What the policy was doing.
    pub during: &'static str,
}

impl FaultReport {
    /// One line for people.
    pub fn message(&self) -> String {
        alloc::format!("{} ({})", self.fault, self.during)
    }
}

/// Receives what happens, in the order in which it counts. Every method has an empty default.
pub trait Observer {
    /// A packet that creates a connection, or would, was decided. Those of one service come in
    /// order, but in a batch later than the packets after them.
    fn decided(&mut self, decision: &Decision) {
        let _ = decision;
    }

    /// A server's counters changed.
    fn counted(&mut self, at: Timestamp, service: ServiceIndex, server: u32, counters: Counters) {
        let _ = (at, service, server, counters);
    }

    /// A connection ended, or was given up at the end of the trace.
    fn closed(&mut self, service: ServiceIndex, server: u32, flow: &Flow, traffic: &Traffic) {
        let _ = (service, server, flow, traffic);
    }

    /// Packets turned out to belong to no connection, since the one they seemed to belong to was
    /// refused.
    fn refused_later_packets(&mut self, service: ServiceIndex, packets: u64) {
        let _ = (service, packets);
    }

    /// A policy failed. With a fallback the run goes on.
    fn faulted(&mut self, report: &FaultReport) {
        let _ = report;
    }

    /// Where a director writes down what happens, which then asks no policy: only a [`Script`]
    /// has one, made by [`crate::Director::leader`].
    #[doc(hidden)]
    #[inline]
    fn script(&mut self) -> Option<&mut Script> {
        None
    }
}

/// Watches nothing.
impl Observer for () {}
