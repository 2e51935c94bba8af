//! Ways to feed a director that come to the same: packets by address, by flow, held back and told
//! in sums, and what another director wrote down; over random lives of connections.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

#[path = "alike/follow.rs"]
mod follow;
#[path = "alike/gathered.rs"]
mod gathered;
#[path = "alike/host.rs"]
mod host;
#[path = "alike/lives.rs"]
mod lives;
#[path = "alike/quiet.rs"]
mod quiet;
