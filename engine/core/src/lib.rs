//! What IPVS does, as a pure state machine: virtual services, real servers in the kernel's list
//! order, connections with their states and timers, persistence templates, thresholds.
//!
//! Owns the rules. Does not open sockets or files, read a clock or draw random numbers: time,
//! packets and seeds come in as values. Does not choose real servers: a [`Scheduler`] does.
#![no_std]
#![deny(missing_docs)]

extern crate alloc;

mod address;
pub mod batch;
mod config;
mod packet;
mod scheduler;
mod types;

pub use address::Address;
pub use config::{
    Endpoint, ForwardingMethod, KernelProfile, Persistence, ServerConfig, ServiceConfig,
    ServiceKey, Sysctls, Timeouts,
};
pub use packet::{Packet, TcpFlags};
pub use scheduler::{Fault, Policy, Scheduler};
pub use types::{
    Family, Flow, Load, Needs, Parameter, Protocol, STATUS_OVERLOADED, Server, ServerId,
    ServiceIdentity, Timestamp,
};
