//! `twos`: weighted power of two random choices.
//!
//! Decision: of two servers drawn by weight, the first, unless the second has the smaller
//! `overhead / weight`. A draw is uniform from 0 to the sum of the usable weights inclusive, so the
//! newest usable server has one part more than its weight.
//! Ties: the first drawn. Never a quiesced or overloaded one.
//! Reference: Linux `ip_vs_twos`. Deviations: the kernel's random source is replaced by
//! `SplitMix64` from the seed; the sum of the weights does not overflow.

use alloc::string::String;

use equipoise_core::{Needs, Server};

use crate::overhead::{KERNEL, Overhead};
use crate::sdk::{Algorithm, Arrival, ParameterSpec, Place, Promise, Servers, Setup};

/// Weighted power of two random choices.
#[derive(Debug)]
pub struct Twos {
    overhead: Overhead,
    random: SplitMix64,
}

impl Algorithm for Twos {
    const NAME: &'static str = "twos";
    const SUMMARY: &'static str = "the less loaded of two random servers";
    const NEEDS: Needs = Needs::LOADS;
    const PARAMETERS: &'static [ParameterSpec] = &[KERNEL];
    const PROMISE: Promise = Promise::Weights;
    const ALWAYS_CHOOSES: bool = true;

    fn configure(setup: &Setup<'_>) -> Result<Self, String> {
        Ok(Self {
            overhead: Overhead::configure(setup),
            random: SplitMix64(setup.seed),
        })
    }

    fn schedule(&mut self, servers: &Servers, _: &Arrival) -> Option<Place> {
        let weights = servers.usable().map(|(_, server)| u64::from(server.weight));
        let total: u64 = weights.sum();
        if total == 0 {
            return None;
        }
        let (first, one) = drawn(servers, self.random.up_to(total))?;
        let (second, other) = drawn(servers, self.random.up_to(total))?;
        let cross = |weight: u32, load: &Server| {
            let product = weight.wrapping_mul(self.overhead.of(load).cast_unsigned());
            product.cast_signed()
        };
        let lighter = cross(other.weight, one) > cross(one.weight, other);
        Some(if lighter { second } else { first })
    }
}

/// The server at which a draw is used up.
fn drawn(servers: &Servers, draw: u64) -> Option<(Place, &Server)> {
    let mut reached = 0;
    servers.usable().find(|(_, server)| {
        reached += u64::from(server.weight);
        draw <= reached
    })
}

/// Steele, Lea and Flood's `SplitMix64`.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Uniform from 0 to `greatest` inclusive, which is less than `u64::MAX`: values beyond the
    /// last whole multiple of the range are drawn again.
    fn up_to(&mut self, greatest: u64) -> u64 {
        let range = greatest + 1;
        let limit = u64::MAX - u64::MAX % range;
        loop {
            let value = self.next();
            if value < limit {
                return value % range;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FLOW, configured, servers};

    #[test]
    fn draws_follow_the_weights_with_one_part_more_for_the_newest() {
        let mut table = Servers::default();
        table.replace(servers(&[1, 2, 3]));
        let letters = |draw| match drawn(&table, draw) {
            Some((_, server)) => char::from(b'A' + server.id.0 as u8),
            None => '-',
        };
        assert_eq!((0..8).map(letters).collect::<String>(), "CCCCBBA-");
    }

    #[test]
    fn draws_are_uniform() {
        let mut random = SplitMix64(7);
        let mut counts = [0_i64; 7];
        for _ in 0..70_000 {
            counts[random.up_to(6) as usize] += 1;
        }
        let squares: i64 = counts.iter().map(|n| (n - 10_000).pow(2)).sum();
        // Chi-square with 6 degrees of freedom exceeds 22.5 once in a thousand.
        assert!(squares < 225_000, "{counts:?}");
        assert_eq!(SplitMix64(0).next(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn the_second_draw_wins_only_with_less_load_for_its_weight() {
        // Idle, all products are 0: the first draw decides, with (w + 1) / (total + 1) for C.
        let idle = shares([0, 0, 0]);
        for (count, sevenths) in idle.iter().zip([1, 2, 4]) {
            assert!((count - sevenths * 10_000).abs() < 500, "{idle:?}");
        }
        // C is loaded: it is left only to two draws of C, 16 of 49; the first draw decides between
        // the others, and a first draw of C gives way to the second.
        let loaded = shares([0, 0, 1000]);
        for (count, of_49) in loaded.iter().zip([7 + 4, 14 + 8, 16]) {
            assert!((count - 70_000 * of_49 / 49).abs() < 500, "{loaded:?}");
        }
    }

    /// How often A, B and C of weights 1, 2 and 3 are chosen in 70,000 decisions at fixed loads.
    fn shares(active: [u32; 3]) -> [i64; 3] {
        let mut list = servers(&[1, 2, 3]);
        for server in &mut list {
            server.active = active[server.id.0 as usize];
        }
        let mut instance = configured::<Twos>();
        instance.set_servers(list);
        let mut counts = [0; 3];
        for _ in 0..70_000 {
            if let Some(chosen) = instance.schedule(0, &FLOW, []) {
                counts[chosen.0 as usize] += 1;
            }
        }
        counts
    }
}
