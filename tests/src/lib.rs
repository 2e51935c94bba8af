//! Shared by the integration tests: where their data is, and the kernel's recorded decisions.

pub mod data;
pub mod truth;
