//! `mh`: Maglev hashing.
//!
//! Decision: the client's address (with `mh-port` its port too), hashed into a Maglev table that
//! the servers fill by turns, as many in a row as their weight says.
//! Ties: in list order while the table is filled. A slot whose server is quiesced or overloaded
//! has no destination, but with `mh-fallback` other slots are probed.
//! Reference: Linux `ip_vs_mh` on 64-bit machines. Deviations: a server that is already quiesced
//! at a bind has no slots, for its earlier weight is not known.

use alloc::string::String;
use alloc::vec::Vec;

use equipoise_core::{Needs, Server, ServerId};
use siphasher::sip::SipHasher13;

use crate::arithmetic::gcd;
use crate::sdk::{
    Accepts, Algorithm, Arrival, Change, ParameterSpec, Place, Promise, Servers, Setup, is_usable,
};

const PORT: ParameterSpec = ParameterSpec {
    key: "mh-port",
    accepts: Accepts::Switch,
    doc: "hash the client's port too (`ipvsadm -b mh-port`)",
};
const FALLBACK: ParameterSpec = ParameterSpec {
    key: "mh-fallback",
    accepts: Accepts::Switch,
    doc: "look for another server where the hashed one is not usable (`ipvsadm -b mh-fallback`)",
};
const INDEX: ParameterSpec = ParameterSpec {
    key: "table-index",
    accepts: Accepts::Number {
        min: FIRST_INDEX,
        max: FIRST_INDEX + SIZES.len() as u32 - 1,
        default: 12,
    },
    doc: "the table has the greatest prime number of slots below 2 to this power \
          (`CONFIG_IP_VS_MH_TAB_INDEX`)",
};
const FIRST_INDEX: u32 = 8;
const SIZES: [u32; 10] = [
    251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131_071,
];
const OFFSET_KEY: u64 = 2_654_435_761;
const SKIP_KEY: u64 = 2_654_446_892;
const FREE: ServerId = ServerId(u32::MAX);

/// Maglev hashing.
#[derive(Debug)]
pub struct Mh {
    port: bool,
    fallback: bool,
    index: u32,
    size: u32,
    /// Servers by slot, by id since the table outlives lists that are too long for it; empty
    /// without a server of weight.
    table: Vec<ServerId>,
    /// The last weight above 0, by id.
    last_weights: Vec<u32>,
}

impl Algorithm for Mh {
    const NAME: &'static str = "mh";
    const SUMMARY: &'static str = "Maglev: same server for a client, little moves on changes";
    const NEEDS: Needs = Needs::CLIENT;
    const PARAMETERS: &'static [ParameterSpec] = &[PORT, FALLBACK, INDEX];
    const PROMISE: Promise = Promise::Weights;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(setup: &Setup<'_>) -> Result<Self, String> {
        let index = setup.number(&INDEX);
        Ok(Self {
            port: setup.switch(&PORT),
            fallback: setup.switch(&FALLBACK),
            index,
            size: SIZES[(index - FIRST_INDEX) as usize],
            table: Vec::new(),
            last_weights: Vec::new(),
        })
    }

    fn servers_changed(&mut self, change: Change, servers: &Servers) {
        for (place, server) in servers.rows().iter().enumerate() {
            let id = server.id.0 as usize;
            if id >= self.last_weights.len() {
                self.last_weights.resize(id + 1, 0);
            }
            let is_new = change == Change::Bind || change == Change::Add(place);
            if is_new || server.weight > 0 {
                self.last_weights[id] = server.weight;
            }
        }
        // The kernel's hook refuses more servers than slots and leaves the table as it was.
        if servers.len() <= self.size as usize {
            self.fill(servers.rows());
        }
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, arrival: &Arrival) -> Option<Place> {
        if self.table.is_empty() {
            return None;
        }
        let port = if self.port { arrival.client_port } else { 0 };
        let key = arrival.client.fold().wrapping_add(u32::from(port));
        let slot = |offset: u32| hash(OFFSET_KEY, key.wrapping_add(offset)) % self.size;
        let usable = |slot: u32| {
            let place = servers.place(*self.table.get(slot as usize)?)?;
            servers.is_usable(place).then_some(place)
        };
        let primary = slot(0);
        let chosen = usable(primary);
        // Without a usable server every probe would be in vain.
        if chosen.is_some() || !self.fallback || !servers.rows().iter().any(is_usable) {
            return chosen;
        }
        let mut offsets = (primary..self.size).chain(0..primary);
        offsets.find_map(|offset| usable(slot(offset)))
    }
}

