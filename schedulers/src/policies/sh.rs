//! `sh`: source hashing.
//!
//! Decision: the client's address (with `sh-port` its port too), hashed into a table that the
//! servers share in list order by weight; a quiesced server keeps one bucket a round.
//! Ties: none. A bucket whose server is quiesced or overloaded has no destination, but with
//! `sh-fallback` the table is probed from twice the bucket's number on.
//! Reference: Linux `ip_vs_sh`. Deviations: none.

use alloc::string::String;
use alloc::vec::Vec;
use core::iter::repeat_n;

use equipoise_core::Needs;

use crate::arithmetic::hash_32;
use crate::sdk::{
    Accepts, Algorithm, Arrival, Change, ParameterSpec, Place, Promise, Servers, Setup,
};

const PORT: ParameterSpec = ParameterSpec {
    key: "sh-port",
    accepts: Accepts::Switch,
    doc: "hash the client's port too (`ipvsadm -b sh-port`)",
};
const FALLBACK: ParameterSpec = ParameterSpec {
    key: "sh-fallback",
    accepts: Accepts::Switch,
    doc: "look for another server where the hashed one is not usable (`ipvsadm -b sh-fallback`)",
};
const BITS: ParameterSpec = ParameterSpec {
    key: "table-bits",
    accepts: Accepts::Number {
        min: 4,
        max: 20,
        default: 8,
    },
    doc: "the table has 2 to this power buckets (`CONFIG_IP_VS_SH_TAB_BITS`)",
};

/// Source hashing.
#[derive(Debug)]
pub struct Sh {
    port: bool,
    fallback: bool,
    bits: u32,
    /// Places by bucket; empty without servers.
    table: Vec<u32>,
}

impl Algorithm for Sh {
    const NAME: &'static str = "sh";
    const SUMMARY: &'static str = "always the same server for a client address, by weight";
    const NEEDS: Needs = Needs::CLIENT;
    const PARAMETERS: &'static [ParameterSpec] = &[PORT, FALLBACK, BITS];
    const PROMISE: Promise = Promise::Weights;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(setup: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            port: setup.switch(&PORT),
            fallback: setup.switch(&FALLBACK),
            bits: setup.number(&BITS),
            table: Vec::new(),
        })
    }

    fn servers_changed(&mut self, _: Change, servers: &Servers) {
        self.table.clear();
        let size = 1 << self.bits;
        while self.table.len() < size && !servers.is_empty() {
            for (place, server) in servers.rows().iter().enumerate() {
                let left = size - self.table.len();
                let buckets = left.min(server.weight.max(1) as usize);
                self.table.extend(repeat_n(place as u32, buckets));
            }
        }
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers, arrival: &Arrival) -> Option<Place> {
        let port = if self.port { arrival.client_port } else { 0 };
        let key = arrival.client.fold().wrapping_add(u32::from(port));
        let hash = hash_32(key, self.bits) as usize;
        let place = *self.table.get(hash)? as Place;
        if servers.is_usable(place) {
            return Some(place);
        }
        if !self.fallback {
            return None;
        }
        let (before, behind) = self.table.split_at(2 * hash % self.table.len());
        let mut probes = behind.iter().chain(before).map(|&place| place as Place);
        probes.find(|&place| servers.is_usable(place))
    }
}

#[cfg(test)]
mod tests {
    use super::Sh;
    use crate::testing::{check, check_with};

    #[test]
    fn address_alone() {
        check::<Sh>(
            "+A:1 +B:1 +C:1 k10.0.0.1:1 k10.0.0.2:2 k10.0.0.3:3 k192.168.1.1:4 k192.168.1.100:5",
            "10.0.0.1:1->C 10.0.0.2:2->A 10.0.0.3:3->B 192.168.1.1:4->B 192.168.1.100:5->A",
        );
        // The table repeats CCCBBA, so bucket 39 is B; with B quiesced CCCBA, and it is A.
        check::<Sh>("+A:1 +B:2 +C:3 k10.0.0.1:1", "10.0.0.1:1->B");
        check::<Sh>("+A:1 +B:0 +C:3 k10.0.0.1:1", "10.0.0.1:1->A");
        check::<Sh>("k10.0.0.1:1", "10.0.0.1:1->-");
    }

    #[test]
    fn with_port() {
        check_with::<Sh>(
            &[("sh-port", "true")],
            "+A:1 +B:1 +C:1 k10.0.0.1:1000 k10.0.0.1:1001 k10.0.0.1:40000 k10.0.0.1:1002",
            "10.0.0.1:1000->B 10.0.0.1:1001->A 10.0.0.1:40000->A 10.0.0.1:1002->B",
        );
    }

    #[test]
    fn fallback_starts_at_twice_the_bucket() {
        let fallback = &[("sh-fallback", "true")];
        let scenario = "+A:1 +B:1 +C:1 oC k10.0.0.1:1";
        check::<Sh>(scenario, "10.0.0.1:1->-");
        check_with::<Sh>(fallback, scenario, "10.0.0.1:1->B");
        // Behind bucket 39 comes A, at bucket 78 stands C.
        check_with::<Sh>(fallback, "+A:1 +B:2 +C:3 oB k10.0.0.1:1", "10.0.0.1:1->C");
    }

    #[test]
    fn a_table_may_be_too_small_for_the_weights() {
        let scenario = "+A:1 +B:2147483647 k10.0.0.1:1 oB k10.0.0.1:1";
        let expected = "10.0.0.1:1->B 10.0.0.1:1->-";
        check_with::<Sh>(
            &[("sh-fallback", "true"), ("table-bits", "4")],
            scenario,
            expected,
        );
    }
}
