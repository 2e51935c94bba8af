//! Ranks from 1 to n, rank k with a probability proportional to `k^-s`.
//!
//! Rejection-inversion (Hörmann and Derflinger 1996): exact, without a table, for any exponent from
//! 0; on average less than two draws.

use super::chance::{Chance, whole};

pub(super) struct Zipf {
    count: f64,
    exponent: f64,
    /// Integrals of the envelope up to half a rank before the first rank's end and up to the last.
    low: f64,
    high: f64,
    /// So near to a rank from above, nothing is rejected.
    near: f64,
}

impl Zipf {
    /// `count` is not 0.
    pub(super) fn new(count: u32, exponent: f64) -> Self {
        let integral = |x| integral(x, exponent);
        Self {
            count: f64::from(count),
            exponent,
            low: integral(1.5) - 1.0,
            high: integral(f64::from(count) + 0.5),
            near: 2.0 - inverse(integral(2.5) - libm::pow(2.0, -exponent), exponent),
        }
    }

    /// A rank, from 0.
    #[inline]
    pub(super) fn draw(&self, chance: &mut Chance) -> u32 {
        loop {
            let under = self.high + chance.unit() * (self.low - self.high);
            let x = inverse(under, self.exponent);
            let rank = (x + 0.5).floor().clamp(1.0, self.count);
            if rank - x <= self.near
                || under >= integral(rank + 0.5, self.exponent) - libm::pow(rank, -self.exponent)
            {
                // At most `count`, which is a u32.
                return whole(rank) as u32 - 1;
            }
        }
    }
}

/// Of `x^-exponent`, from 1 to `x`: `(x^(1 - exponent) - 1) / (1 - exponent)`, also near 1.
fn integral(x: f64, exponent: f64) -> f64 {
    let (log, power) = (libm::log(x), 1.0 - exponent);
    if power.abs() < 1e-9 {
        log
    } else {
        libm::expm1(power * log) / power
    }
}

fn inverse(y: f64, exponent: f64) -> f64 {
    let power = 1.0 - exponent;
    let log = if power.abs() < 1e-9 {
        y
    } else {
        // Rounding may lead a little below where the logarithm ends.
        libm::log1p((power * y).max(-1.0)) / power
    };
    libm::exp(log)
}
