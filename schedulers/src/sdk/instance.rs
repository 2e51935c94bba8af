//! One running algorithm: keeps its servers' counters, reads the packed encoding.
//!
//! The same code stands behind a component's exports and behind the native twin. Between two calls
//! it holds no borrowed data and no global.

use alloc::string::String;
use alloc::vec::Vec;

use equipoise_core::batch::{KIND_SHIFT, Kind, LOCAL, NO_DESTINATION, PLACE_MASK};
use equipoise_core::{
    Address, Flow, Load, Needs, Parameter, Protocol, Request, STATUS_OVERLOADED, Server, ServerId,
    ServiceIdentity,
};

use super::{Algorithm, Arrival, Change, Place, Servers, Setup};

/// An algorithm with its real servers: the whole contract, in core types.
#[derive(Debug)]
pub struct Instance<A> {
    algorithm: A,
    servers: Servers,
    now_us: u64,
    bound: bool,
}

impl<A: Algorithm> Instance<A> {
    /// `lifecycle.configure`: the error names the key and the values it takes.
    pub fn configure(
        now_us: u64,
        service: &ServiceIdentity,
        parameters: &[Parameter],
        seed: u64,
    ) -> Result<Self, String> {
        let setup = Setup::new(A::NAME, A::PARAMETERS, now_us, service, parameters, seed)?;
        Ok(Self {
            algorithm: A::configure(&setup)?,
            servers: Servers::default(),
            now_us,
            bound: false,
        })
    }

    /// `lifecycle.set-servers`: the whole list, newest first, counters as they stand.
    pub fn set_servers(&mut self, servers: Vec<Server>) {
        let mut change = self.servers.replace(servers);
        if !self.bound {
            self.bound = true;
            change = Change::Bind;
        }
        self.algorithm.servers_changed(change, &self.servers);
    }

    /// `scheduler.schedule`: `changed` holds new absolute values; the effect of this decision
    /// comes back with a later call's.
    #[inline]
    pub fn schedule(
        &mut self,
        now_us: u64,
        flow: &Flow,
        changed: impl IntoIterator<Item = Load>,
    ) -> Option<ServerId> {
        self.take_changes(changed);
        self.now_us = now_us;
        let arrival = arrival_of(now_us, flow);
        let place = self.algorithm.schedule(&self.servers, &arrival)?;
        self.servers.get(place).map(|server| server.id)
    }

    /// `request-scheduler.schedule`, as [`Instance::schedule`].
    pub fn schedule_request(
        &mut self,
        now_us: u64,
        flow: &Flow,
        request: Option<&Request<'_>>,
        changed: impl IntoIterator<Item = Load>,
    ) -> Option<ServerId> {
        let Some(request) = request else {
            return self.schedule(now_us, flow, changed);
        };
        self.take_changes(changed);
        self.now_us = now_us;
        let arrival = arrival_of(now_us, flow);
        let (servers, algorithm) = (&self.servers, &mut self.algorithm);
        let place = algorithm.schedule_request(servers, &arrival, request)?;
        servers.get(place).map(|server| server.id)
    }

    #[inline]
    fn take_changes(&mut self, changed: impl IntoIterator<Item = Load>) {
        for load in changed {
            if let Some(place) = self.servers.place(load.server) {
                self.recount(place, |server| {
                    server.active = load.active;
                    server.inactive = load.inactive;
                });
                self.flag(place, load.status);
            }
        }
    }

    /// `batch.run`: appends one answer for each arrival. Reserved kinds, places out of range and
    /// events of refused arrivals are void; missing key words read as 0.
    pub fn run(&mut self, keys: &[u64], events: &[u32], answers: &mut Vec<u32>) {
        let first = answers.len();
        // Room for the most there can be, so that none of the pushes below moves the list.
        answers.reserve(events.len());
        let mut keys = keys.iter().copied();
        let mut events = events;
        // A decision and the counts behind it in one turn, since a host's watchdog looks at each.
        while let Some((&event, rest)) = events.split_first() {
            let kind = event >> KIND_SHIFT;
            if asks(event) {
                events = rest;
                let arrival = read::<A>(&mut keys, event, self.now_us);
                let place = self.algorithm.schedule(&self.servers, &arrival);
                answers.push(place.map_or(NO_DESTINATION, |place| place as u32));
                if let (Some(place), true) = (place, A::NEEDS.contains(Needs::LOADS)) {
                    self.count(kind, place);
                }
            } else if !counts(event) {
                events = rest;
                if A::NEEDS.contains(Needs::TIME) && kind == Kind::Time as u32 {
                    self.now_us = keys.next().unwrap_or(self.now_us);
                } else {
                    self.rare(event, &answers[first..]);
                }
            }
            events = self.take_count(events, &answers[first..]);
            events = self.take_count(events, &answers[first..]);
        }
    }

