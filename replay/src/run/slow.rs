//! Servers that are slower than in the trace: from then on everything in their connections takes
//! so many times as long, so that their packets come later and the connections stay open.
//!
//! Every such server has a time of its own, which passes more slowly while it is slow. A packet
//! comes when its server's time has come as far since the connection's first packet as the trace
//! had between the two. First packets come when they come: clients do not wait.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use equipoise_core::{Decision, FlowId, Timestamp};

use crate::decisions::Row;
use crate::feed::FlowChanges;
use crate::scenario::Factor;
use crate::trace::{Asked, TracePacket};

/// Packets that wait at most, in one run: some 50 MB. Beyond, the first to come comes at once.
const MOST: usize = 1 << 18;

/// A service and a server of it, by their numbers.
type Whose = (u32, u32);

/// Nanoseconds of a server's time; before its begin, too.
type Local = i128;

#[derive(Default)]
pub(super) struct Slow {
    /// Services whose packets have no connections.
    one_packet: Vec<bool>,
    /// Servers that are slow, or have been.
    servers: BTreeMap<Whose, Server>,
    /// By flow.
    flows: Vec<Flow>,
    waiting: usize,
    order: u64,
}

/// A server's time, and what waits for it.
struct Server {
    since: Timestamp,
    /// Its time then.
    local: Local,
    factor: Factor,
    packets: BinaryHeap<Reverse<Waiting>>,
}

/// By when it is due, and of equals by its place in the trace.
struct Waiting {
    due: Local,
    order: u64,
    late: Late,
}

/// What waits: a packet, or what a client asks for in one.
pub(super) enum Late {
    Packet(TracePacket),
    Asked(Asked),
}

#[derive(Clone, Copy, Default)]
struct Flow {
    bound: Bound,
    /// Packets that wait, for whom, and when the last of them is due.
    waiting: u32,
    queue: Whose,
    last_due: Local,
}

/// Where a flow's connection went.
#[derive(Clone, Copy, Default)]
enum Bound {
    #[default]
    Nowhere,
    /// Its first packet stands here in the trace, and came then; the decision waits.
    Undecided(Timestamp, Timestamp),
    /// By how much the trace is ahead of the server's time in the connection's first packet.
    To(Whose, Local),
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It comes now.
    No,
    Yes,
    /// That depends on a decision that waits.
    Undecided,
}

impl Slow {
    pub(super) fn new(one_packet: Vec<bool>) -> Self {
        Self {
            one_packet,
            ..Self::default()
        }
    }

    /// From this time of the trace on the server is slower than in the trace, by the factor.
    pub(super) fn set(&mut self, whose: Whose, at: Timestamp, factor: Factor) {
        let server = self.servers.entry(whose).or_insert_with(|| Server {
            since: at,
            local: Local::from(at.0),
            factor,
            packets: BinaryHeap::new(),
        });
        server.local = server.local_at(at);
        (server.since, server.factor) = (at, factor);
    }

    /// Keeps a packet that comes later than it stands in the trace.
    pub(super) fn hold(&mut self, packet: &TracePacket, flows: &mut FlowChanges) -> Held {
        if self.servers.is_empty() {
            return Held::No;
        }
        let flow = self.flow(packet.observed.flow);
        let begins = packet.observed.begins;
        if begins {
            flow.bound = Bound::Nowhere;
        }
        let (whose, due) = match flow.bound {
            Bound::Undecided(..) => return Held::Undecided,
            Bound::To(whose, ahead) => (whose, Local::from(packet.time.0) - ahead),
            Bound::Nowhere if flow.waiting == 0 => return Held::No,
            Bound::Nowhere => (flow.queue, flow.last_due),
        };
        // Packets of a flow do not overtake; those of another connection of it wait no longer.
        let (whose, due) = match flow.waiting {
            0 => (whose, due),
            _ if begins || flow.queue != whose => (flow.queue, flow.last_due),
            _ => (whose, due.max(flow.last_due)),
        };
        if flow.waiting == 0 {
            let server = self.servers.get(&whose);
            if server.is_none_or(|server| due <= server.local_at(packet.time)) {
                return Held::No;
            }
            flows.hold(packet.observed.flow);
        }
        self.keep((whose, due), Late::Packet(*packet));
        Held::Yes
    }

    /// Keeps what a client asks for behind the packets of its flow that wait.
    pub(super) fn hold_asked(&mut self, asked: &Asked) -> bool {
        let flow = *self.flow(asked.flow);
        if flow.waiting > 0 {
            self.keep((flow.queue, flow.last_due), Late::Asked(asked.clone()));
        }
        flow.waiting > 0
    }

