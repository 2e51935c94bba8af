//! Shared by the integration tests: where their data is, the command, and the kernel's recorded
//! decisions.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]
#![deny(missing_docs)]

pub mod command;
pub mod data;
pub mod truth;
pub mod typed;
