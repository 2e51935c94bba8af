//! The report: its model (plain data, versioned JSON) and its renderers (table, CSV, SVG).
//!
//! It renders what it is given: it replays nothing, decides nothing and imports no other crate of
//! the workspace. The same report gives the same bytes, whatever made it; what was measured with a
//! clock stands apart ([`Report::measured`]) and is rendered only on request.

#![deny(missing_docs)]
#![cfg_attr(
    test,
    expect(clippy::unwrap_used, reason = "a failed step fails the test")
)]

pub mod decisions;
pub mod inspect;
pub mod model;
pub mod output;
pub mod plot;
pub mod runs;
pub mod stats;
pub mod table;
pub mod timeline;

pub use model::Report;
