//! Policies that fail while they decide: their run ends, or a fallback decides; the others finish.

use std::fmt::Write as _;

use std::collections::BTreeMap;

use crate::guests::guest;
use crate::scene::{Row, Scene, rows};

/// Two servers that take connections, and between them one that does not.
const SERVERS: &str = "--server 10.1.0.1:80 --server 10.1.0.2:80,weight=0 --server 10.1.0.3:80";

fn scene(name: &str) -> Scene {
    let scene = Scene::new();
    scene.write(&format!("{name}.wasm"), guest(name));
    scene
}

fn counts<'a>(rows: &'a [Row], policy: &str) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for row in rows.iter().filter(|row| row.policy == policy) {
        *counts.entry(row.reason.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn without_a_fallback_the_first_fault_ends_the_run_and_no_other() {
    let mut text = String::new();
    for name in [
        "trap",
        "trap-100th",
        "endless",
        "endless-stack",
        "huge-allocation",
        "wild-pointer",
        "unknown-server",
        "quiesced-server",
        "few-answers",
    ] {
        let scene = scene(name);
        let line = format!(
            "replay shop.pcap {SERVERS} --policy {name}.wasm --policy rr --decisions d.csv --out out"
        );
        let ended = scene.run(&line);
        assert_eq!(ended.code, Some(1), "{name}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{name}: {}", ended.stderr);
        let rows = rows(&scene.read("d.csv"));
        assert_eq!(
            counts(&rows, "rr"),
            BTreeMap::from([("scheduled", 473)]),
            "{name}"
        );
        let own = rows
            .iter()
            .filter(|row| row.policy != "rr")
            .collect::<Vec<_>>();
        let faulty = own.last().expect("a row of the fault");
        assert_eq!(
            (faulty.reason.as_str(), faulty.server.as_str()),
            ("fault", ""),
            "{name}"
        );
        let _ = write!(
            text,
            "{}packet {}: {:?}\n\n",
            ended.stderr,
            faulty.packet,
            counts(&rows, &format!("{name}.wasm"))
        );

        let report: serde_json::Value =
            serde_json::from_str(&scene.read("out/report.json")).expect("JSON");
        let fault = &report["runs"][0]["fault"];
        assert_eq!(fault["packet"], faulty.packet, "{fault}");
        assert_eq!(fault["outcome"], "ended", "{fault}");
        assert!(report["runs"][1]["fault"].is_null());
        let what = fault["what"].as_str().expect("words");
        assert!(ended.stderr.contains(what), "{name}: {what}");
        assert!(scene.read("out/runs.csv").contains(what), "{name}: {what}");
        assert!(
            ended.stdout.contains("failed") || ended.stdout.contains("fault"),
            "{}",
            ended.stdout
        );
        assert!(scene.path("out/share.svg").is_file());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn with_a_fallback_the_run_goes_on() {
    let mut text = String::new();
    for name in ["trap", "trap-100th", "unknown-server", "quiesced-server"] {
        let scene = scene(name);
        let line = format!(
            "replay shop.pcap {SERVERS} --policy {name}.wasm --fallback rr --decisions d.csv --out out"
        );
        let ended = scene.run(&line);
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        let rows = rows(&scene.read("d.csv"));
        assert_eq!(rows.len(), 473, "{name}");
        assert!(rows.iter().all(|row| !row.server.is_empty()), "{name}");
        let _ = write!(
            text,
            "{}{:?}\n\n",
            ended.stderr,
            counts(&rows, &format!("{name}.wasm"))
        );
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_fault_is_the_same_on_every_run() {
    let scene = scene("trap-100th");
    let line = "replay shop.pcap --policy trap-100th.wasm --policy lc --format json --threads";
    let one = scene.run(&format!("{line} 1"));
    assert_eq!(one, scene.run(&format!("{line} 4")));
    assert_eq!(one.code, Some(1));
}

#[test]
fn a_policy_that_fails_before_its_first_decision_is_not_replayed() {
    let scene = Scene::new();
    for name in ["refuses", "huge-at-birth", "needs-latency"] {
        scene.write(&format!("{name}.wasm"), guest(name));
    }
    insta::assert_snapshot!(scene.table(&[
        "replay shop.pcap --policy rr --policy refuses.wasm --decisions d.csv --out out",
        "replay shop.pcap --policy refuses.wasm:speed=9",
        "replay shop.pcap --policy huge-at-birth.wasm",
        "replay shop.pcap --policy needs-latency.wasm",
    ]));
    assert!(!scene.path("d.csv").exists() && !scene.path("out").exists());
}

#[test]
fn what_is_no_policy_is_refused() {
    let scene = Scene::new();
    for name in [
        "core-module",
        "wants-wasi",
        "wants-import",
        "no-exports",
        "wrong-types",
    ] {
        scene.write(&format!("{name}.wasm"), guest(name));
    }
    scene.write("relaxed-simd.wasm", guest("relaxed-simd"));
    scene.write(
        "version.wasm",
        crate::guests::guest_against("honest", "0.2.0"),
    );
    scene.write("text.wasm", "(component)");
    scene.write("empty.wasm", "");
    std::fs::create_dir(scene.path("folder.wasm")).expect("a folder");
    insta::assert_snapshot!(scene.table(&[
        "replay shop.pcap --policy core-module.wasm",
        "replay shop.pcap --policy wants-wasi.wasm",
        "replay shop.pcap --policy wants-import.wasm",
        "replay shop.pcap --policy version.wasm",
        "replay shop.pcap --policy no-exports.wasm",
        "replay shop.pcap --policy wrong-types.wasm",
        "replay shop.pcap --policy relaxed-simd.wasm",
        "replay shop.pcap --policy text.wasm",
        "replay shop.pcap --policy empty.wasm",
        "replay shop.pcap --policy missing.wasm",
        "replay shop.pcap --policy folder.wasm",
        "replay shop.pcap --policy rr --policy core-module.wasm:k=3 --decisions d.csv --out out",
    ]));
    assert!(!scene.path("d.csv").exists() && !scene.path("out").exists());
}
