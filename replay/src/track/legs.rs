//! Both legs of a director that masquerades, in one capture: a connection to the virtual service,
//! and the same one with the real server's address in its place.
//!
//! They are found by their first packets: a director changes neither the client's end, nor the
//! sequence number, nor the identification of the IPv4 packet, and forwards each packet once, to
//! another address. Who sends such packets to a third address scans.

use std::collections::VecDeque;

use equipoise_core::{Protocol, ServiceKey, TcpFlags, Timestamp};
use hashbrown::HashTable;

use super::hash::{fold, hash_ends};
use crate::decode::Decoded;

/// How much later the director's own packet may leave: it is a matter of microseconds.
const LATEST_NS: u64 = Timestamp::SECOND / 100;
/// First packets that are remembered at most.
const MOST: usize = 1 << 16;

/// The first packet of a connection.
#[derive(Clone, Copy)]
struct Opening {
    /// What the director leaves as it is.
    kept: Kept,
    /// Who talks to the client.
    server: (u128, u16),
    at: u64,
    connection: Place,
    pairing: Pairing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairing {
    None,
    /// Which of its two legs is the second.
    Second(Place),
    /// It is one of many like it.
    Scan,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Kept {
    client: (u128, u16),
    from_client: bool,
    protocol: Protocol,
    sequence: u32,
    identification: u16,
    payload_length: u32,
}

/// Where the tracker has a connection, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u32, pub(super) u64);

/// What a connection turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// The only one, or the first.
    First,
    /// The second leg of one that began a moment before.
    Second,
    /// The first leg; the second one's replies come first, and it began a moment before.
    FirstOf(Place),
    /// Neither it nor that other one, which was taken for a second leg.
    Scan(Place),
}

/// The connections that began a moment ago.
pub(super) struct Legs {
    recent: HashTable<Opening>,
    /// When they came, and their hashes.
    by_age: VecDeque<(u64, u64)>,
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

    /// Takes in the first packet of a connection. Without an identification only a SYN tells its
    /// connection from others.
    pub(super) fn begin(&mut self, now: Timestamp, decoded: &Decoded, connection: Place) -> Leg {
        let leg = self.leg_of(now, decoded, connection);
        // Afterwards, for the look-up not to wait for what is written here.
        self.forget(now);
        leg
    }

    fn leg_of(&mut self, now: Timestamp, decoded: &Decoded, connection: Place) -> Leg {
        let packet = &decoded.packet;
        let source = (packet.source.0, packet.source_port);
        let destination = (packet.destination.0, packet.destination_port);
        let is_syn = packet.protocol == Protocol::Tcp && packet.flags.contains(TcpFlags::SYN);
        if !is_syn && decoded.identification == 0 {
            return Leg::First;
        }
        for (from_client, client, server) in
            [(true, source, destination), (false, destination, source)]
        {
            let is_syn_ack = packet.flags.contains(TcpFlags::ACK);
            if is_syn && is_syn_ack == from_client {
                continue;
            }
            // Nothing but identifications tells datagrams to one client apart.
            if packet.protocol != Protocol::Tcp && !from_client {
                continue;
            }
            let kept = Kept {
                client,
                from_client,
                protocol: packet.protocol,
                sequence: decoded.tcp_sequence,
                identification: decoded.identification,
                payload_length: decoded.payload_length,
            };
            let opening = Opening {
                kept,
                server,
                at: now.0,
                connection,
                pairing: Pairing::None,
            };
            let leg = self.pair(&opening);
            if leg != Leg::First {
                return leg;
            }
        }
        Leg::First
    }

    fn pair(&mut self, opening: &Opening) -> Leg {
        let hash = opening.kept.hash();
        let (services, kept) = (&self.services, &opening.kept);
        let other = self.recent.find_mut(hash, |one| {
            one.kept == *kept
                && one.server.0 != opening.server.0
                && opening.at - one.at <= LATEST_NS
        });
        let mut opening = *opening;
        let mut leg = Leg::First;
        if let Some(other) = other {
            // A packet comes from the client, then leaves for the server; its answer comes from
            // the server, then leaves for the client.
            let second = if kept.from_client { &opening } else { &*other };
            match other.pairing {
                Pairing::None if is_served(services, kept.protocol, second.server) => {}
                Pairing::None => {
                    other.pairing = Pairing::Second(second.connection);
                    return if kept.from_client {
                        Leg::Second
                    } else {
                        Leg::FirstOf(other.connection)
                    };
                }
                Pairing::Second(wrong) => {
                    other.pairing = Pairing::Scan;
                    opening.pairing = Pairing::Scan;
                    leg = Leg::Scan(wrong);
                }
                Pairing::Scan => opening.pairing = Pairing::Scan,
            }
        }
        self.recent
            .insert_unique(hash, opening, |one| one.kept.hash());
        self.by_age.push_back((opening.at, hash));
        leg
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some(&(at, hash)) = self.by_age.front() {
            if now.0 - at <= LATEST_NS && self.by_age.len() <= MOST {
                break;
            }
            self.by_age.pop_front();
            // Another one of that time and hash goes as well, only a step later.
            if let Ok(found) = self.recent.find_entry(hash, |one| one.at == at) {
                found.remove();
            }
        }
    }
}

fn is_served(services: &[ServiceKey], protocol: Protocol, server: (u128, u16)) -> bool {
    services.iter().any(|key| match *key {
        ServiceKey::Address {
            protocol: of,
            address,
            port,
        } => of == protocol && address.0 == server.0 && (port == 0 || port == server.1),
        // Whose packets a firewall would mark is not known here.
        ServiceKey::Mark { .. } => true,
    })
}

impl Kept {
    fn hash(&self) -> u64 {
        let numbers = u64::from(self.sequence) << 32
            | u64::from(self.identification) << 16
            | u64::from(self.payload_length) << 1
            | u64::from(self.from_client);
        fold(
            hash_ends(self.client, (0, 0), self.protocol as u64),
            numbers ^ 0x082e_fa98_ec4e_6c89,
        )
    }
}
