//! The weighted-least scan of `wlc`, `sed`, `nq`, `lblc` and `lblcr`.
//!
//! Owns overhead and weight of each place, kept up to date as counters change, so that a decision
//! reads one dense array and multiplies; does not know how an overhead comes about.

use alloc::vec::Vec;

use equipoise_core::Server;

use crate::sdk::{Place, Servers, is_usable};

/// Overheads and weights by place, filled up to whole blocks with [`NOBODY`].
#[derive(Clone, Debug, Default)]
pub(crate) struct WeightedLeast {
    candidates: Vec<Candidate>,
}

/// Candidates that the scan takes in one turn: compiled to WebAssembly, where each turn of a loop
/// pays for the watchdog, that is a third faster than one by one.
const BLOCK: usize = 8;

/// One server as the scan sees it. With weight and overhead 0 an unusable one never wins a
/// comparison, so the scan need not look at flags. Stored as wide as it is multiplied: overheads
/// are an `i32`, weights a `u32`, and their product fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    overhead: i64,
    weight: i64,
}

impl Candidate {
    #[inline]
    pub(crate) fn new(server: &Server, overhead: i32) -> Self {
        if is_usable(server) {
            Self::listed(server, overhead)
        } else {
            Self {
                overhead: 0,
                weight: 0,
            }
        }
    }

    /// As it is, usable or not.
    #[inline]
    pub(crate) fn listed(server: &Server, overhead: i32) -> Self {
        Self {
            overhead: i64::from(overhead),
            weight: i64::from(server.weight),
        }
    }

    /// Whether this one takes the place of the best so far.
    #[inline]
    pub(crate) fn beats(self, best: Self) -> bool {
        best.overhead * self.weight > self.overhead * best.weight
    }
}

/// Beaten by every candidate of weight above 0, and beats none.
const NOBODY: Candidate = Candidate {
    overhead: 1,
    weight: 0,
};

const NOWHERE: Place = Place::MAX;

impl WeightedLeast {
    /// Takes in a new list of servers.
    pub(crate) fn rebuild(&mut self, servers: &Servers, overhead: impl Fn(&Server) -> i32) {
        self.candidates.clear();
        self.candidates.extend(
            servers
                .rows()
                .iter()
                .map(|server| Candidate::new(server, overhead(server))),
        );
        let whole = self.candidates.len().next_multiple_of(BLOCK);
        self.candidates.resize(whole, NOBODY);
    }

    /// Takes in the counters of one server.
    #[inline]
    pub(crate) fn recount(&mut self, place: Place, overhead: i32) {
        if let Some(candidate) = self.candidates.get_mut(place) {
            // Chosen without a branch, which could not be foreseen.
            let is_usable = candidate.weight > 0;
            candidate.overhead = if is_usable { i64::from(overhead) } else { 0 };
        }
    }

    /// Takes in the counters and the flag of one server.
    pub(crate) fn update(&mut self, place: Place, server: &Server, overhead: i32) {
        if let Some(candidate) = self.candidates.get_mut(place) {
            *candidate = Candidate::new(server, overhead);
        }
    }

    /// The first usable place of this overhead.
    #[inline]
    pub(crate) fn first_of(&self, overhead: i32) -> Option<Place> {
        self.candidates
            .iter()
            .position(|candidate| candidate.overhead == i64::from(overhead) && candidate.weight > 0)
    }

    /// The place with the smallest overhead per weight, the first of equals.
    #[inline]
    pub(crate) fn least(&self) -> Option<Place> {
        let mut best = NOBODY;
        let mut place = NOWHERE;
        let (blocks, _) = self.candidates.as_chunks::<BLOCK>();
        for (block, candidates) in blocks.iter().enumerate() {
            for (offset, candidate) in candidates.iter().enumerate() {
                if candidate.beats(best) {
                    core::hint::cold_path();
                    best = *candidate;
                    place = block * BLOCK + offset;
                }
            }
        }
        (place != NOWHERE).then_some(place)
    }
}
