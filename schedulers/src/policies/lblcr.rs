//! `lblcr`: locality-based least-connection with replication.
//!
//! Decision: the least loaded of the servers remembered for the destination address, unless it is
//! crowded as in `lblc`; then the weighted-least rule, whose server joins the set. A set that did
//! not change for the expiration gives up its most loaded server.
//! Ties: the set's newest member, then the newest real server. Never a quiesced or overloaded one.
//! Reference: Linux `ip_vs_lblcr`. Deviations: as `lblc`; and a deleted member counts with the load
//! it had when it was deleted, for its later load is not known here.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use equipoise_core::{Needs, Server, ServerId};

use crate::least::{Candidate, WeightedLeast};
use crate::locality::{EXPIRATION, Locality, is_crowded};
use crate::overhead::{KERNEL, Overhead};
use crate::sdk::{Algorithm, Arrival, Change, ParameterSpec, Place, Promise, Servers, Setup};

/// Locality-based least-connection with replication.
#[derive(Debug)]
pub struct Lblcr {
    overhead: Overhead,
    candidates: WeightedLeast,
    remembered: Locality<ServerSet>,
    /// Servers as they were when they were deleted.
    deleted: Vec<Server>,
}

/// The servers of one destination, newest member first.
#[derive(Debug)]
struct ServerSet {
    members: Vec<ServerId>,
    modified_us: u64,
}

impl Algorithm for Lblcr {
    const NAME: &'static str = "lblcr";
    const SUMMARY: &'static str = "a set of servers for a destination, grown when crowded";
    const NEEDS: Needs = Needs::LOADS.union(Needs::TIME).union(Needs::DESTINATION);
    const PARAMETERS: &'static [ParameterSpec] = &[EXPIRATION, KERNEL];
    const PROMISE: Promise = Promise::None;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(setup: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            overhead: Overhead::configure(setup),
            candidates: WeightedLeast::default(),
            remembered: Locality::configure(setup),
            deleted: Vec::new(),
        })
    }

    fn servers_changed(&mut self, change: Change, servers: &Servers) {
        let overhead = self.overhead;
        self.candidates
            .rebuild(servers, |server| overhead.of(server));
        if let Change::Delete { server, .. } = change {
            self.deleted.retain(|other| other.id != server.id);
            self.deleted.push(server);
        }
    }

    #[inline]
    fn counters_changed(&mut self, place: Place, server: &Server) {
        self.candidates.recount(place, self.overhead.of(server));
    }

    fn flag_changed(&mut self, place: Place, server: &Server) {
        self.candidates
            .update(place, server, self.overhead.of(server));
    }

    fn schedule(&mut self, servers: &Servers, arrival: &Arrival) -> Option<Place> {
        let (address, now_us) = (arrival.destination, arrival.now_us);
        let expiration_us = self.remembered.expiration_us();
        let Some(set) = self.remembered.recall(address, now_us) else {
            let place = self.candidates.least()?;
            let set = ServerSet {
                members: vec![servers.get(place)?.id],
                modified_us: now_us,
            };
            self.remembered.remember(address, now_us, set);
            return Some(place);
        };
        let chosen = set.least(servers, self.overhead);
        if set.members.len() > 1 && now_us > set.modified_us.saturating_add(expiration_us) {
            set.drop_most(servers, &self.deleted, self.overhead, now_us);
        }
        if let Some(place) = chosen
            && let Some(server) = servers.get(place)
            && !is_crowded(server, servers)
        {
            return Some(place);
        }
        let place = self.candidates.least()?;
        set.insert(servers.get(place)?.id, now_us);
        Some(place)
    }
}

impl ServerSet {
    /// The usable member with the smallest overhead per weight, the newest member of equals.
    fn least(&self, servers: &Servers, overhead: Overhead) -> Option<Place> {
        let mut best: Option<(Place, Candidate)> = None;
        for place in self.members.iter().filter_map(|&id| servers.place(id)) {
            let Some(server) = servers.get(place).filter(|_| servers.is_usable(place)) else {
                continue;
            };
            let candidate = Candidate::new(server, overhead.of(server));
            if best.is_none_or(|(_, best)| candidate.beats(best)) {
                best = Some((place, candidate));
            }
        }
        best.map(|(place, _)| place)
    }