impl Mh {
    fn fill(&mut self, servers: &[Server]) {
        self.table.clear();
        let weight = |server: &Server| self.last_weights[server.id.0 as usize];
        let divisor = servers.iter().map(weight).fold(0, gcd);
        if divisor == 0 {
            return;
        }
        let greatest = servers.iter().map(weight).max().unwrap_or(0) / divisor;
        let shift = (u32::BITS - greatest.leading_zeros()).saturating_sub(self.index / 2);
        let mut walks: Vec<Walk> = Vec::with_capacity(servers.len());
        for server in servers.iter().filter(|server| weight(server) > 0) {
            let key = server.address.fold().wrapping_add(u32::from(server.port));
            walks.push(Walk {
                server: server.id,
                slot: hash(OFFSET_KEY, key) % self.size,
                skip: hash(SKIP_KEY, key) % (self.size - 1) + 1,
                turns: ((weight(server) / divisor) >> shift).max(1),
            });
        }
        self.table.resize(self.size as usize, FREE);
        let mut free = self.size;
        for walk in (0..walks.len()).cycle() {
            let walk = &mut walks[walk];
            for _ in 0..walk.turns {
                while self.table[walk.slot as usize] != FREE {
                    walk.slot = (walk.slot + walk.skip) % self.size;
                }
                self.table[walk.slot as usize] = walk.server;
                free -= 1;
                if free == 0 {
                    return;
                }
            }
        }
    }
}

/// One server's way through the table.
struct Walk {
    server: ServerId,
    slot: u32,
    skip: u32,
    turns: u32,
}

/// The kernel's `hsiphash` on 64-bit machines: SipHash-1-3, both halves of the key alike.
#[inline]
fn hash(key: u64, value: u32) -> u32 {
    SipHasher13::new_with_keys(key, key).hash(&value.to_le_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use super::{Mh, OFFSET_KEY, SKIP_KEY, hash};
    use crate::testing::{check, check_with, configured, servers};

    /// The table for weights added in this order to 10.0.0.1, .2, .3 on port 80, in letters.
    fn table(weights: &[u32]) -> String {
        let mut instance = configured::<Mh>();
        instance.set_servers(servers(weights));
        let ids = instance.algorithm().table.iter();
        ids.map(|id| char::from(b'A' + id.0 as u8)).collect()
    }

    fn counts(table: &str) -> [usize; 3] {
        ['A', 'B', 'C'].map(|letter| table.matches(letter).count())
    }

    #[test]
    fn hashes_of_the_kernel() {
        let both = |value| (hash(OFFSET_KEY, value), hash(SKIP_KEY, value));
        assert_eq!(both(0x0a00_0001 + 80), (0x439c_0cbe, 0x97b3_dc47));
        assert_eq!(both(0x0a00_0002 + 80), (0xa1cf_683b, 0xfa5d_46df));
        assert_eq!(both(0x0a00_0003 + 80), (0x2cdf_0afa, 0xedeb_33d0));
    }

    #[test]
    fn tables_of_the_kernel() {
        let equal = table(&[1, 1, 1]);
        let first = "ABBCCABCCAABBAACBBAACBCCBABAACCBACCBCACABABBABBCCCBCCCABBBAABBAA";
        assert_eq!(&equal[..64], first);
        assert_eq!(counts(&equal), [1364, 1364, 1365]);
        let unequal = table(&[1, 2, 3]);
        let first = "CBBCCCBCCAABBBACBCCACCCCBCBBACCBACCBCACABABCCBBCCCBCCCABBBAABBCC";
        assert_eq!(&unequal[..64], first);
        assert_eq!(counts(&unequal), [682, 1364, 2047]);
        assert_eq!(counts(&table(&[1000, 1])), [4028, 65, 0]);
        assert_eq!(counts(&table(&[1, 64])), [124, 3969, 0]);
        assert_eq!(counts(&table(&[1, 63])), [63, 4030, 0]);
        assert_eq!(table(&[0, 0]), "");
    }

    #[test]
    fn clients() {
        check::<Mh>(
            "+A:1 +B:1 +C:1 k1.2.3.4:1 k10.1.1.1:2 k192.168.1.1:3 k8.8.8.8:4",
            "1.2.3.4:1->B 10.1.1.1:2->C 192.168.1.1:3->A 8.8.8.8:4->B",
        );
    }

    #[test]
    fn a_server_added_with_weight_0_has_no_slots() {
        let scenario = "+A:1 +B:1 k8.8.8.8:4 -B +B:0 k8.8.8.8:4";
        check::<Mh>(scenario, "8.8.8.8:4->B 8.8.8.8:4->A");
    }

    #[test]
    fn a_quiesced_server_keeps_its_slots() {
        let scenario = "+A:1 +B:1 =B:0 k1.2.3.4:1 k8.8.8.8:4 =B:1 k8.8.8.8:4";
        check::<Mh>(scenario, "1.2.3.4:1->- 8.8.8.8:4->- 8.8.8.8:4->B");
        check_with::<Mh>(
            &[("mh-fallback", "true"), ("table-index", "8")],
            "+A:2147483647 +B:1 =B:0 k1.2.3.4:1 k8.8.8.8:4 oA k8.8.8.8:4",
            "1.2.3.4:1->A 8.8.8.8:4->A 8.8.8.8:4->-",
        );
    }
}
