//! What connections say of the endpoints that they go to.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use equipoise_core::{Endpoint, Protocol};
use equipoise_reports::inspect::{BasisCount, ClosedBy, ProtocolCount, Rest, Service, Traffic};
use equipoise_reports::stats::Histogram;

use super::clients::{Client, Clients};
use crate::track::{self, Basis, Close, Connection};

/// Services that are told apart at a time: a scan reaches millions.
const MOST: usize = 1 << 17;

/// All services, counted as connections end. Where there are too many, the half that can have the
/// fewest connections is summed up.
#[derive(Default)]
pub(super) struct Services {
    found: BTreeMap<(Protocol, Endpoint), Facts>,
    /// How many were ever made.
    made: u32,
    summed_up: Rest,
    /// As in [`track::Endpoints`].
    forgotten: u64,
    protocols: BTreeMap<Protocol, ProtocolCount>,
    clients: Clients,
}

/// What is kept of a service.
struct Facts {
    /// For the set of clients.
    number: u32,
    /// The number of its first connection.
    first_connection: u64,
    connections: u64,
    /// How many more there can have been, where it was summed up before.
    before: u64,
    clients: u64,
    clients_exact: bool,
    to_server: Traffic,
    to_client: Traffic,
    first_ns: u64,
    last_ns: u64,
    established: u64,
    closed_by: ClosedBy,
    basis: BasisCount,
    first_response: Histogram,
}

impl Services {
    /// Takes in a connection that ended. `start` is the earliest time of the trace so far.
    pub(super) fn count(&mut self, connection: &Connection, start: Option<u64>) {
        let protocol = self.protocols.entry(connection.protocol).or_default();
        protocol.connections += 1;
        for way in [connection.to_server, connection.to_client] {
            protocol.packets += way.packets;
            protocol.bytes += way.bytes;
        }
        // A real server is no service of the director in front of it.
        if connection.is_second_leg {
            return;
        }
        let made = &mut self.made;
        let facts = self
            .found
            .entry((connection.protocol, connection.server))
            .or_insert_with(|| {
                *made += 1;
                Facts {
                    before: self.forgotten,
                    ..Facts::of(*made, connection)
                }
            });
        facts.count(connection, start);
        match self.clients.see(facts.number, connection.client.address) {
            Client::New => facts.clients += 1,
            Client::Known => {}
            Client::Untold => facts.clients_exact = false,
        }
        if self.found.len() > MOST {
            self.sum_up();
        }
    }

    #[cold]
    fn sum_up(&mut self) {
        let rank = |facts: &Facts| {
            let at_most = facts.connections + facts.before;
            (Reverse(at_most), facts.first_connection)
        };
        let mut ranks: Vec<_> = self.found.values().map(rank).collect();
        let (_, &mut last, _) = ranks.select_nth_unstable(MOST / 2);
        self.forgotten = last.0.0;
        let beyond = self.found.extract_if(.., |_, facts| rank(facts) > last);
        self.summed_up = beyond.fold(self.summed_up, |rest, (_, facts)| add(rest, &facts));
    }

    /// Whether all were told apart to the end: else one that was summed up and came again is two.
    pub(super) fn are_exact(&self) -> bool {
        self.summed_up.services == 0
    }

