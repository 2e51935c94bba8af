//! The policies, one file each, and the SDK that they are written against.
//!
//! Each policy is compiled twice from the same source: natively (the twin, and the oracle that
//! components are held to) and inside its WebAssembly component. Both go through
//! [`sdk::Instance`], so they decide alike by construction. Owns algorithms and their state; does
//! not count connections, validate answers or know of component bindings.
#![cfg_attr(not(test), no_std)]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

extern crate alloc;

mod arithmetic;
mod least;
mod locality;
pub mod native;
mod overhead;
pub mod policies;
pub mod registry;
pub mod sdk;
#[cfg(test)]
mod testing;