    /// Removes the member of weight above 0 with the greatest overhead per weight, the newest
    /// member of equals; flag and list do not matter.
    fn drop_most(
        &mut self,
        servers: &Servers,
        deleted: &[Server],
        overhead: Overhead,
        now_us: u64,
    ) {
        let mut most: Option<(usize, Candidate)> = None;
        for (index, &id) in self.members.iter().enumerate() {
            let listed = servers.place(id).and_then(|place| servers.get(place));
            let known = listed.or_else(|| deleted.iter().find(|server| server.id == id));
            let Some(server) = known.filter(|server| server.weight > 0) else {
                continue;
            };
            let candidate = Candidate::listed(server, overhead.of(server));
            if most.is_none_or(|(_, most)| most.beats(candidate)) {
                most = Some((index, candidate));
            }
        }
        if let Some((index, _)) = most {
            self.members.remove(index);
            self.modified_us = now_us;
        }
    }

    fn insert(&mut self, id: ServerId, now_us: u64) {
        if !self.members.contains(&id) {
            self.members.insert(0, id);
            self.modified_us = now_us;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lblcr;
    use crate::testing::{check, check_with};

    /// B is remembered; with 2 active at weight 1 it is crowded, and A, idle, joins.
    const JOINED: &str = "+A:9 +B:1 k1.0.0.1:1 aB:2 tB:2 k1.0.0.1:1";

    #[test]
    fn a_set_grows_when_its_least_member_is_crowded() {
        let ops = format!("{JOINED} aB:0 tB:0 aA:1 tA:1 k1.0.0.1:1 oB k1.0.0.1:1");
        let expected = "1.0.0.1:1->B 1.0.0.1:1->A 1.0.0.1:1->B 1.0.0.1:1->A";
        check::<Lblcr>(&ops, expected);
    }

    #[test]
    fn of_equal_members_the_newest_is_chosen() {
        let expected = "1.0.0.1:1->B 1.0.0.1:1->A 1.0.0.1:1->A";
        check::<Lblcr>(&format!("{JOINED} aB:0 tB:0 k1.0.0.1:1"), expected);
    }

    #[test]
    fn giving_up_a_member_changes_the_set() {
        // C, then B, then A join; A goes, and B stays for another expiration.
        let joined = "+A:9 +B:1 +C:1 k1.0.0.1:1 aC:2 tC:2 k1.0.0.1:1 aB:2 tB:2 k1.0.0.1:1";
        let given_up = "aA:90 tA:90 w101 k1.0.0.1:1 k1.0.0.1:1";
        let ops = format!("{joined} {given_up} aA:0 tA:0 aB:1 tB:1 aC:9 tC:9 k1.0.0.1:1");
        let expected = ["C", "B", "A", "B", "B", "B"].map(|name| format!("1.0.0.1:1->{name}"));
        check_with::<Lblcr>(&[("expiration", "100")], &ops, &expected.join(" "));
    }

    #[test]
    fn an_unchanged_set_gives_up_its_most_loaded_member() {
        // A has the most per weight when the set expires; it is dropped, although B is then full.
        let load = "aA:90 tA:90 aB:0 tB:0 w101 k1.0.0.1:1 aA:1 tA:1 aB:1 tB:1 k1.0.0.1:1";
        let ops = format!("{JOINED} {load}");
        let dropped = "1.0.0.1:1->B 1.0.0.1:1->A 1.0.0.1:1->B 1.0.0.1:1->B";
        check_with::<Lblcr>(&[("expiration", "100")], &ops, dropped);
        let kept = "1.0.0.1:1->B 1.0.0.1:1->A 1.0.0.1:1->B 1.0.0.1:1->A";
        check_with::<Lblcr>(&[("expiration", "101")], &ops, kept);
    }

    #[test]
    fn a_deleted_member_comes_back() {
        let ops = "+A:1 +B:1 k1.0.0.1:1 -B k1.0.0.1:1 +B:1 aA:1 tA:1 k1.0.0.1:1";
        check::<Lblcr>(ops, "1.0.0.1:1->B 1.0.0.1:1->A 1.0.0.1:1->B");
    }
}
