//! The same decisions and counters as a real kernel, for every scheduler, in every way to run it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use equipoise_core::Policy;
use equipoise_schedulers::registry::{self, Entry};
use equipoise_tests::data;
use equipoise_tests::truth::{self, Scenario, StateSequence, Tally};
use equipoise_tests::typed::TypedOnly;
use equipoise_wasm::{ComponentPolicy, Engine, Limits};

/// Recorded files of our own, and those of the folder beside the repository or named by the user.
fn recorded(wanted: impl Fn(&str) -> bool + Copy) -> Vec<PathBuf> {
    let own = data::repository().join("tests/fixtures/kernel-truth");
    let mut paths = data::files(&own, |name| {
        name.strip_suffix(".zst").is_some_and(wanted)
    });
    match data::folder("EQUIPOISE_TRUTH", "../shared/kernel-truth") {
        Some(folder) => {
            let anything = |name: &str| name.ends_with(".jsonl") || name == "sched_vectors.txt";
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
    name.ends_with(".jsonl") && name != "tcp-states.jsonl"
}

fn every_scenario(way: &str, policies: &Policies) {
    let mut tally = Tally::default();
    for path in recorded(is_scenarios) {
        for scenario in truth::scenarios(&data::text(&path)) {
            tally.add(truth::run(&scenario, policies.get(&scenario), true));
        }
    }
    println!("{way}\n{}", tally.line());
    assert!(tally.scenarios > 0, "no scenario was run");
    assert!(tally.agrees(), "{way}: {}\n{}", tally.line(), tally.disagreements.join("\n"));
}

/// Each scheduler's policy, made once.
struct Policies(BTreeMap<&'static str, Arc<dyn Policy>>);

impl Policies {
    fn of(make: impl Fn(&'static Entry) -> Arc<dyn Policy>) -> Self {
        Self(registry::all().iter().map(|entry| (entry.name, make(entry))).collect())
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
            let bytes = entry.component.unwrap_or_else(|| panic!("no component of {}", entry.name));
            let policy = ComponentPolicy::load(&engine, bytes, entry.name).expect("a policy");
            assert!(policy.has_batch(), "{} has a packed twin", entry.name);
            Arc::new(policy)
        })
    }

    fn components_typed() -> Self {
        let Self(components) = Self::components();
        let typed = |policy| Arc::new(TypedOnly(policy)) as Arc<dyn Policy>;
        Self(components.into_iter().map(|(name, policy)| (name, typed(policy))).collect())
    }

    fn get(&self, scenario: &Scenario) -> &Arc<dyn Policy> {
        let policy = self.0.get(scenario.scheduler.as_str());
        policy.unwrap_or_else(|| panic!("no policy {}", scenario.scheduler))
    }
}

#[test]
fn conformance_native_one_by_one() {
    every_scenario("native twin, one call for each decision", &Policies::native());
}

#[test]
fn conformance_native_in_batches() {
    every_scenario("native twin, in batches", &Policies::native_packed());
}

#[test]
fn conformance_component_one_by_one() {
    every_scenario("component, one call for each decision", &Policies::components_typed());
}

#[test]
fn conformance_component_in_batches() {
    every_scenario("component, in batches", &Policies::components());
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
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}