    fn keep(&mut self, (whose, due): (Whose, Local), late: Late) {
        let order = self.order;
        let flow = self.flow(late.flow());
        flow.waiting += 1;
        (flow.queue, flow.last_due) = (whose, due);
        self.order += 1;
        self.waiting += 1;
        if let Some(server) = self.servers.get_mut(&whose) {
            let waiting = Waiting { due, order, late };
            server.packets.push(Reverse(waiting));
        }
    }

    /// When the next packet comes that waits.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.first().map(|((at, _), _)| at)
    }

    /// What comes next by this time, as it stands in the trace; and when it comes.
    pub(super) fn release(
        &mut self,
        until: Timestamp,
        flows: &mut FlowChanges,
    ) -> Option<(Late, Timestamp)> {
        let ((at, _), whose) = self.first()?;
        if at > until && self.waiting < MOST {
            return None;
        }
        let Reverse(waiting) = self.servers.get_mut(&whose)?.packets.pop()?;
        self.waiting -= 1;
        let number = waiting.late.flow();
        let flow = self.flow(number);
        flow.waiting -= 1;
        if flow.waiting == 0 {
            flows.release(number);
        }
        Some((waiting.late, at.min(until)))
    }

    fn first(&self) -> Option<((Timestamp, u64), Whose)> {
        let servers = self.servers.iter();
        let firsts = servers.filter_map(|(&whose, server)| {
            let Reverse(first) = server.packets.peek()?;
            Some(((server.when(first.due), first.order), whose))
        });
        firsts.min()
    }

    /// A packet that stands there in the trace came at this time and is to be decided.
    pub(super) fn ask(&mut self, flow: FlowId, stands: Timestamp, came: Timestamp) {
        self.flow(flow).bound = Bound::Undecided(stands, came);
    }

    /// Takes in a decision.
    pub(super) fn note(&mut self, row: &Row, decision: &Decision) {
        let Bound::Undecided(stands, came) = self.flow(row.flow).bound else {
            return;
        };
        let service = decision.service.0;
        let has_connections = self.one_packet.get(service as usize) != Some(&true);
        let server = decision.server.filter(|_| has_connections);
        self.flow(row.flow).bound = server.map_or(Bound::Nowhere, |server| {
            let whose = (service, server);
            let local = self.servers.get(&whose);
            let local = local.map_or(Local::from(came.0), |server| server.local_at(came));
            Bound::To(whose, Local::from(stands.0) - local)
        });
    }

    fn flow(&mut self, FlowId(flow): FlowId) -> &mut Flow {
        let place = flow as usize;
        if place >= self.flows.len() {
            self.flows.resize(place + 1, Flow::default());
        }
        &mut self.flows[place]
    }
}

impl Late {
    fn flow(&self) -> FlowId {
        match self {
            Self::Packet(packet) => packet.observed.flow,
            Self::Asked(asked) => asked.flow,
        }
    }
}

impl Server {
    /// Its time at a time of the trace, which is not before the factor was set.
    fn local_at(&self, at: Timestamp) -> Local {
        let passed = Local::from(at.0.saturating_sub(self.since.0));
        self.local + passed * Factor::ONE / self.factor.thousandths()
    }

    /// When its time comes to that: the earliest time of which [`Server::local_at`] says so.
    fn when(&self, due: Local) -> Timestamp {
        let left = (due - self.local).max(0) * self.factor.thousandths();
        // Rounded up.
        let passed = (left + Factor::ONE - 1) / Factor::ONE;
        let at = Local::from(self.since.0) + passed;
        Timestamp(u64::try_from(at).unwrap_or(u64::MAX))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_time_passes_more_slowly_while_it_is_slow() {
        let mut slow = Slow::default();
        let factor = |factor: f64| Factor::new(factor).unwrap_or_default();
        slow.set((0, 1), Timestamp(1_000), factor(2.5));
        let local = |slow: &Slow, at: u64| slow.servers[&(0, 1)].local_at(Timestamp(at));
        assert_eq!((local(&slow, 1_000), local(&slow, 2_000)), (1_000, 1_400));
        assert_eq!(slow.servers[&(0, 1)].when(1_400), Timestamp(2_000));
        assert_eq!(slow.servers[&(0, 1)].when(1_401), Timestamp(2_003));
        assert_eq!(slow.servers[&(0, 1)].when(900), Timestamp(1_000));
        slow.set((0, 1), Timestamp(2_000), factor(1.0));
        assert_eq!((local(&slow, 2_000), local(&slow, 2_500)), (1_400, 1_900));
        // What it is behind it stays behind.
        assert_eq!(slow.servers[&(0, 1)].when(2_000), Timestamp(2_600));
    }
}
