//! Checks a policy against recorded decisions, through both doors of the contract.

#![expect(
    clippy::expect_used,
    reason = "a test ends where its input is malformed"
)]

#[path = "../tests/common/interpreter.rs"]
mod interpreter;

use equipoise_core::{
    Address, Family, Flow, Parameter, Policy, Protocol, Scheduler, Server, ServerId,
    ServiceIdentity, Timestamp,
};

use crate::native::NativePolicy;
use crate::sdk::{Algorithm, Instance};
use interpreter::{Door, play};

pub(crate) const SERVICE: ServiceIdentity = ServiceIdentity {
    family: Family::Ipv4,
    address: Address::v4(0x0a00_0001),
    port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};

pub(crate) const FLOW: Flow = Flow {
    client: Address::v4(0x0102_0304),
    client_port: 1000,
    destination: SERVICE.address,
    destination_port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};

/// Idle servers 10.0.0.1, .2, … of these weights, added in this order.
pub(crate) fn servers(weights: &[u32]) -> Vec<Server> {
    let server = |(id, weight): (usize, &u32)| Server {
        id: ServerId(id as u32),
        address: Address::v4(0x0a00_0001 + id as u32),
        port: 80,
        weight: *weight,
        active: 0,
        inactive: 0,
        status: 0,
    };
    weights.iter().enumerate().map(server).rev().collect()
}

/// An instance with defaults.
pub(crate) fn configured<A: Algorithm>() -> Instance<A> {
    Instance::configure(0, &SERVICE, &[], 3).expect("defaults are accepted")
}

/// `ops` must give `expected`, typed and in batches; the notation is the interpreter's.
pub(crate) fn check<A: Algorithm + Send + 'static>(ops: &str, expected: &str) {
    check_with::<A>(&[], ops, expected);
}

/// As [`check`], with parameters.
pub(crate) fn check_with<A: Algorithm + Send + 'static>(
    parameters: &[(&str, &str)],
    ops: &str,
    expected: &str,
) {
    let start = |now: Timestamp| -> Box<dyn Scheduler> { start::<A>(now, parameters) };
    for door in [Door::Typed, Door::Batch] {
        let chosen: String = play(&start, door, ops);
        assert_eq!(chosen, expected, "{} {door:?}: {ops}", A::NAME);
    }
}

fn start<A: Algorithm + Send + 'static>(
    now: Timestamp,
    parameters: &[(&str, &str)],
) -> Box<dyn Scheduler> {
    let parameter = |(key, value): &(&str, &str)| Parameter {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    let parameters: Vec<Parameter> = parameters.iter().map(parameter).collect();
    let started = NativePolicy::<A>::NEW.start(now, &SERVICE, &parameters, 1);
    started.expect("parameters are accepted")
}
