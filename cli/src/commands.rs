//! One file for each command.

pub(crate) mod extract;
pub(crate) mod inspect;
pub(crate) mod policy;
pub(crate) mod replay;
pub(crate) mod synth;
