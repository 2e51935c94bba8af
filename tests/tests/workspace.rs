//! Who may import whom, and what the tree may not hold.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

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
        &[
            "equipoise-core",
            "equipoise-wasm",
            "equipoise-schedulers",
            "equipoise-reports",
        ],
    ),
    (
        "equipoise",
        &[
            "equipoise-wasm",
            "equipoise-schedulers",
            "equipoise-reports",
            "equipoise-replay",
        ],
    ),
    (
        "equipoise-tests",
        &[
            "equipoise-core",
            "equipoise-wasm",
            "equipoise-schedulers",
            "equipoise-replay",
        ],
    ),
    // Without the host of components, which takes minutes to compile.
    ("xtask", &["equipoise-schedulers"]),
];

fn packages() -> Vec<Value> {
    metadata(&["--no-deps"])
}

fn metadata(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args(arguments)
        .current_dir(data::repository())
        .output()
        .expect("cargo");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// The platform that the compiler is for.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("a host")
        .to_owned()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a name")
}

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(name).collect();
    assert_eq!(
        ours,
        allowed.keys().copied().collect(),
        "every crate has its line"
    );
    for package in &packages {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = name(dependency);
            // Kind null is an ordinary dependency, the others are "dev" and "build".
            if ours.contains(to) && dependency["kind"].is_null() {
                assert!(
                    allowed[name(package)].contains(&to),
                    "{} imports {to}",
                    name(package)
                );
            }
        }
    }
}

#[test]
fn only_the_wasm_crate_names_wasmtime() {
    for package in packages() {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let is_host = name(&package) == "equipoise-wasm";
            assert!(
                is_host || name(dependency) != "wasmtime",
                "{}",
                name(&package)
            );
        }
    }
}

#[test]
fn every_built_in_policy_has_its_component() {
    for entry in equipoise_schedulers::registry::all() {
        assert!(
            entry.component.is_some(),
            "{}: cargo xtask policies {0}",
            entry.name
        );
    }
}

/// What `cargo deny check licenses` asks, without having to install it.
#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let rules = std::fs::read_to_string(data::repository().join("deny.toml")).expect("deny.toml");
    let (_, list) = rules.split_once("allow = [").expect("a list");
    let (list, _) = list.split_once(']').expect("its end");
    let allowed: BTreeSet<&str> = list
        .split(',')
        .map(|name| name.trim().trim_matches('"'))
        .filter(|n| !n.is_empty())
        .collect();
    let is_allowed = |licence: &str| {
        // Older crates write `/` for OR.
        let expression = licence.replace('/', " OR ");
        expression.split(" OR ").any(|choice| {
            choice
                .split(" AND ")
                .all(|name| allowed.contains(name.trim_matches([' ', '(', ')'])))
        })
    };
    // Of other platforms cargo has nothing on disk.
    let packages = metadata(&["--filter-platform", &host()]);
    assert!(packages.len() > 50, "dependencies are listed");
    for package in &packages {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(
            is_allowed(licence),
            "{}: {licence} is not in deny.toml",
            name(package)
        );
    }
}

#[test]
fn library_crates_deny_missing_docs() {
    for package in packages() {
        for target in package["targets"].as_array().expect("targets") {
            let is_library = target["kind"]
                .as_array()
                .is_some_and(|kind| kind.contains(&"lib".into()));
            if is_library {
                let path = target["src_path"].as_str().expect("a path");
                let source = std::fs::read_to_string(path).expect("the crate's root");
                assert!(source.contains("#![deny(missing_docs)]"), "{path}");
            }
        }
    }
}
