//! `equipoise synth`: what it writes, prints and refuses. What is in a capture is proved elsewhere.

use std::fs;
use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::scene::{Ended, Scene};

#[test]
fn help() {
    insta::assert_snapshot!(Scene::new().quiet("synth --help"));
}

#[test]
fn presets_are_listed_and_shown() {
    let scene = Scene::new();
    let list = scene.quiet("synth --list-presets");
    insta::assert_snapshot!(list);
    for line in list.lines() {
        let (name, _) = line.split_once(' ').expect("a name and what it is for");
        let model = scene.quiet(&format!("synth --show-preset {name}"));
        scene.write("model.toml", &model);
        // What is shown is the model.
        scene.quiet("synth model.toml --connections 20 -o shown.pcap");
        scene.quiet(&format!(
            "synth --preset {name} --connections 20 -o preset.pcap"
        ));
        let [shown, preset] = ["shown.pcap", "preset.pcap"]
            .map(|file| fs::read(scene.path(file)).expect("a capture"));
        assert!(!shown.is_empty() && shown == preset, "{name}");
    }
}

#[test]
fn a_capture_is_replayed() {
    let scene = Scene::new();
    scene.quiet("synth --preset steady --connections 150 -o made.pcap");
    let report = scene.report("replay made.pcap --policy rr");
    assert_eq!(report["trace"]["observed_connections"], 150);
    assert_eq!(report["services"][0]["service"], "tcp:10.0.0.1:80");
    assert_eq!(report["runs"][0]["services"][0]["connections"], 150);
}

#[test]
fn options_take_the_place_of_keys() {
    let scene = Scene::new();
    for (base, options, keys) in [
        (
            "seed = 3\nconnections = 40",
            "--seed 7 --connections 30 --rate 20 --ipv6-share 0.5",
            "seed = 7\nconnections = 30\narrivals = { rate = 20 }\nclients = { ipv6_share = 0.5 }",
        ),
        ("", "--duration 2", "duration_s = 2"),
        ("duration_s = 9", "--duration 0.5", "duration_s = 0.5"),
    ] {
        scene.write("base.toml", base);
        scene.write("keys.toml", keys);
        scene.quiet(&format!("synth base.toml {options} -o options.pcap"));
        scene.quiet("synth keys.toml -o keys.pcap");
        let [options_made, keys_made] = ["options.pcap", "keys.pcap"]
            .map(|file| fs::read(scene.path(file)).expect("a capture"));
        assert!(options_made == keys_made, "{options}");
    }
}

#[test]
fn standard_input_and_output() {
    let scene = Scene::new();
    scene.quiet("synth --preset flood --connections 20 -o made.pcap");
    let made = fs::read(scene.path("made.pcap")).expect("a capture");
    let mut command = scene.command("synth --preset flood --connections 20 -o -");
    let printed = command.output().expect("equipoise starts");
    assert!(printed.status.success() && printed.stderr.is_empty());
    assert!(printed.stdout == made);
    let model = scene.quiet("synth --show-preset flood");
    let ended = scene.run_with_input("synth - --connections 20 -o again.pcap", model.as_bytes());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(fs::read(scene.path("again.pcap")).expect("a capture") == made);
    assert!(!scene.path("-").exists());
}

/// As with the other commands: a file that is there is replaced, once there is all of the new one.
#[test]
fn what_is_there_is_replaced_at_the_end() {
    let scene = Scene::new();
    scene.write("made.pcap", "what was there");
    let line = "synth --preset steady --connections 50 -o made.pcap --max-bytes";
    let failed = scene.run(&format!("{line} 9000"));
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert_eq!(scene.read("made.pcap"), "what was there");
    scene.quiet(&format!("{line} 9000000"));
    let made = fs::read(scene.path("made.pcap")).expect("a capture");
    assert!(made.starts_with(&0xa1b2_3c4d_u32.to_le_bytes()));
}

#[test]
fn what_is_refused_writes_nothing() {
    let scene = Scene::new();
    scene.write("empty.toml", "");
    scene.write("wrong.toml", "duration_s = 5\n\n[arrivals]\nrate = -1\n");
    scene.write("small.toml", "connections = 5");
    scene.write("bytes.toml", [0xff, 0xfe]);
    scene.write("long.toml", "connections = 5\nhttp = { linger_s = 1e12 }");
    let before = scene.files("");
    let table = scene.table(&[
        "synth",
        "synth small.toml",
        "synth -o new.pcap",
        "synth small.toml --preset steady -o new.pcap",
        "synth --preset stedy -o new.pcap",
        "synth --show-preset stedy",
        "synth --list-presets -o new.pcap",
        "synth missing.toml -o new.pcap",
        "synth bytes.toml -o new.pcap",
        "synth empty.toml -o new.pcap",
        "synth wrong.toml -o new.pcap",
        "synth long.toml -o new.pcap",
        "synth small.toml -o small.toml",
        "synth small.toml -o missing/new.pcap",
        "synth small.toml -o /dev/full",
        "synth small.toml -o new.pcap --rate 0",
        "synth small.toml -o new.pcap --rate -5",
        "synth small.toml -o new.pcap --duration inf",
        "synth small.toml -o new.pcap --ipv6-share nan",
        "synth small.toml -o new.pcap --connections 1000000000",
        "synth small.toml -o new.pcap --max-bytes 100",
    ]);
    insta::assert_snapshot!(table);
    assert_eq!(scene.files(""), before);
}

/// Hours of work.
const LONG: &str = "synth --preset packets --connections 1000000000 --max-bytes 9000000000000";

#[test]
fn an_interrupt_leaves_nothing() {
    let scene = Scene::new();
    let before = scene.files("").len();
    let mut command = scene.command(&format!("{LONG} -o made.pcap"));
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.expect("equipoise starts");
    // From when it writes, it also listens.
    while scene.files("").len() == before {
        sleep(Duration::from_millis(20));
    }
    interrupt(&child);
    let ended = Ended::of(child.wait_with_output().expect("equipoise ends"));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""));
    assert_eq!(
        ended.stderr,
        "equipoise: interrupted: made.pcap was not written\n"
    );
    assert_eq!(scene.files("").len(), before);
}

#[test]
fn an_interrupt_is_told_where_something_was_printed() {
    let scene = Scene::new();
    let mut command = scene.command(&format!("{LONG} -o -"));
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("equipoise starts");
    let mut stdout = child.stdout.take().expect("standard output");
    stdout.read_exact(&mut [0; 24]).expect("a header");
    interrupt(&child);
    io::copy(&mut stdout, &mut io::sink()).expect("the rest");
    let ended = Ended::of(child.wait_with_output().expect("equipoise ends"));
    assert_eq!(ended.code, Some(130));
    assert_eq!(
        ended.stderr,
        "equipoise: interrupted: what was printed is not the whole capture\n"
    );
}

#[test]
fn whoever_reads_may_leave() {
    let scene = Scene::new();
    let mut command = scene.command(&format!("{LONG} -o -"));
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("equipoise starts");
    drop(child.stdout.take());
    let ended = Ended::of(child.wait_with_output().expect("equipoise ends"));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status();
    assert!(killed.expect("kill is there").success());
}
