//! What the interrupt key does.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::scene::{Ended, Scene};

fn spawn(scene: &Scene, line: &str) -> Child {
    let mut command = scene.command(line);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("equipoise starts")
}

/// Presses the key once the command listens to it and has had a moment to work.
fn interrupt(mut child: Child) -> Ended {
    // Held open: its end would end the waiting, too.
    let _stdin = child.stdin.take();
    let pid = child.id().to_string();
    while !listens(&pid) {
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_secs(1));
    let killed = Command::new("kill").args(["-INT", &pid]).status();
    assert!(killed.expect("kill is there").success());
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
    let captures = vec!["shop.pcap"; 400].join(" ");
    let line = format!("replay {captures} --service 10.0.0.1:80 --format json");
    let ended = interrupt(spawn(&scene, &line));
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["partial"], true);
    assert!(report["trace"]["decoded_packets"].as_u64() > Some(0));
}

#[test]
fn waiting_for_standard_input_ends_at_once() {
    let scene = Scene::new();
    let ended = interrupt(spawn(&scene, "replay -"));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""));
}
