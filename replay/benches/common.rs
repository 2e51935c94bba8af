//! What the benches share: made traffic, the whole job, and the clock of the processor.
#![expect(
    dead_code,
    reason = "each bench uses its part of what they have in common"
)]

pub(crate) mod cpu;
pub(crate) mod job;
pub(crate) mod traffic;
