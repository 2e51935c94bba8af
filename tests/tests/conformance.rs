//! The same decisions and counters as a real kernel, for every scheduler, in every way to run it.

use std::path::PathBuf;
use std::sync::Arc;

use equipoise_core::Policy;
use equipoise_schedulers::registry;
use equipoise_tests::data;
use equipoise_tests::truth::{self, Scenario, StateSequence, Tally};

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

fn every_scenario(batching: bool, policy_of: impl Fn(&Scenario) -> Option<Arc<dyn Policy>>) -> Tally {
    let mut tally = Tally::default();
    for path in recorded(is_scenarios) {
        for scenario in truth::scenarios(&data::text(&path)) {
            if let Some(policy) = policy_of(&scenario) {
                tally.add(truth::run(&scenario, &policy, batching));
            }
        }
    }
    tally
}

fn conclude(way: &str, tally: &Tally) {
    println!("{way}\n{}", tally.line());
    assert!(tally.scenarios > 0, "no scenario was run");
    assert!(tally.agrees(), "{way}: {}\n{}", tally.line(), tally.disagreements.join("\n"));
}

fn native(scenario: &Scenario) -> Option<Arc<dyn Policy>> {
    let entry = registry::find(&scenario.scheduler);
    if entry.is_none() { return None } //TMP
    Some(Arc::new(entry.unwrap_or_else(|| panic!("no policy {}", scenario.scheduler)).native))
}

#[test]
fn conformance_native_one_by_one() {
    conclude("native twin, one call for each decision", &every_scenario(false, native));
}

#[test]
fn conformance_native_in_batches() {
    conclude("native twin, in batches", &every_scenario(true, native));
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
