//! Who may import whom, and what the tree may not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use equipoise_tests::data;
use serde_json::Value;

/// What each crate may import of ours, tests aside.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("equipoise-core", &[]),
    ("equipoise-wasm", &["equipoise-core"]),
    ("equipoise-schedulers", &["equipoise-core"]),
    ("equipoise-reports", &[]),
    (
        "equipoise-replay",
        &["equipoise-core", "equipoise-wasm", "equipoise-schedulers", "equipoise-reports"],
    ),
    (
        "equipoise",
        &["equipoise-wasm", "equipoise-schedulers", "equipoise-reports", "equipoise-replay"],
    ),
    ("equipoise-tests", &["equipoise-core", "equipoise-wasm", "equipoise-schedulers", "equipoise-replay"]),
    ("xtask", &["equipoise-core", "equipoise-wasm", "equipoise-schedulers"]),
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(data::repository())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a name")
}

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(name).collect();
    assert_eq!(ours, allowed.keys().copied().collect(), "every crate has its line");
    for package in &packages {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = name(dependency);
            // Kind null is an ordinary dependency, the others are "dev" and "build".
            if ours.contains(to) && dependency["kind"].is_null() {
                assert!(allowed[name(package)].contains(&to), "{} imports {to}", name(package));
            }
        }
    }
}

#[test]
fn only_the_wasm_crate_names_wasmtime() {
    for package in packages() {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let is_host = name(&package) == "equipoise-wasm";
            assert!(is_host || name(dependency) != "wasmtime", "{}", name(&package));
        }
    }
}

#[test]
fn every_built_in_policy_has_its_component() {
    for entry in equipoise_schedulers::registry::all() {
        assert!(entry.component.is_some(), "{}: cargo xtask policies {0}", entry.name);
    }
}
