//! Requests out of captures: real ones, made ones, cut ones, and streams in any order.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "requests/decided.rs"]
mod decided;
#[path = "requests/made.rs"]
mod made;
#[path = "requests/oddities.rs"]
mod oddities;
#[path = "requests/order.rs"]
mod order;
#[path = "requests/payload.rs"]
mod payload;
#[path = "requests/tables.rs"]
mod tables;
