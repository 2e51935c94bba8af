//! Both legs of a director that masquerades, in one capture: the connection to the virtual service
//! and the same one with the real server's address in its place.

use std::collections::VecDeque;

use equipoise_core::{Packet, Timestamp};
use hashbrown::HashTable;

use super::{fold, hash_ends};

/// How much later the director's own SYN may leave. It is a matter of microseconds; a SYN that is
/// repeated comes a second later (RFC 6298, 2).
const LATEST_NS: u64 = Timestamp::SECOND / 2;

/// Who opens a connection, and with which sequence number: the director changes neither.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Opening {
    client: (u128, u16),
    sequence: u32,
    at: u64,
}

/// The connections that began a moment ago.
#[derive(Default)]
pub(super) struct Legs {
    recent: HashTable<Opening>,
    by_age: VecDeque<Opening>,
}

impl Legs {
    /// Takes in a SYN that begins a connection; whether another of the same client to somewhere
    /// else, with the same sequence number, has just begun.
    pub(super) fn is_second(&mut self, now: Timestamp, packet: &Packet, sequence: u32) -> bool {
        while let Some(oldest) = self
            .by_age
            .pop_front_if(|oldest| now.0 - oldest.at > LATEST_NS)
        {
            if let Ok(found) = self.recent.find_entry(oldest.hash(), |one| *one == oldest) {
                found.remove();
            }
        }
        let opening = Opening {
            client: (packet.source.0, packet.source_port),
            sequence,
            at: now.0,
        };
        let hash = opening.hash();
        let is_same =
            |one: &Opening| one.client == opening.client && one.sequence == opening.sequence;
        if self.recent.find(hash, is_same).is_some() {
            return true;
        }
        self.recent.insert_unique(hash, opening, Opening::hash);
        self.by_age.push_back(opening);
        false
    }
}

impl Opening {
    fn hash(&self) -> u64 {
        fold(
            hash_ends(self.client, (0, 0), 0),
            u64::from(self.sequence) ^ 0x082e_fa98_ec4e_6c89,
        )
    }
}
