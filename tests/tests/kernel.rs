//! The kernel itself, in a virtual machine: the same packets through its IPVS and through
//! `equipoise replay --time-scale 0 --decisions`, joined by packet.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use equipoise_schedulers::registry;
use equipoise_tests::{command, data};
use serde::Deserialize;

/// One capture, and the service and servers that both sides get.
struct Case {
    name: &'static str,
    capture: &'static str,
    /// Lines of the job that say where the kernel listens.
    job: &'static [&'static str],
    /// What `-A` and `-a` select the service by.
    rule: &'static str,
    /// In seconds; 0 without.
    persistent: u32,
    /// `%` is the number of the server.
    server: &'static str,
    weights: [u32; 4],
    arguments: &'static [&'static str],
    /// Every one that the kernel has, where none is named.
    schedulers: &'static [&'static str],
}

const CHURN4: Case = Case {
    name: "churn4",
    capture: "churn4.pcap",
    job: &["vip 10.0.0.1"],
    rule: "-t 10.0.0.1:80",
    persistent: 0,
    server: "10.1.0.%:8080",
    weights: [1, 2, 3, 10],
    arguments: &["--service", "tcp:10.0.0.1:80"],
    schedulers: &[],
};
const MARKS: Case = Case {
    name: "marks",
    capture: "marks.pcap",
    job: &[
        "vip 10.0.0.1",
        "vip 10.0.0.2",
        "vip 10.0.0.3",
        "vip 10.0.0.4",
        "vip 10.0.0.5",
        "vip 10.0.0.6",
        "vip 10.0.0.7",
        "vip 10.0.0.8",
        "vip 10.0.0.9",
        "vip 10.0.0.10",
        "mark 7 tcp 10.0.0.0/28 80,443",
        "mark 7 udp 10.0.0.0/28 53",
    ],
    rule: "-f 7",
    server: "10.1.0.%:0",
    arguments: &[
        "--mark",
        "7=tcp:10.0.0.0/28:80,443",
        "--mark",
        "7=udp:10.0.0.0/28:53",
    ],
    ..CHURN4
};
/// It takes data connections to ports from 1024 on, here those to 8080.
const FTP: Case = Case {
    name: "ftp",
    capture: "marks.pcap",
    rule: "-t 10.0.0.1:21",
    persistent: 300,
    server: "10.1.0.%:2121",
    arguments: &["--service", "tcp:10.0.0.1:21"],
    schedulers: FEW,
    ..CHURN4
};
/// Where the case is not about the schedulers.
const FEW: &[&str] = &["rr", "wlc", "sh"];

const CASES: [Case; 10] = [
    Case {
        name: "shop",
        capture: "shop.pcap",
        ..CHURN4
    },
    CHURN4,
    Case {
        name: "churn6",
        capture: "churn6.pcap",
        job: &["vip fd00::1"],
        rule: "-t [fd00::1]:80",
        server: "[fd00:1::a01:%]:8080",
        arguments: &["--service", "tcp:[fd00::1]:80"],
        ..CHURN4
    },
    MARKS,
    // Which port the real server is reached by: its own, or the one that the client asked for.
    Case {
        name: "persistent",
        persistent: 300,
        schedulers: FEW,
        ..CHURN4
    },
    Case {
        name: "persistent-every-port",
        capture: "marks.pcap",
        rule: "-t 10.0.0.1:0",
        persistent: 300,
        server: "10.1.0.%:9090",
        arguments: &["--service", "tcp:10.0.0.1:0"],
        schedulers: FEW,
        ..CHURN4
    },
    Case {
        name: "marks-own-port",
        server: "10.1.0.%:9090",
        schedulers: FEW,
        ..MARKS
    },
    Case {
        name: "marks-persistent",
        persistent: 300,
        server: "10.1.0.%:9090",
        schedulers: FEW,
        ..MARKS
    },
    FTP,
    // What no server takes passes, and is refused nowhere.
    Case {
        name: "ftp-without-destination",
        weights: [0; 4],
        ..FTP
    },
];

/// A line that the virtual machine prints for a client packet.
#[derive(Deserialize)]
struct Line {
    job: String,
    packet: Option<u64>,
    /// Entries of the connection table at the end of the job.
    connections: Option<usize>,
    dest: Option<String>,
    port: Option<u16>,
    result: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    policy: String,
    packet: u64,
    server: String,
    server_port: String,
    reason: String,
}

/// By job and packet.
type PacketLines = BTreeMap<(String, u64), Line>;

impl Case {
    /// Schedulers that no kernel at hand has built in are left to their own tests.
    fn schedulers(&self) -> impl Iterator<Item = &'static str> {
        let all = registry::all()
            .iter()
            .filter(|entry| entry.in_ipvs)
            .map(|entry| entry.name);
        let few = self.schedulers;
        all.filter(move |name| *name != "twos" && (few.is_empty() || few.contains(name)))
    }
}

#[test]
fn kernel_of_the_classic_profile_decides_alike() {
    compare("uml", "classic");
}

#[test]
fn kernel_of_the_current_profile_decides_alike() {
    compare("tcg", "current");
}

