//! Everything random: a generator for each purpose.
//!
//! The same bits on every machine: the generator is a published one (`pcg64_fast`), and of
//! floating point nothing is used but what IEEE 754 rounds exactly and `libm`, which is the same
//! source on every machine.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng as _, SeedableRng as _};

/// What a generator is for: each purpose has its own, so that one key of a model does not change
/// what the others make of the seed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Arrivals,
    Clients,
    Headers,
    Network,
    Requests,
    Sizes,
    Times,
    Flood,
}

pub(super) struct Chance(Pcg64Mcg);

impl Chance {
    pub(super) fn new(seed: u64, purpose: Purpose) -> Self {
        // Odd, so no two purposes of a seed are alike; the generator hashes what it is given.
        let place = (purpose as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(Pcg64Mcg::seed_from_u64(seed ^ place))
    }

    #[inline]
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From 0 to 1, 1 excluded.
    #[inline]
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Of `count` equally likely ones; the error of the multiplication is below 2^-32 for the
    /// counts that there are.
    #[inline]
    pub(super) fn below(&mut self, count: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(count)) >> 32) as u32
    }

    pub(super) fn is(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Exponential with mean 1.
    #[inline]
    pub(super) fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }

    /// Normal with mean 0 and variance 1 (the polar method, Marsaglia and Bray 1964).
    pub(super) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * libm::log(square) / square).sqrt();
            }
        }
    }
}

/// The whole part of what is never negative; what is too large becomes the largest number.
#[inline]
#[expect(clippy::cast_sign_loss, reason = "nothing that is drawn is negative")]
pub(super) fn whole(number: f64) -> u64 {
    number as u64
}
