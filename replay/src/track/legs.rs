//! Both legs of a director that masquerades, in one capture: the connection to the virtual service
//! and the same one with the real server's address in its place.

use std::collections::VecDeque;

use equipoise_core::{Packet, Protocol, ServiceKey, Timestamp};
use hashbrown::HashTable;

use super::{fold, hash_ends};

/// How much later the director's own SYN may leave: it is a matter of microseconds.
const LATEST_NS: u64 = Timestamp::SECOND / 100;

/// Who opens a connection, and with which sequence number: the director changes neither. To whom it
/// changes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Opening {
    client: (u128, u16),
    sequence: u32,
    destination: (u128, u16),
    at: u64,
}

/// The connections that began a moment ago.
pub(super) struct Legs {
    recent: HashTable<Opening>,
    by_age: VecDeque<Opening>,
    /// What goes to these is nobody's second leg.
    services: Vec<ServiceKey>,
}

impl Legs {
    pub(super) fn new(services: Vec<ServiceKey>) -> Self {
        Self {
            recent: HashTable::new(),
            by_age: VecDeque::new(),
            services,
        }
    }

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
            destination: (packet.destination.0, packet.destination_port),
            at: now.0,
        };
        let hash = opening.hash();
        let is_first_leg = |one: &Opening| {
            one.client == opening.client
                && one.sequence == opening.sequence
                && one.destination != opening.destination
        };
        if self.recent.find(hash, is_first_leg).is_some() && !self.is_served(packet) {
            return true;
        }
        self.recent.insert_unique(hash, opening, Opening::hash);
        self.by_age.push_back(opening);
        false
    }

    fn is_served(&self, packet: &Packet) -> bool {
        self.services.iter().any(|key| match *key {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => {
                protocol == Protocol::Tcp
                    && address == packet.destination
                    && (port == 0 || port == packet.destination_port)
            }
            // Whose packets a firewall would mark is not known here.
            ServiceKey::Mark { .. } => true,
        })
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
