//! Captures to packets, packets to connections, connections to runs, runs to facts.
//!
//! Owns reading, decoding, tracking, the set-up that the user wrote, and the simulation. Does not
//! render reports or parse a command line.

#![deny(missing_docs)]

pub mod capture;
mod decisions;
pub mod decode;
mod feed;
pub mod inspect;
mod leader;
mod meter;
pub mod policy;
mod record;
pub mod replay;
pub mod request;
mod run;
pub mod scenario;
pub mod setup;
pub mod shell;
mod summary;
pub mod synth;
pub mod table;
mod toml_text;
pub mod trace;
pub mod track;
pub mod transform;

pub use decisions::{Decisions, DecisionsError};
