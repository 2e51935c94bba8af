//! Runs a policy component behind the engine's `Scheduler` seam.
//!
//! Owns everything about WebAssembly: what a component must look like, its limits, its faults, the
//! cache of compiled code. The only crate that names wasmtime. Does not judge answers beyond their
//! number (the engine core checks servers and weights) and does not decide what follows a fault.
//!
//! A component gets nothing from its host: no WASI, no import of any kind, a capped memory, and a
//! watchdog on every call. NaNs are canonical and relaxed SIMD is refused, so that the same calls
//! give the same answers on every machine.
#![deny(missing_docs)]

mod budget;
mod cache;
mod contract;
mod engine;
mod error;
mod fault;
mod policy;
mod scheduler;
mod shape;

pub use cache::CodeCache;
pub use contract::VERSION as CONTRACT_VERSION;
pub use engine::{Engine, Limits, Watchdog};
pub use error::LoadError;
pub use policy::{ComponentPolicy, Digest};
