//! The same decisions and counters as a real kernel, for every scheduler, in every way to run it.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

#[path = "../../schedulers/tests/common/interpreter.rs"]
mod interpreter;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use equipoise_core::{
    Address, Family, Parameter, Policy, Protocol, Scheduler, ServiceIdentity, Timestamp,
};
use equipoise_schedulers::registry::{self, Entry};
use equipoise_tests::data;
use equipoise_tests::truth::{self, StateSequence, Tally};
use equipoise_tests::typed::TypedOnly;
use equipoise_wasm::{ComponentPolicy, Engine, Limits};
use interpreter::{Door, play};

/// Recorded files of our own, and those of the folder beside the repository or named by the user.
fn recorded(wanted: impl Fn(&str) -> bool + Copy) -> Vec<PathBuf> {
    let fixtures = data::repository().join("tests/fixtures");
    let own = |folder: &Path| {
        data::files(folder, |name| {
            wanted(name.strip_suffix(".zst").unwrap_or(name))
        })
    };
    let mut paths = own(&fixtures.join("kernel-truth"));
    paths.extend(own(&fixtures));
    match data::folder("EQUIPOISE_TRUTH", "../shared/kernel-truth") {
        Some(folder) => {
            let anything = |name: &str| is_json_lines(name) || name == "sched_vectors.txt";
            assert!(
                !data::files(&folder, anything).is_empty(),
                "{} holds no *.jsonl and no sched_vectors.txt",
                folder.display()
            );
            paths.extend(data::files(&folder, wanted));
        }
        None => println!("no folder of recorded decisions beside the repository: fixtures only"),
    }
    paths
}

fn is_scenarios(name: &str) -> bool {
    is_json_lines(name) && name != "tcp-states.jsonl"
}

fn is_json_lines(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "jsonl")
}

fn conclude(way: &str, tally: &Tally) {
    println!("{way}\n{}", tally.line());
    assert!(
        tally.agrees(),
        "{way}: {}\n{}",
        tally.line(),
        tally.disagreements.join("\n")
    );
}

/// Every scenario through the director.
fn every_scenario(way: &str, policies: &Policies) {
    let mut tally = Tally::default();
    for path in recorded(is_scenarios) {
        for scenario in truth::scenarios(&data::text(&path)) {
            tally.add(truth::run(
                &scenario,
                policies.get(&scenario.scheduler),
                true,
            ));
        }
    }
    assert!(tally.scenarios > 0, "no scenario was run");
    conclude(way, &tally);
}

const VECTOR_SERVICE: ServiceIdentity = ServiceIdentity {
    family: Family::Ipv4,
    address: Address::v4(0x0a00_0001),
    port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};

/// Every line of `sched_vectors.txt` through the contract itself.
fn every_vector(way: &str, policies: &Policies, door: Door) {
    let mut tally = Tally::default();
    for path in recorded(|name| name == "sched_vectors.txt") {
        for line in data::text(&path)
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let fields: Vec<&str> = line.split('|').collect();
            let &[name, flags, ops, expected] = &fields[..] else {
                panic!("not a vector: {line}")
            };
            let parameters = flag_parameters(name, flags);
            let start = |now: Timestamp| -> Box<dyn Scheduler> {
                let started = policies
                    .get(name)
                    .start(now, &VECTOR_SERVICE, &parameters, 0);
                started.expect("parameters are accepted")
            };
            tally.vector(line, expected, &play(&start, door, ops));
        }
    }
    assert!(tally.scenarios > 0, "no vector was played");
    conclude(way, &tally);
}

/// SCHED1 and SCHED2 of the kernel are the fallback and port flags of sh and mh.
fn flag_parameters(name: &str, flags: &str) -> Vec<Parameter> {
    let bits = u32::from_str_radix(flags.trim_start_matches("0x"), 16).expect("hexadecimal flags");
    [(0x8, "fallback"), (0x10, "port")]
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, switch)| Parameter {
            key: format!("{name}-{switch}"),
            value: "true".to_owned(),
        })
        .collect()
}

/// Each scheduler's policy, made once.
struct Policies(BTreeMap<&'static str, Arc<dyn Policy>>);

impl Policies {
    fn of(make: impl Fn(&'static Entry) -> Arc<dyn Policy>) -> Self {
        Self(
            registry::all()
                .iter()
                .map(|entry| (entry.name, make(entry)))
                .collect(),
        )
    }

    fn native() -> Self {
        Self::of(|entry| Arc::new(TypedOnly(Arc::new(entry.native))))
    }

    fn native_packed() -> Self {
        Self::of(|entry| Arc::new(entry.native))
    }

    fn components() -> Self {
        let engine = Engine::new(Limits::default()).expect("an engine");
        Self::of(|entry| {
            let bytes = entry
                .component
                .unwrap_or_else(|| panic!("no component of {}", entry.name));
            let policy = ComponentPolicy::load(&engine, bytes, entry.name).expect("a policy");
            assert_ne!(policy.has_batch(), entry.reads_requests, "{}", entry.name);
            assert_eq!(policy.reads_requests(), entry.reads_requests);
            Arc::new(policy)
        })
    }

    fn components_typed() -> Self {
        let Self(components) = Self::components();
        let typed = |policy| Arc::new(TypedOnly(policy)) as Arc<dyn Policy>;
        Self(
            components
                .into_iter()
                .map(|(name, policy)| (name, typed(policy)))
                .collect(),
        )
    }

    fn get(&self, scheduler: &str) -> &Arc<dyn Policy> {
        self.0
            .get(scheduler)
            .unwrap_or_else(|| panic!("no policy {scheduler}"))
    }
}

#[test]
fn conformance_native_one_by_one() {
    every_scenario(
        "native twin, one call for each decision",
        &Policies::native(),
    );
}

#[test]
fn conformance_native_in_batches() {
    every_scenario("native twin, in batches", &Policies::native_packed());
}

#[test]
fn conformance_component_one_by_one() {
    every_scenario(
        "component, one call for each decision",
        &Policies::components_typed(),
    );
}

#[test]
fn conformance_component_in_batches() {
    every_scenario("component, in batches", &Policies::components());
}

#[test]
fn conformance_vectors() {
    every_vector(
        "native twin, typed vectors",
        &Policies::native(),
        Door::Typed,
    );
    every_vector(
        "native twin, packed vectors",
        &Policies::native_packed(),
        Door::Batch,
    );
    every_vector(
        "component, typed vectors",
        &Policies::components_typed(),
        Door::Typed,
    );
    every_vector(
        "component, packed vectors",
        &Policies::components(),
        Door::Batch,
    );
}

#[test]
fn conformance_tcp_states() {
    let policy: Arc<dyn Policy> = Arc::new(registry::find("rr").expect("rr").native);
    let mut count = 0;
    let mut wrong = Vec::new();
    for path in recorded(|name| name == "tcp-states.jsonl") {
        for line in data::text(&path).lines() {
            let sequence: StateSequence = serde_json::from_str(line).expect("a sequence");
            count += 1;
            wrong.extend(sequence.check(&policy).err());
        }
    }
    println!("{} of {count} state sequences agree", count - wrong.len());
    assert!(count > 0);
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
}
