//! The counters of several directors, added up in the order of time.
//!
//! Each director tells of its own, in its own time: what the others did meanwhile comes later.

use equipoise_core::{Counters, ServiceIndex, Timestamp};

/// What directors told, until all have come to the same time.
#[derive(Default)]
pub(super) struct Merge {
    /// Whose turn it is to tell.
    director: usize,
    waiting: Vec<Told>,
    /// The latest of each: by director, then service, then server.
    latest: Vec<Vec<Vec<Counters>>>,
}

/// One server's counters in one director.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    /// Connections that had been decided.
    pub(super) arrivals: u64,
    pub(super) service: ServiceIndex,
    pub(super) server: u32,
    director: usize,
    counters: Counters,
}

impl Merge {
    pub(super) fn turn_to(&mut self, director: usize) {
        self.director = director;
    }

    pub(super) fn tell(
        &mut self,
        (at, arrivals): (Timestamp, u64),
        service: ServiceIndex,
        server: u32,
        counters: Counters,
    ) {
        self.waiting.push(Told {
            at,
            arrivals,
            service,
            server,
            director: self.director,
            counters,
        });
    }

    /// What was told, in the order of time.
    pub(super) fn take(&mut self) -> Vec<Told> {
        let mut waiting = std::mem::take(&mut self.waiting);
        // Stable: what one director said of one server stays in its order.
        waiting.sort_by_key(|told| (told.at, told.arrivals));
        waiting
    }

    /// The sum over all directors, with this in it.
    pub(super) fn sum(&mut self, told: &Told) -> Counters {
        let (service, server) = (told.service.0 as usize, told.server as usize);
        grow(&mut self.latest, told.director);
        grow(&mut self.latest[told.director], service);
        grow(&mut self.latest[told.director][service], server);
        self.latest[told.director][service][server] = told.counters;
        let mut sum = Counters::default();
        for services in &self.latest {
            let servers = services.get(service).map(Vec::as_slice);
            if let Some(counters) = servers.and_then(|servers| servers.get(server)) {
                sum.active += counters.active;
                sum.inactive += counters.inactive;
                sum.stateless += counters.stateless;
            }
        }
        sum
    }

    /// The buffer, for what is told next.
    pub(super) fn give_back(&mut self, mut told: Vec<Told>) {
        told.clear();
        self.waiting = told;
    }
}

fn grow<T: Clone + Default>(list: &mut Vec<T>, place: usize) {
    if place >= list.len() {
        list.resize(place + 1, T::default());
    }
}
