//! Values of a scenario as they are written.

use serde::Deserialize;

use crate::transform::Bound;

/// A time of the trace, or a duration since its first packet.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Moment(pub(super) Bound);

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bound = text.parse::<Bound>();
        bound
            .map(Self)
            .map_err(|error| format!("`{text}` is not {error}"))
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
