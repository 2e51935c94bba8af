//! One file for each command.

pub(crate) mod policy;
pub(crate) mod replay;
