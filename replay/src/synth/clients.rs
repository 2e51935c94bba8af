//! Who connects next, and from which port.

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::chance::{Chance, Purpose};
use super::error::SynthError;
use super::frames::Client;
use super::model::{Clients as Keys, Flood};
use super::network::{Network, Scatter, address};
use super::zipf::Zipf;

/// Ports that Linux takes for connections that it begins.
const FIRST_PORT: u16 = 32_768;
const PORTS: u16 = 28_232;

pub(super) struct Clients {
    keys: Keys,
    ranks: Zipf,
    places: [Scatter; 2],
    /// The port that each client took last, 0 where it took none.
    ports: Vec<u16>,
    /// Client and port of connections that are open. Never iterated.
    open: HashSet<(u32, u16), FixedState>,
    chance: Chance,
}

impl Clients {
    pub(super) fn new(keys: Keys, seed: u64) -> Self {
        let mut chance = Chance::new(seed, Purpose::Clients);
        let networks = [keys.network.get(), keys.network6.get()];
        Self {
            ranks: Zipf::new(keys.count.get(), keys.zipf.get()),
            places: networks.map(|network| Scatter::new(network.size(), chance.bits())),
            ports: vec![0; keys.count.get() as usize],
            open: HashSet::with_hasher(FixedState::default()),
            chance,
            keys,
        }
    }

    /// Who begins a connection, and its place among the clients. It is its port's until it is told
    /// to be over.
    pub(super) fn next(&mut self, after_s: f64) -> Result<(u32, Client), SynthError> {
        let rank = self.ranks.draw(&mut self.chance);
        let is_v6 = self.chance.is(self.keys.ipv6_share.get());
        let mut client = Client {
            address: self.address(rank, is_v6),
            port: 0,
            is_v6,
        };
        let last = &mut self.ports[rank as usize];
        if *last == 0 {
            *last = FIRST_PORT + self.chance.below(PORTS.into()) as u16;
        }
        for _ in 0..PORTS {
            *last = FIRST_PORT + (*last - FIRST_PORT + 1) % PORTS;
            if self.open.insert((rank, *last)) {
                client.port = *last;
                return Ok((rank, client));
            }
        }
        Err(SynthError::NoPort {
            client: address(client.address),
            after_s,
            ports: PORTS,
        })
    }

    pub(super) fn is_over(&mut self, rank: u32, client: &Client) {
        self.open.remove(&(rank, client.port));
    }

    fn address(&self, rank: u32, is_v6: bool) -> [u8; 16] {
        let (network, places) = if is_v6 {
            (self.keys.network6.get(), self.places[1])
        } else {
            (self.keys.network.get(), self.places[0])
        };
        network.host(places.at(rank.into()))
    }
}

/// Who sends a SYN of the flood: each time somebody else, until all have had their turn.
pub(super) struct Strangers {
    network: Network,
    places: Scatter,
    count: u64,
}

/// From 1024 on.
const FLOOD_PORTS: u64 = 64_512;

impl Strangers {
    pub(super) fn new(flood: &Flood, seed: u64) -> Self {
        let network = flood.network.get();
        let first = Chance::new(seed, Purpose::Flood).bits();
        Self {
            network,
            // At most 2^32 addresses.
            places: Scatter::new(network.size() * FLOOD_PORTS, first),
            count: 0,
        }
    }

    pub(super) fn next(&mut self) -> Client {
        let place = self.places.at(self.count);
        self.count += 1;
        Client {
            address: self.network.host(place / FLOOD_PORTS),
            port: 1_024 + (place % FLOOD_PORTS) as u16,
            is_v6: false,
        }
    }
}
