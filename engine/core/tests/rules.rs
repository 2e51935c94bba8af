//! Rules that no recording covers: marks with persistence, port 0, timers, faults and fallbacks.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

#[path = "rules/connections.rs"]
mod connections;
#[path = "rules/faults.rs"]
mod faults;
#[path = "rules/persistence.rs"]
mod persistence;
#[path = "rules/set.rs"]
mod set;
