//! How derived figures are written: rounded to six decimals, so that bytes are stable.

use serde::Serializer;

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
pub(super) fn write<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(round(*value))
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
pub(super) fn write_option<S: Serializer>(
    value: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.serialize_some(&round(*value)),
        None => serializer.serialize_none(),
    }
}

/// To six decimals.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
