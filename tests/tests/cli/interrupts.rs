//! What the interrupt key does.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::scene::{Ended, SHOP, Scene, shop};

fn spawn(scene: &Scene, line: &str) -> Child {
    let mut command = scene.command(line);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("equipoise starts")
}

/// Presses the key once the command listens to it and has had a moment to work.
fn interrupt(child: Child) -> Ended {
    signalled(child, &["-INT"], b"")
}

/// Sends signals one after the other, when the command has had this input and a moment to work.
fn signalled(mut child: Child, signals: &[&str], input: &[u8]) -> Ended {
    // Held open: its end would end the waiting, too.
    let mut stdin = child.stdin.take().expect("standard input");
    let pid = child.id().to_string();
    while !listens(&pid) {
        sleep(Duration::from_millis(20));
    }
    let _ = stdin.write_all(input);
    for signal in signals {
        sleep(Duration::from_secs(1));
        let killed = Command::new("kill").args([signal, pid.as_str()]).status();
        assert!(killed.expect("kill is there").success());
    }
    Ended::of(child.wait_with_output().expect("equipoise ends"))
}

/// Whether the process catches SIGINT, bit 1 of its mask.
fn listens(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & 2 != 0)
}

#[test]
fn a_replay_reports_what_it_has() {
    let scene = Scene::new();
    // Minutes of work: the same capture over and over, at the same time.
    scene.folder_of("many", 400);
    let line = "replay many --service 10.0.0.1:80 --format json";
    let ended = interrupt(spawn(&scene, line));
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["partial"], true);
    assert!(report["trace"]["decoded_packets"].as_u64() > Some(0));
    // Rows cannot say it.
    let ended = interrupt(spawn(&scene, &line.replace("json", "csv")));
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    let told = "equipoise: warning: interrupted: what is reported is of what was read by then\n";
    assert!(ended.stderr.ends_with(told), "{}", ended.stderr);
}

#[test]
fn looking_for_a_service_tells_what_it_found() {
    let scene = Scene::new();
    scene.folder_of("many", 400);
    let ended = interrupt(spawn(&scene, "replay many"));
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    let told = "(by then tcp:10.0.0.1:80 (";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn the_signal_is_told_in_the_exit_code() {
    let (scene, shop) = (Scene::new(), shop());
    for (signal, code) in [("-TERM", 143), ("-HUP", 129)] {
        let child = spawn(&scene, "inspect - --format json");
        let ended = signalled(child, &[signal], &shop);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stdout.contains("\"partial\": true"));
    }
}

#[test]
fn waiting_for_standard_input_ends_at_once() {
    let scene = Scene::new();
    let ended = interrupt(spawn(&scene, "replay -"));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""));
    assert_eq!(
        ended.stderr,
        "equipoise: interrupted before anything was read\n"
    );
}

/// What came until then is all that there is of it.
/// Of the pipe nothing was opened yet.
#[test]
fn waiting_for_somebody_to_write_ends_at_once() {
    let scene = Scene::new();
    let pipe = Command::new("mkfifo").arg(scene.path("pipe")).status();
    assert!(pipe.expect("mkfifo starts").success());
    let ended = interrupt(spawn(&scene, "inspect pipe"));
    assert_eq!(ended.code, Some(130));
    assert_eq!(
        ended.stderr,
        "equipoise: interrupted before anything was read\n"
    );
}

#[test]
fn standard_input_ends_where_it_is_interrupted() {
    let scene = Scene::new();
    let mut shop = shop();
    for line in [
        "inspect - --format json",
        "replay - --policy rr --format json",
    ] {
        let ended = signalled(spawn(&scene, line), &["-INT"], &shop);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(130), ""),
            "{line}"
        );
        let whole = scene.quiet(&line.replace(" - ", " shop.pcap "));
        assert_eq!(
            ended
                .stdout
                .replace("standard input", SHOP)
                .replace("80 -\"", "80 shop.pcap\""),
            whole.replace("\"partial\": false", "\"partial\": true")
        );
    }
    let ended = signalled(spawn(&scene, "extract - -o t.csv"), &["-INT"], &shop);
    assert_eq!(ended.code, Some(130));
    assert_eq!(
        ended.stderr,
        "equipoise: interrupted: t.csv was not written\n"
    );
    assert!(!scene.path("t.csv").exists());
    // In the middle of a packet.
    shop.truncate(300_000);
    let ended = signalled(spawn(&scene, "inspect -"), &["-INT"], &shop);
    assert_eq!(ended.code, Some(130));
    assert!(
        ended
            .stderr
            .starts_with("equipoise: warning: standard input is cut short"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_second_one_leaves_nothing_behind() {
    let scene = Scene::new();
    scene.folder_of("many", 1_000);
    let before = scene.files(".").len();
    // Of the first one nobody hears while it works.
    let mut child = spawn(&scene, "extract many -o table.parquet");
    let pid = child.id().to_string();
    sleep(Duration::from_millis(700));
    assert_eq!(scene.files(".").len(), before + 1, "it is being written");
    for _ in 0..2 {
        let killed = Command::new("kill").args(["-INT", &pid]).status();
        assert!(killed.expect("kill is there").success());
    }
    let status = child.wait().expect("equipoise ends");
    assert_eq!(status.code(), Some(130));
    assert_eq!(scene.files(".").len(), before);
}
