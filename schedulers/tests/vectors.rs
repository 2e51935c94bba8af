//! Every recorded vector, through the native twins and both doors of the contract.

#![expect(
    clippy::expect_used,
    reason = "a test ends where its input is malformed"
)]

#[path = "common/interpreter.rs"]
mod interpreter;

use equipoise_core::{Address, Family, Parameter, Protocol, Scheduler, ServiceIdentity, Timestamp};
use equipoise_schedulers::registry;
use interpreter::{Door, play};

const VECTORS: &str = include_str!("../../tests/fixtures/sched_vectors.txt");
const SERVICE: ServiceIdentity = ServiceIdentity {
    family: Family::Ipv4,
    address: Address::v4(0x0a00_0001),
    port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};

#[test]
fn native_twins_decide_as_recorded() {
    let mut played = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('|');
        let mut field = || fields.next().expect("four fields");
        let (name, flags, ops, expected) = (field(), field(), field(), field());
        let entry = registry::find(name).expect("a policy of this name");
        let parameters = parameters(name, flags);
        let start = |now: Timestamp| -> Box<dyn Scheduler> {
            let started = entry.native.start(now, &SERVICE, &parameters, 0);
            started.expect("parameters are accepted")
        };
        for door in [Door::Typed, Door::Batch] {
            assert_eq!(play(&start, door, ops), expected, "{door:?}: {line}");
        }
        played += 1;
    }
    assert_eq!(played, 311);
}

fn parameters(name: &str, flags: &str) -> Vec<Parameter> {
    let bits = u32::from_str_radix(flags.trim_start_matches("0x"), 16).expect("hexadecimal flags");
    let switches = [(0x8, "fallback"), (0x10, "port")];
    let given = switches.iter().filter(|(bit, _)| bits & bit != 0);
    given
        .map(|(_, switch)| Parameter {
            key: format!("{name}-{switch}"),
            value: "true".to_owned(),
        })
        .collect()
}
