//! Components decide as their native twins: those in the repository, and those that `cargo xtask
//! policies --check` has built by another compiler and put where `EQUIPOISE_REBUILT` says.
//!
//! What happens to policies here is made up call by call; `parity` has them behind a director.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

#[path = "rebuilt/life.rs"]
mod life;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use equipoise_core::{Parameter, Policy};
use equipoise_schedulers::registry::{self, Entry};
use equipoise_schedulers::sdk::Accepts;
use equipoise_tests::data;
use equipoise_wasm::{ComponentPolicy, Engine, Limits};

const STEPS: usize = 20_000;
/// The policy in C, whose native twin is the one in Rust.
const C_WLC: &str = "c/wlc";

#[test]
fn every_component_decides_as_its_native_twin() {
    for entry in registry::all() {
        let decisions = same_decisions(entry, &[committed(entry.name)]).expect("the same");
        assert!(decisions > STEPS, "{}: {decisions}", entry.name);
    }
}

#[test]
fn wlc_in_c_decides_as_wlc_in_rust() {
    same_decisions(entry("wlc"), &[committed(C_WLC)]).expect("the same");
}

#[test]
fn different_policies_are_told_apart() {
    let error = same_decisions(entry("wlc"), &[committed("lc")]).expect_err("others");
    assert!(format!("{error:#}").contains("decision"), "{error:#}");
}

#[test]
fn rebuilt_components_decide_as_the_committed_ones() {
    let Some(folder) = std::env::var_os("EQUIPOISE_REBUILT").map(PathBuf::from) else {
        println!("skipped: EQUIPOISE_REBUILT names no folder of rebuilt components");
        return;
    };
    let mut compared = 0;
    let names = registry::all().iter().map(|entry| entry.name);
    for name in names.chain([C_WLC]) {
        let rebuilt = component(&folder, name);
        if rebuilt.is_file() {
            let twin = entry(name.trim_start_matches("c/"));
            let decisions = same_decisions(twin, &[committed(name), rebuilt]).expect("the same");
            println!("{name}: the same {decisions} decisions");
            compared += 1;
        }
    }
    assert!(compared > 0, "{} has no component", folder.display());
}

/// Compares components with the native twin; how many decisions were compared.
fn same_decisions(entry: &Entry, components: &[PathBuf]) -> Result<usize> {
    let engine = Engine::new(Limits::default())?;
    let mut loaded = Vec::new();
    for path in components {
        let name = path.display().to_string();
        let bytes = fs::read(path).with_context(|| name.clone())?;
        loaded.push(ComponentPolicy::load(&engine, &bytes, &name)?);
    }
    let others: Vec<(&str, &dyn Policy)> = loaded
        .iter()
        .map(|component| (component.name(), component as &dyn Policy))
        .collect();
    let mut decisions = 0;
    for parameters in variants(entry) {
        for seed in 0..4 {
            decisions += life::alike(entry.native, &others, &parameters, seed, STEPS)
                .with_context(|| format!("{} with {parameters:?}", entry.name))?;
        }
    }
    ensure!(decisions > 0, "{}: nothing was compared", entry.name);
    Ok(decisions)
}

/// No parameters, and every one of them with something else than its default.
fn variants(entry: &Entry) -> Vec<Vec<Parameter>> {
    let mut variants = vec![Vec::new()];
    for spec in entry.parameters {
        let value = match spec.accepts {
            Accepts::Switch => String::from("true"),
            Accepts::Number { min, max, default } => {
                (if default == min { max } else { min }).to_string()
            }
            Accepts::OneOf(words) => words.last().copied().unwrap_or_default().to_owned(),
        };
        let key = spec.key.to_owned();
        variants.push(vec![Parameter { key, value }]);
    }
    variants
}

fn entry(name: &str) -> &'static Entry {
    registry::find(name).expect("a policy of this name")
}

fn committed(name: &str) -> PathBuf {
    component(&data::repository().join("schedulers/components"), name)
}

fn component(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.wasm"))
}
