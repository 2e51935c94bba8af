//! Numbers of a model that are in range from the moment they are read, so that what is wrong is
//! told at its place in the text.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A number that is not what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {accepts}, not {given}")]
pub struct OutOfRange {
    what: &'static str,
    accepts: &'static str,
    given: String,
}

macro_rules! numbers {
    ($($(#[$doc:meta])+ $name:ident: $what:literal, $accepts:literal, $is_in:expr;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
        #[serde(try_from = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The number itself.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;

            fn try_from(number: f64) -> Result<Self, OutOfRange> {
                let is_in: fn(f64) -> bool = $is_in;
                if is_in(number) {
                    Ok(Self(number))
                } else {
                    Err(OutOfRange {
                        what: $what,
                        accepts: $accepts,
                        given: format!("{number:?}"),
                    })
                }
            }
        }

        impl FromStr for $name {
            type Err = OutOfRange;

            fn from_str(text: &str) -> Result<Self, OutOfRange> {
                let number = text.parse::<f64>().map_err(|_| OutOfRange {
                    what: $what,
                    accepts: $accepts,
                    given: format!("`{text}`"),
                })?;
                Self::try_from(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

// NaN is in no range.
numbers! {
    /// Of connections, a second.
    Rate: "a rate", "a number above 0 and up to 1e9 a second", |n| n > 0.0 && n <= 1e9;
    /// A point in time since the beginning, or a span that may be empty.
    Seconds: "a time", "a number of seconds from 0 to 1e9", |n| (0.0..=1e9).contains(&n);
    /// A span of time that is not empty.
    Span: "a span of time", "a number of seconds from 1e-6 to 1e9", |n| (1e-6..=1e9).contains(&n);
    /// A part of a whole.
    Share: "a share", "a number from 0 to 1", |n| (0.0..=1.0).contains(&n);
    /// Exponent of a Zipf distribution: 0 makes all ranks alike.
    Exponent: "a zipf exponent", "a number from 0 to 10", |n| (0.0..=10.0).contains(&n);
    /// How often as many as usual.
    Factor: "a factor", "a number from 1 to 1e6", |n| (1.0..=1e6).contains(&n);
    /// Bytes, seconds or requests.
    Amount: "an amount", "a number from 0 to 1e12", |n| (0.0..=1e12).contains(&n);
    /// Bytes, seconds or requests, and not none.
    Positive: "an amount", "a number above 0 and up to 1e12", |n| n > 0.0 && n <= 1e12;
    /// Standard deviation of a logarithm.
    Sigma: "sigma", "a number above 0 and up to 10", |n| n > 0.0 && n <= 10.0;
    /// Shape of a Pareto distribution, often called alpha.
    Shape: "a shape", "a number from 0.01 to 100", |n| (0.01..=100.0).contains(&n);
}

macro_rules! known {
    ($($name:ident)+) => {$(
        impl $name {
            /// A number that is known to be in range.
            pub(super) const fn known(number: f64) -> Self {
                Self(number)
            }
        }
    )+};
}

known!(Rate Seconds Share Exponent Amount);
