//! To be written.

pub mod setup;
