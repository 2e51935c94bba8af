//! The figures of a report from raw counts: shares, evenness, levels over time, quantiles.
//!
//! Counting is integer; floats appear only in the results. It draws nothing and keeps no clock.

mod distribution;
mod gauge;
mod histogram;

pub use distribution::{Distribution, ServerCount, promised_by_weight};
pub use gauge::Gauge;
pub use histogram::Histogram;