fn compare(backend: &str, profile: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let Some((mut kernel, connections)) = kernel_lines(backend, folder.path()) else {
        return;
    };
    let mut compared = 0;
    let mut wrong = Vec::new();
    let mut entries: BTreeMap<String, usize> = BTreeMap::new();
    for case in &CASES {
        for scheduler in case.schedulers() {
            entries.insert(job_name(case, scheduler), 0);
        }
        for row in our_rows(case, profile, folder.path()) {
            let job = job_name(case, &row.policy);
            if !row.server.is_empty() {
                // A template stays beside the connection that it was made for.
                let has_template = case.persistent > 0 && row.reason == "scheduled";
                *entries.entry(job.clone()).or_default() += 1 + usize::from(has_template);
            }
            let line = kernel
                .remove(&(job.clone(), row.packet))
                .unwrap_or_else(|| panic!("{job}: no line for packet {}", row.packet));
            let theirs = match (&line.dest, line.port, line.result.as_deref()) {
                (Some(dest), Some(port), _) => format!("{dest} {port}"),
                (.., Some("no-destination")) => String::from(" "),
                (.., other) => format!("{other:?}"),
            };
            let ours = format!("{} {}", row.server, row.server_port);
            compared += 1;
            if ours != theirs {
                wrong.push(format!(
                    "{job}, packet {}: the kernel chose {theirs}, we {ours} ({})",
                    row.packet, row.reason
                ));
            }
        }
    }
    println!(
        "{backend}: {} of {compared} decisions agree with the kernel",
        compared - wrong.len()
    );
    assert!(compared > 0, "nothing was compared");
    // The other way round: nothing that the kernel refused or scheduled lacks a row of ours.
    let refused = |line: &Line| line.result.as_deref() == Some("no-destination");
    let missed = kernel.iter().find(|(_, line)| refused(line));
    assert!(
        missed.is_none(),
        "the kernel refused {:?}",
        missed.map(|(packet, _)| packet)
    );
    assert_eq!(
        entries, connections,
        "entries of each job's connection table (right: the kernel's)"
    );
    assert!(
        wrong.is_empty(),
        "{} disagree:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

fn skip(why: &str) {
    println!("skipped: {why}");
    let is_asked_for = std::env::var_os("EQUIPOISE_NEEDS_KERNEL").is_some();
    assert!(!is_asked_for, "the kernel was asked for, and {why}");
}

/// What the kernel did with each client packet of each job; none where no machine can be had.
fn kernel_lines(backend: &str, folder: &Path) -> Option<(PacketLines, BTreeMap<String, usize>)> {
    let vm = data::repository().join("tests/vm");
    let made = Command::new("python3")
        .arg(vm.join("make-captures.py"))
        .arg(folder)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        skip("python3 did not make the captures");
        return None;
    }
    let shop = data::repository().join("tests/fixtures/capture/shop.pcap");
    fs::copy(shop, folder.join("shop.pcap")).expect("our own capture");
    for case in &CASES {
        for scheduler in case.schedulers() {
            let name = format!("{}.job", job_name(case, scheduler));
            fs::write(folder.join(name), job(case, scheduler)).expect("a job");
        }
    }
    let output = Command::new(vm.join("replay-pcap.sh"))
        .args(["-b", backend, "-t", "1200"])
        .arg(folder)
        .output()
        .expect("the script starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        skip(errors.trim());
        return None;
    }
    assert!(output.status.success(), "{}: {errors}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    let mut packets = BTreeMap::new();
    let mut connections = BTreeMap::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).expect(line);
        if let Some(count) = line.connections {
            connections.insert(line.job.clone(), count);
        }
        if let Some(packet) = line.packet {
            packets.insert((line.job.clone(), packet), line);
        }
    }
    Some((packets, connections))
}

fn job_name(case: &Case, scheduler: &str) -> String {
    format!("{}-{scheduler}", case.name)
}

fn servers(case: &Case) -> impl Iterator<Item = (String, u32)> {
    let numbered =
        |(number, weight): (u32, u32)| (case.server.replace('%', &number.to_string()), weight);
    (1..).zip(case.weights).map(numbered)
}

fn job(case: &Case, scheduler: &str) -> String {
    let mut job = format!("capture {}\n{}\n", case.capture, case.job.join("\n"));
    // Writing to a string cannot fail.
    let persistence = match case.persistent {
        0 => String::new(),
        seconds => format!(" -p {seconds}"),
    };
    let _ = writeln!(job, "rule -A {} -s {scheduler}{persistence}", case.rule);
    for (server, weight) in servers(case) {
        let _ = writeln!(job, "rule -a {} -r {server} -m -w {weight}", case.rule);
    }
    job
}

fn our_rows(case: &Case, profile: &str, folder: &Path) -> Vec<Row> {
    let decisions = folder.join(format!("{}.csv", case.name));
    let mut arguments: Vec<String> = ["replay", "--time-scale", "0", "--kernel", profile]
        .map(str::to_owned)
        .to_vec();
    arguments.push(folder.join(case.capture).display().to_string());
    arguments.extend(case.arguments.iter().map(|&argument| argument.to_owned()));
    if case.persistent > 0 {
        arguments.extend(["--persistent".to_owned(), case.persistent.to_string()]);
    }
    for (server, weight) in servers(case) {
        arguments.push("--server".to_owned());
        arguments.push(format!("{server},weight={weight}"));
    }
    for scheduler in case.schedulers() {
        arguments.extend(["--policy".to_owned(), scheduler.to_owned()]);
    }
    arguments.push("--decisions".to_owned());
    arguments.push(decisions.display().to_string());
    let output = command::equipoise(&arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut reader = csv::Reader::from_path(decisions).expect("decisions");
    reader
        .deserialize()
        .map(|row| row.expect("a row"))
        .collect()
}