    #[inline]
    fn take_count<'a>(&mut self, events: &'a [u32], answers: &[u32]) -> &'a [u32] {
        match events.split_first() {
            Some((&event, rest)) if counts(event) => {
                self.count(event >> KIND_SHIFT, place_of(event, answers));
                rest
            }
            _ => events,
        }
    }

    #[cfg(test)]
    pub(crate) fn algorithm(&self) -> &A {
        &self.algorithm
    }

    /// Counters wrap rather than stop: whatever a host sends, the opposite event undoes it.
    #[inline]
    fn count(&mut self, kind: u32, place: Place) {
        let (active, inactive) = EFFECTS[kind as usize];
        self.recount(place, |server| {
            server.active = server.active.wrapping_add_signed(active);
            server.inactive = server.inactive.wrapping_add_signed(inactive);
        });
    }

    #[inline]
    fn recount(&mut self, place: Place, change: impl FnOnce(&mut Server)) {
        if let Some(server) = self.servers.get_mut(place) {
            change(server);
            self.algorithm.counters_changed(place, server);
        }
    }

    /// Kept out of the loop, which has too few registers as it is.
    #[inline(never)]
    fn rare(&mut self, event: u32, answers: &[u32]) {
        let place = place_of(event, answers);
        let Some(status) = self.servers.get(place).map(|server| server.status) else {
            return;
        };
        match Kind::of(event) {
            Some(Kind::Overloaded) => self.flag(place, status | STATUS_OVERLOADED),
            Some(Kind::Available) => self.flag(place, status & !STATUS_OVERLOADED),
            _ => {}
        }
    }

    fn flag(&mut self, place: Place, status: u32) {
        if let Some(server) = self.servers.get_mut(place)
            && server.status != status
        {
            server.status = status;
            self.algorithm.flag_changed(place, server);
        }
    }
}

#[inline]
fn arrival_of(now_us: u64, flow: &Flow) -> Arrival {
    Arrival {
        now_us,
        client: flow.client,
        client_port: flow.client_port,
        destination: flow.destination,
        destination_port: flow.destination_port,
        protocol: flow.protocol,
        mark: flow.mark,
    }
}

#[inline]
fn asks(event: u32) -> bool {
    event >> KIND_SHIFT <= Kind::ArriveOnePacket as u32
}

#[inline]
fn counts(event: u32) -> bool {
    !asks(event) && event >> KIND_SHIFT < EFFECTS.len() as u32
}

/// What the kinds from `ArriveActive` to `PlacedInactive` add to active and inactive. A table
/// where a `match` would be a jump that cannot be foreseen.
const EFFECTS: [(i32, i32); 9] = [
    (1, 0),
    (0, 1),
    (0, 0),
    (1, -1),
    (-1, 1),
    (-1, 0),
    (0, -1),
    (1, 0),
    (0, 1),
];

/// The place that an event means, given the answers so far.
#[inline]
fn place_of(event: u32, answers: &[u32]) -> Place {
    let place = (event & PLACE_MASK) as Place;
    if event & LOCAL == 0 {
        return place;
    }
    answers.get(place).copied().unwrap_or(NO_DESTINATION) as Place
}

/// Reads the key words of one arrival: the counterpart of `batch::push_keys`.
#[inline]
fn read<A: Algorithm>(keys: &mut impl Iterator<Item = u64>, event: u32, now_us: u64) -> Arrival {
    let mut word = || keys.next().unwrap_or(0);
    let mut arrival = Arrival {
        now_us,
        client: Address::default(),
        client_port: 0,
        destination: Address::default(),
        destination_port: 0,
        protocol: match event & PLACE_MASK {
            1 => Protocol::Udp,
            2 => Protocol::Sctp,
            _ => Protocol::Tcp,
        },
        mark: 0,
    };
    if A::NEEDS.contains(Needs::CLIENT) {
        arrival.client = Address::from_words(word(), word());
    }
    if A::NEEDS.contains(Needs::DESTINATION) {
        arrival.destination = Address::from_words(word(), word());
    }
    if A::NEEDS.intersects(Needs::CLIENT.union(Needs::DESTINATION)) {
        let ports = word();
        arrival.client_port = ports as u16;
        arrival.destination_port = (ports >> 16) as u16;
        arrival.mark = (ports >> 32) as u32;
    }
    arrival
}
