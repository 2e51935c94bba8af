//! To be written.

pub mod capture;
pub mod decode;
pub mod setup;
pub mod trace;
pub mod track;
