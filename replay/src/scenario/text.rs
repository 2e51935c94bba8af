//! Values of a scenario as they are written.

use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::transform::Bound;

/// A time of the trace, or a duration since its first packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(pub(super) Bound);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(OfMoment)
    }
}

struct OfMoment;

impl<'de> Visitor<'de> for OfMoment {
    type Value = Moment;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a time or a duration in quotes, such as \"90s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
        let bound = text.parse::<Bound>();
        bound
            .map(Moment)
            .map_err(|error| E::custom(format!("`{text}` is not {error}")))
    }

    /// TOML has dates and times of its own, and they come as this.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Moment, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Err(A::Error::custom("put the time in quotes"))
    }
}

/// In nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Duration(pub(super) u64);

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(Bound::After(ns)) => Ok(Self(ns)),
            _ => Err(format!("`{text}` is not a duration such as 90s or 1h30m")),
        }
    }
}

/// How many times as long something takes, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Factor(u32);

impl Factor {
    /// In thousandths.
    pub(crate) const ONE: i128 = 1_000;

    /// From 1 to 100, to a thousandth.
    pub(crate) fn new(factor: f64) -> Option<Self> {
        #[expect(clippy::cast_sign_loss, reason = "it is at least 1")]
        let thousandths = || (factor * 1_000.0).round() as u32;
        (1.0..=100.0).contains(&factor).then(|| Self(thousandths()))
    }

    pub(crate) const fn thousandths(self) -> i128 {
        self.0 as i128
    }
}

impl Default for Factor {
    fn default() -> Self {
        Self(1_000)
    }
}

impl TryFrom<f64> for Factor {
    type Error = String;

    fn try_from(factor: f64) -> Result<Self, String> {
        Self::new(factor).ok_or_else(|| format!("{factor} is none of 1 to 100"))
    }
}

impl std::fmt::Display for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1_000.0)
    }
}
