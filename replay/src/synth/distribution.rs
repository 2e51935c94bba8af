//! How sizes and times are distributed: as it is written, and drawn.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::chance::Chance;
use super::number::{Amount, Positive, Shape, Sigma};

/// How an amount is distributed: a number, which it always is, or a distribution with its keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Fixed(Amount),
    /// All between two amounts alike.
    Uniform(Uniform),
    /// Many small, few large.
    Exponential(Exponential),
    /// The logarithm is normal; what is above `max` is drawn again.
    Lognormal(Lognormal),
    /// Bounded Pareto: the heavy tail, cut off.
    Pareto(Pareto),
}

/// The distribution without memory.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    mean: Positive,
}

/// All amounts from `min` to `max` alike.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "UniformKeys")]
pub struct Uniform {
    min: f64,
    max: f64,
}

/// The logarithm is normal, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "LognormalKeys")]
pub struct Lognormal {
    median: f64,
    sigma: f64,
    max: f64,
}

/// Density proportional to `x^(-shape - 1)` from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "ParetoKeys")]
pub struct Pareto {
    shape: f64,
    min: f64,
    max: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UniformKeys {
    min: Amount,
    max: Amount,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LognormalKeys {
    median: Positive,
    sigma: Sigma,
    max: Positive,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParetoKeys {
    shape: Shape,
    min: Positive,
    max: Positive,
}

impl TryFrom<UniformKeys> for Uniform {
    type Error = String;

    fn try_from(keys: UniformKeys) -> Result<Self, String> {
        let (min, max) = (keys.min.get(), keys.max.get());
        above("min", min, max)?;
        Ok(Self { min, max })
    }
}

impl TryFrom<LognormalKeys> for Lognormal {
    type Error = String;

    fn try_from(keys: LognormalKeys) -> Result<Self, String> {
        let (median, max) = (keys.median.get(), keys.max.get());
        // So that at least every second one that is drawn is taken.
        above("median", median, max)?;
        Ok(Self {
            median,
            sigma: keys.sigma.get(),
            max,
        })
    }
}

impl TryFrom<ParetoKeys> for Pareto {
    type Error = String;

    fn try_from(keys: ParetoKeys) -> Result<Self, String> {
        let (min, max) = (keys.min.get(), keys.max.get());
        above("min", min, max)?;
        Ok(Self {
            shape: keys.shape.get(),
            min,
            max,
        })
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Kind {
    Uniform,
    Exponential,
    Lognormal,
    Pareto,
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Distribution;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or one of uniform, exponential, lognormal and pareto with its keys")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Distribution, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Distribution, E> {
        Amount::try_from(number)
            .map(Distribution::Fixed)
            .map_err(E::custom)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Distribution, M::Error> {
        let Some(kind) = map.next_key()? else {
            return Err(M::Error::invalid_length(0, &self));
        };
        let distribution = match kind {
            Kind::Uniform => Distribution::Uniform(map.next_value()?),
            Kind::Exponential => Distribution::Exponential(map.next_value()?),
            Kind::Lognormal => Distribution::Lognormal(map.next_value()?),
            Kind::Pareto => Distribution::Pareto(map.next_value()?),
        };
        match map.next_key::<Kind>()? {
            None => Ok(distribution),
            Some(_) => Err(M::Error::invalid_length(2, &self)),
        }
    }
}

fn above(name: &str, low: f64, max: f64) -> Result<(), String> {
    if max > low {
        return Ok(());
    }
    Err(format!("max is {max}: it has to be above {name}, {low}"))
}

impl Distribution {
    #[inline]
    pub(super) fn draw(&self, chance: &mut Chance) -> f64 {
        match self {
            Self::Fixed(amount) => amount.get(),
            Self::Uniform(Uniform { min, max }) => min + (max - min) * chance.unit(),
            Self::Exponential(Exponential { mean }) => mean.get() * chance.exponential(),
            Self::Lognormal(Lognormal { median, sigma, max }) => loop {
                let drawn = median * libm::exp(sigma * chance.normal());
                if drawn <= *max {
                    return drawn;
                }
            },
            Self::Pareto(Pareto { shape, min, max }) => {
                // The distribution function, inverted.
                let cut = 1.0 - libm::pow(min / max, *shape);
                let drawn = min * libm::pow(1.0 - chance.unit() * cut, -1.0 / shape);
                drawn.clamp(*min, *max)
            }
        }
    }

    /// The mean, of a lognormal one as if there were no other end than `max` for it.
    pub(super) fn mean(&self) -> f64 {
        match *self {
            Self::Fixed(amount) => amount.get(),
            Self::Uniform(Uniform { min, max }) => f64::midpoint(min, max),
            Self::Exponential(Exponential { mean }) => mean.get(),
            Self::Lognormal(Lognormal { median, sigma, max }) => {
                (median * libm::exp(sigma * sigma / 2.0)).min(max)
            }
            Self::Pareto(Pareto { shape, min, max }) => {
                let cut = 1.0 - libm::pow(min / max, shape);
                // The integral of x^-shape from min to max.
                let power = 1.0 - shape;
                let integral = if power.abs() < 1e-9 {
                    libm::log(max / min)
                } else {
                    (libm::pow(max, power) - libm::pow(min, power)) / power
                };
                shape * libm::pow(min, shape) * integral / cut
            }
        }
    }
}
