//! JSON, CSV and the output directory, and that the document names every field.

use std::collections::BTreeSet;
use std::fs;

use equipoise_reports::Report;
use equipoise_reports::model::{Costs, ReadError};
use equipoise_reports::{output, runs};
use serde_json::Value;

use crate::made::{self, Clock, POLICIES};

/// The reports without the long rows of their timelines.
fn short(mut report: Report) -> Report {
    for service in report.runs.iter_mut().flat_map(|run| &mut run.services) {
        for peaks in service
            .timeline
            .iter_mut()
            .flat_map(|timeline| &mut timeline.peaks)
        {
            peaks.truncate(5);
        }
    }
    report
}

#[test]
fn json() {
    let report = short(made::report(&["wlc"], 2, Clock::Runs));
    insta::assert_snapshot!("json", report.to_json(Costs::Included).unwrap());
    let awkward = short(made::awkward());
    insta::assert_snapshot!("json_awkward", awkward.to_json(Costs::Omitted).unwrap());
}

#[test]
fn json_is_read_back() {
    for report in [made::report(&POLICIES, 4, Clock::Runs), made::awkward()] {
        let text = report.to_json(Costs::Included).unwrap();
        let read = Report::from_json(&text).unwrap();
        assert_eq!(read.to_json(Costs::Included).unwrap(), text);
        assert_eq!(read.measured, report.measured);
        assert!(!report.to_json(Costs::Omitted).unwrap().contains("measured"));
    }
    let other = Report::from_json(r#"{"schema": "equipoise.report/99"}"#);
    assert!(matches!(other, Err(ReadError::Schema { found }) if found == "equipoise.report/99"));
    assert!(matches!(Report::from_json("[]"), Err(ReadError::Form(_))));
}

#[test]
fn csv() {
    let text =
        |report: &Report| String::from_utf8(runs::write(report, Vec::new()).unwrap()).unwrap();
    insta::assert_snapshot!("csv", text(&made::report(&["rr", "fo"], 3, Clock::Runs)));
    insta::assert_snapshot!("csv_awkward", text(&made::awkward()));
}

#[test]
fn a_directory_holds_every_file() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("new/out");
    let report = made::report(&POLICIES, 4, Clock::Runs);
    let paths = output::write_dir(&out, &report).unwrap();
    let names = listed(&out);
    assert_eq!(names.len(), 4 + POLICIES.len());
    assert_eq!(names.len(), paths.len());
    for name in [
        "report.json",
        "runs.csv",
        "measured.json",
        "share.svg",
        "concurrency-wlc.svg",
    ] {
        assert!(names.contains(name), "{name} is missing from {names:?}");
    }

    // Again, with other costs: the facts are the same bytes, and nothing else appears.
    let before = fs::read(out.join("report.json")).unwrap();
    let mut again = report.clone();
    again.measured.as_mut().unwrap().costs[0].total_ns += 1;
    output::write_dir(&out, &again).unwrap();
    assert_eq!(fs::read(out.join("report.json")).unwrap(), before);
    assert_eq!(listed(&out), names);
}

#[test]
fn a_directory_shows_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let keep = ["notes.txt", "share-mine.svg", "concurrency-mine.svg"];
    for name in keep {
        fs::write(dir.path().join(name), "mine").unwrap();
    }
    output::write_dir(dir.path(), &made::awkward()).unwrap();
    output::write_dir(dir.path(), &made::report(&["rr", "wlc"], 2, Clock::Runs)).unwrap();
    let mut last = made::report(&["rr", "lc"], 2, Clock::Runs);
    last.measured = None;
    output::write_dir(dir.path(), &last).unwrap();
    let own = [
        "concurrency-lc.svg",
        "concurrency-rr.svg",
        "report.json",
        "runs.csv",
        "share.svg",
    ];
    let names = own.into_iter().chain(keep).map(str::to_owned);
    assert_eq!(listed(dir.path()), names.collect());
}

/// Without a report of ours nothing there can be ours.
#[test]
fn what_another_program_wrote_stays() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["report.json", "concurrency-wlc.svg", "measured.json"] {
        fs::write(dir.path().join(name), "{\"schema\": \"another\"}").unwrap();
    }
    let mut report = made::report(&["rr"], 2, Clock::Runs);
    report.measured = None;
    output::write_dir(dir.path(), &report).unwrap();
    let names = listed(dir.path());
    assert!(names.contains("concurrency-wlc.svg") && names.contains("measured.json"));

    // Nor is a directory that bears the name of an earlier plot.
    fs::remove_file(dir.path().join("concurrency-rr.svg")).unwrap();
    fs::create_dir(dir.path().join("concurrency-rr.svg")).unwrap();
    output::write_dir(dir.path(), &made::report(&["wlc"], 2, Clock::Runs)).unwrap();
    assert!(dir.path().join("concurrency-rr.svg").is_dir());
}

#[test]
fn odd_names_become_safe_files() {
    let dir = tempfile::tempdir().unwrap();
    output::write_dir(dir.path(), &made::awkward()).unwrap();
    insta::assert_debug_snapshot!(listed(dir.path()), @r#"
    {
        "concurrency-policies-my-best-.wasm-key=v-lue-tcp-10.0.0.1-80.svg",
        "concurrency-policies-my-best-wasm-key=v-lue-tcp-10.0.0.1-80.svg",
        "concurrency-wlc-tcp-10.0.0.1-80.svg",
        "measured.json",
        "report.json",
        "runs.csv",
        "share-tcp-10.0.0.1-80.svg",
        "share-tcp-2001-db8-1-443.svg",
    }
    "#);
}

#[test]
fn a_failure_leaves_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let report = made::report(&["rr"], 2, Clock::Runs);
    // A directory stands where the second file should go.
    fs::create_dir_all(dir.path().join("runs.csv/keep")).unwrap();
    let error = output::write_dir(dir.path(), &report)
        .unwrap_err()
        .to_string();
    assert!(error.contains("runs.csv"), "{error}");
    let left: Vec<String> = listed(dir.path())
        .into_iter()
        .filter(|name| name.contains(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    let file = dir.path().join("file");
    fs::write(&file, "kept").unwrap();
    let error = output::write_dir(&file, &report).unwrap_err().to_string();
    assert!(error.starts_with("cannot make the directory"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}

/// Every field of JSON, every column of the CSVs and every stable name occurs in the document.
#[test]
fn the_document_names_every_field() {
    let document = include_str!("../../../docs/report.md");
    let mut names: BTreeSet<String> = BTreeSet::new();
    for report in [made::report(&POLICIES, 4, Clock::Runs), made::awkward()] {
        let json = serde_json::from_str(&report.to_json(Costs::Included).unwrap()).unwrap();
        keys(&json, &mut names);
    }
    names.extend(runs::COLUMNS.map(str::to_owned));
    names.extend(equipoise_reports::decisions::COLUMNS.map(str::to_owned));
    // Fields of maps whose keys are data.
    for data in [
        "arp",
        "fragment",
        "tcp",
        "tcp_fin",
        "udp",
        "conn_reuse_mode",
        "sloppy_tcp",
        "mid-stream",
        "rst",
    ] {
        names.remove(data);
    }
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !document.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "docs/report.md lacks {missing:?}");
}

fn keys(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                keys(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, names)),
        _ => {}
    }
}

fn listed(dir: &std::path::Path) -> BTreeSet<String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
