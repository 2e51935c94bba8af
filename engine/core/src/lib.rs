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
mod connections;
mod director;
mod lookup;
mod observer;
mod packet;
mod request;
mod scheduler;
mod server;
mod service;
mod tcp;
mod types;

pub use address::Address;
pub use config::{
    Endpoint, ForwardingMethod, KernelProfile, Persistence, ServerConfig, ServiceConfig,
    ServiceKey, Sysctls, Timeouts,
};
pub use connections::{FlowId, Traffic};
pub use director::{
    CannotCreate, ConfigError, ConnectionView, Director, LeaderTable, Message, Outcome, Quiet,
    QuietSide, Script, ServerView, Settings, Table, TemplateKey, TemplateMessage,
};
pub use observer::{Counters, Decision, FaultReport, Observer, Reason, Refusal, ServiceIndex, Tag};
pub use packet::{Packet, TcpFlags};
pub use request::Request;
pub use scheduler::{Fault, Policy, Scheduler};
pub use service::Scheduling;
pub use tcp::State;
pub use types::{
    Family, Flow, Load, Needs, Parameter, Protocol, STATUS_OVERLOADED, Server, ServerId,
    ServiceIdentity, Timestamp,
};
