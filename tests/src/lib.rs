//! Shared by the integration tests: where their data is, the command, and the kernel's recorded
//! decisions.

#![deny(missing_docs)]

pub mod command;
pub mod data;
pub mod truth;
pub mod typed;
