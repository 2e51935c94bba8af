//! The host against guests of all kinds.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step fails the test"
)]

mod cache;
mod contract;
mod guests;
mod misbehaving;
mod shape;