    /// What was seen of each protocol; of TCP and UDP even that there was none.
    pub(super) fn protocols(&self) -> BTreeMap<String, ProtocolCount> {
        let mut counts = BTreeMap::new();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            counts.insert(protocol.to_string(), ProtocolCount::default());
        }
        let seen = self.protocols.iter();
        counts.extend(seen.map(|(protocol, &count)| (protocol.to_string(), count)));
        counts
    }

    /// The one to replay: the busiest of those at which a virtual service can be.
    pub(super) fn suggested(&self) -> Option<String> {
        let found = self.found.iter();
        let found = found.filter(|((_, endpoint), _)| track::can_be_service(endpoint));
        let ((protocol, endpoint), _) = found.min_by_key(|(_, facts)| facts.rank())?;
        Some(format!("{protocol}:{endpoint}"))
    }

    /// How many there are, the `top` ones with the most connections (of equals those seen first),
    /// and the sum of the others.
    pub(super) fn busiest(
        self,
        top: usize,
        start: Option<u64>,
    ) -> (u64, Vec<Service>, Option<Rest>) {
        let mut found: Vec<_> = self.found.into_iter().collect();
        found.sort_by_key(|(_, facts)| facts.rank());
        let count = found.len() as u64 + self.summed_up.services;
        let others = found.split_off(top.min(found.len()));
        let services = found
            .into_iter()
            .map(|((protocol, endpoint), facts)| facts.service(protocol, endpoint, start));
        let rest = others
            .iter()
            .map(|(_, facts)| facts)
            .fold(self.summed_up, add);
        let services = services.collect();
        (count, services, (rest.services > 0).then_some(rest))
    }
}

impl Facts {
    /// Of the service of its first connection, which is yet to be counted.
    fn of(number: u32, connection: &Connection) -> Self {
        Self {
            number,
            first_connection: connection.number,
            connections: 0,
            before: 0,
            clients: 0,
            clients_exact: true,
            to_server: Traffic::default(),
            to_client: Traffic::default(),
            first_ns: connection.first.0,
            last_ns: connection.last.0,
            established: 0,
            closed_by: ClosedBy::default(),
            basis: BasisCount::default(),
            first_response: Histogram::default(),
        }
    }

    /// The busiest comes first, of equals the one seen first.
    fn rank(&self) -> (Reverse<u64>, u64) {
        (Reverse(self.connections), self.first_connection)
    }

    fn count(&mut self, connection: &Connection, start: Option<u64>) {
        self.first_connection = self.first_connection.min(connection.number);
        self.connections += 1;
        self.to_server.add(traffic(connection.to_server));
        self.to_client.add(traffic(connection.to_client));
        self.first_ns = self.first_ns.min(connection.first.0);
        self.last_ns = self.last_ns.max(connection.last.0);
        self.established += u64::from(connection.established);
        *match connection.close {
            Some(Close::Fin) => &mut self.closed_by.fin,
            Some(Close::Reset) => &mut self.closed_by.reset,
            None => &mut self.closed_by.neither,
        } += 1;
        *match connection.basis {
            Basis::Syn => &mut self.basis.syn,
            Basis::SynAck => &mut self.basis.syn_ack,
            Basis::FirstPacket => &mut self.basis.first_packet,
            Basis::LowerPort => &mut self.basis.lower_port,
        } += 1;
        // Before the first packet with a time there is no telling how long anything took.
        let is_timed = start.is_some_and(|start| connection.first.0 >= start);
        if let Some(elapsed_ns) = connection.first_response_ns.filter(|_| is_timed) {
            self.first_response.record(elapsed_ns);
        }
    }

    fn service(self, protocol: Protocol, endpoint: Endpoint, start: Option<u64>) -> Service {
        let is_tcp = protocol == Protocol::Tcp;
        Service {
            service: format!("{protocol}:{endpoint}"),
            connections: self.connections,
            clients: self.clients,
            clients_exact: self.clients_exact,
            to_server: self.to_server,
            to_client: self.to_client,
            first_ns: start.map(|start| self.first_ns.max(start)),
            last_ns: start.map(|start| self.last_ns.max(start)),
            established: is_tcp.then_some(self.established),
            closed_by: is_tcp.then_some(self.closed_by),
            basis: self.basis,
            observed_first_response: self.first_response.latency_of_ns(),
        }
    }
}

fn traffic(traffic: track::Traffic) -> Traffic {
    Traffic {
        packets: traffic.packets,
        bytes: traffic.bytes,
        payload_bytes: traffic.payload_bytes,
    }
}

fn add(mut rest: Rest, facts: &Facts) -> Rest {
    rest.services += 1;
    rest.connections += facts.connections;
    rest.to_server.add(facts.to_server);
    rest.to_client.add(facts.to_client);
    rest
}
