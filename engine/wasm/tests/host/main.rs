//! The host against guests of all kinds.

mod cache;
mod contract;
mod guests;
mod misbehaving;
mod shape;
