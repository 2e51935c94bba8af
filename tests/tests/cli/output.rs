//! What is printed: tables, JSON, CSV, help.

use std::process::Stdio;

use equipoise_tests::command::equipoise;

use crate::scene::Scene;

/// Digests change with every build of a component.
fn without_digests(text: &str) -> String {
    let is_digest = |word: &str| word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut plain = text.to_owned();
    let mut words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    words.sort_unstable();
    words.dedup();
    for word in words {
        if is_digest(word) && word.bytes().any(|b| b.is_ascii_alphabetic()) {
            plain = plain.replace(word, "[digest]");
        }
    }
    plain
}

#[test]
fn the_command_of_the_readme() {
    let output = equipoise(["replay", "tests/fixtures/capture/shop.pcap"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    insta::assert_snapshot!(without_digests(&table));
}

#[test]
fn csv() {
    let csv = Scene::new().quiet("replay shop.pcap --policy wlc --policy ovf --format csv");
    insta::assert_snapshot!(without_digests(&csv));
}

#[test]
fn json() {
    let json = Scene::new().quiet("replay shop.pcap --policy wlc --format json");
    insta::assert_snapshot!(without_digests(&json));
}

#[test]
fn policies_in_the_box() {
    insta::assert_snapshot!(Scene::new().quiet("policy list"));
}

#[test]
fn help() {
    let scene = Scene::new();
    let texts = ["--help", "replay --help", "policy --help"].map(|line| scene.quiet(line));
    insta::assert_snapshot!(texts.join("\n----\n\n"));
}

#[test]
fn the_folder_holds_what_is_printed() {
    let scene = Scene::new();
    let json = scene.quiet("replay shop.pcap --policy rr --policy sh --format json --out out");
    assert_eq!(scene.read("out/report.json"), json);
    let csv = scene.quiet("replay shop.pcap --policy rr --policy sh --format csv");
    assert_eq!(scene.read("out/runs.csv"), csv);
    let cost = scene.read("out/measured.json");
    assert!(
        cost.contains("\"total_ns\"") && !json.contains("total_ns"),
        "{cost}"
    );
    for plot in ["share", "concurrency-rr", "concurrency-sh"] {
        let svg = scene.read(&format!("out/{plot}.svg"));
        assert!(
            svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
            "{plot}"
        );
    }
}

#[test]
fn runners_up_are_named() {
    let scene = Scene::new();
    let packets = [
        (1, crate::made::syn("192.0.2.1:1025", "10.0.0.1:80")),
        (2, crate::made::syn("192.0.2.1:1026", "10.0.0.2:443")),
        (3, crate::made::syn("192.0.2.2:1027", "10.0.0.2:443")),
        (4, crate::made::udp("192.0.2.2:1027", "10.0.0.3:53")),
    ];
    scene.write("three.pcap", crate::made::pcap(&packets));
    let table = scene.quiet("replay three.pcap --policy rr");
    let service = table.split("settings").next().expect("the head");
    insta::assert_snapshot!(service);
}

#[test]
fn what_can_be_no_service_is_not_chosen() {
    let scene = Scene::new();
    let mut packets: Vec<_> = (1..6)
        .map(|client| {
            let client = format!("192.0.2.1:{}", 1_024 + client);
            (1, crate::made::syn(&client, "10.0.0.1:0"))
        })
        .collect();
    let odd = ["224.0.0.251:5353", "255.255.255.255:67", "0.0.0.0:9"];
    for (place, service) in odd.into_iter().enumerate() {
        for client in 0..2 {
            let client = format!("192.0.2.{place}:{}", 2_000 + client);
            packets.push((2, crate::made::udp(&client, service)));
        }
    }
    scene.write("odd.pcap", crate::made::pcap(&packets));
    let ended = scene.run("replay odd.pcap");
    assert_eq!((ended.code, &ended.stdout[..]), (Some(1), ""));
    insta::assert_snapshot!(ended.stderr, @"equipoise: odd.pcap: no connection is to a port of one host, as a virtual service would be; the busiest endpoint is tcp:10.0.0.1:0 (5 connections)");
    assert!(!scene.quiet("inspect odd.pcap").contains("equipoise replay"));
    packets.push((3, crate::made::syn("192.0.2.9:1025", "10.0.0.1:80")));
    scene.write("odd.pcap", crate::made::pcap(&packets));
    let table = scene.quiet("replay odd.pcap --policy rr");
    assert!(
        table.contains("service  tcp:10.0.0.1:80, chosen as"),
        "{table}"
    );
    let table = scene.quiet("inspect odd.pcap --top 1");
    assert!(table.contains("--service tcp:10.0.0.1:80"), "{table}");
}

#[test]
fn a_reader_who_leaves_early_is_no_failure() {
    let scene = Scene::new();
    for line in [
        "replay shop.pcap --format json --out out",
        "replay shop.pcap",
        "replay shop.pcap --policy rr --ops",
        "replay shop.pcap --policy rr --decisions /dev/stdout --out beside",
        "policy list",
    ] {
        assert_eq!(code_without_readers(&scene, line), Some(0), "{line}");
    }
    // Files are written all the same.
    assert!(scene.path("out/report.json").is_file());
    assert!(scene.path("beside/report.json").is_file());

    // A failure is one, with readers or without.
    scene.write("trap.wasm", crate::guests::guest("trap"));
    for line in ["replay missing.pcap", "replay shop.pcap --policy trap.wasm"] {
        assert_eq!(code_without_readers(&scene, line), Some(1), "{line}");
    }
}

/// The exit code where nobody reads what is said.
fn code_without_readers(scene: &Scene, line: &str) -> Option<i32> {
    let mut command = scene.command(line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("equipoise starts");
    drop(child.stdout.take());
    drop(child.stderr.take());
    child.wait().expect("equipoise ends").code()
}
