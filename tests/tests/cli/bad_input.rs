//! What is refused: one line that says what, where and what to do, the exit code, and nothing
//! written or spoilt.

use std::fs;

use crate::scene::{Scene, shop};

#[test]
fn captures_that_are_none() {
    let scene = Scene::new();
    scene.write("empty.pcap", "");
    scene.write("text.pcap", "Dear reader,\nthis is a letter.\n");
    scene.write("head.pcap", &shop()[..10]);
    scene.write("no-packets.pcap", &shop()[..24]);
    scene.write("arp-only.pcap", arp());
    let mut damaged = shop();
    damaged[24..424].fill(0xff);
    scene.write("damaged.pcap", damaged);
    fs::create_dir(scene.path("folder")).expect("a folder");
    refused(
        &scene,
        &[
            "empty.pcap",
            "text.pcap",
            "head.pcap",
            "no-packets.pcap",
            "arp-only.pcap",
            "damaged.pcap",
            "folder",
            "missing.pcap",
            "shop.pcap missing.pcap",
            "-",
        ],
        1,
        "captures",
    );
}

#[test]
fn options_that_cannot_be_taken() {
    let scene = Scene::new();
    refused(
        &scene,
        &[
            "- -",
            "shop.pcap --service 10.0.0.1",
            "shop.pcap --service 10.0.0.1:0",
            "shop.pcap --service 10.0.0.1:99999",
            "shop.pcap --service sctp:10.0.0.1:80",
            "shop.pcap --service shop.example:80",
            "shop.pcap --service 10.0.0.1:80 --service tcp:10.0.0.1:80",
            "shop.pcap --server 10.1.0.1:80 --server 10.1.0.1:80",
            "shop.pcap --server 10.1.0.1:80 --service 10.0.0.1:80 --server 10.1.0.1:80",
            "shop.pcap --server 10.1.0.1:80,weight=65536",
            "shop.pcap --server 10.1.0.1:80,weight=-1",
            "shop.pcap --server 10.1.0.1:80,method=bridge",
            "shop.pcap --server 10.1.0.1:80,upper=1,lower=2",
            "shop.pcap --server 10.1.0.1:80,colour=red",
            "shop.pcap --server [2001:db8::1]:80",
            "shop.pcap --mark 1",
            "shop.pcap --mark 0=tcp:10.0.0.1:80",
            "shop.pcap --mark 1=icmp:10.0.0.1:80",
            "shop.pcap --mark 1=tcp:10.0.0.1/33:80",
            "shop.pcap --mark 1=tcp:10.0.0.1:9-3",
            "shop.pcap --persistent 0",
            "shop.pcap --persistent 60/33",
            "shop.pcap --timeouts 1,2",
            "shop.pcap --timeouts 1,2,x",
            "shop.pcap --sysctl speed=1",
            "shop.pcap --sysctl conn_reuse_mode",
            "shop.pcap --kernel old",
            "shop.pcap --policy best",
            "shop.pcap --policy rr:speed=9",
            "shop.pcap --policy sh:sh-port=maybe",
            "shop.pcap --policy sh:table-bits=99",
            "shop.pcap --policy sh:sh-port,sh-port",
            "shop.pcap --policy :",
            "shop.pcap --policy rr --fallback best",
            "shop.pcap --policy rr --fallback sh:sh-port",
        ],
        2,
        "options",
    );
}

#[test]
fn rules_that_cannot_be_taken() {
    let scene = Scene::new();
    let service = "-A -t 10.0.0.1:80 -s wlc\n";
    let server = "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m";
    for (name, text) in [
        ("empty", String::new()),
        ("weight", format!("{service}{server} -w 65536\n")),
        ("scheduler", "-A -t 10.0.0.1:80 -s best\n".to_owned()),
        ("host", "-A -t shop.example:http -s rr\n".to_owned()),
        ("port", "-A -t 10.0.0.1:gopherd -s rr\n".to_owned()),
        ("alike", format!("{service}{server}\n{server}\n")),
        ("twice", format!("{service}{service}")),
        ("orphan", format!("{server}\n")),
        ("flag", format!("{service}{server} --frobnicate\n")),
        ("binary", "\u{0}\u{1}\u{2}".to_owned()),
        (
            "nobody",
            "-A -t 10.0.0.2:80 -s rr\n-a -t 10.0.0.2:80 -r 10.1.0.1:80\n".to_owned(),
        ),
        ("sound", format!("{service}{server} -w 1\n")),
    ] {
        scene.write(name, text);
    }
    fs::create_dir(scene.path("folder")).expect("a folder");
    refused(
        &scene,
        &[
            "shop.pcap --rules empty",
            "shop.pcap --rules weight",
            "shop.pcap --rules scheduler",
            "shop.pcap --rules host",
            "shop.pcap --rules port",
            "shop.pcap --rules alike",
            "shop.pcap --rules twice",
            "shop.pcap --rules orphan",
            "shop.pcap --rules flag",
            "shop.pcap --rules binary",
            "shop.pcap --rules folder",
            "shop.pcap --rules missing",
            "shop.pcap --rules nobody",
        ],
        1,
        "rules",
    );
    refused(
        &scene,
        &[
            "shop.pcap --rules sound --server 10.1.0.2:80",
            "shop.pcap --rules sound --service 10.0.0.1:80",
        ],
        2,
        "rules_beside_options",
    );
}

#[test]
fn services_that_no_packet_matches() {
    let scene = Scene::new();
    refused(
        &scene,
        &[
            "shop.pcap --service 10.0.0.2:80",
            "shop.pcap --service udp:10.0.0.1:80 --mark 1=tcp:10.0.0.1:81",
            "shop.pcap --service [2001:db8::1]:80",
        ],
        1,
        "services",
    );
    // Where another is matched, it is a warning.
    insta::assert_snapshot!(scene.table(&[
        "replay shop.pcap --policy rr --service 10.0.0.2:80 --service 10.0.0.1:80",
        "replay shop.pcap --policy rr --ops",
    ]));
}

#[test]
fn places_that_cannot_be_written() {
    let scene = Scene::new();
    scene.write("file", "older");
    fs::create_dir(scene.path("folder")).expect("a folder");
    let before = scene.files(".");
    insta::assert_snapshot!(scene.table(&[
        "replay shop.pcap --policy rr --decisions missing/d.csv",
        "replay shop.pcap --policy rr --decisions folder",
        "replay shop.pcap --policy rr --decisions file/d.csv",
        "replay shop.pcap --policy rr --decisions /dev/full",
        "replay shop.pcap --policy rr --out file",
        "replay shop.pcap --policy rr --out file/out",
        "replay shop.pcap --policy rr --decisions folder/runs.csv --out folder",
        "replay shop.pcap --policy rr --decisions runs.csv --out .",
        "replay shop.pcap --policy rr --decisions -",
        "replay shop.pcap --policy rr --out -",
    ]));
    assert!(scene.files(".") == before);

    // Nor is an input replaced.
    scene.write("rules", "-A -t 10.0.0.1:80 -s rr\n");
    std::os::unix::fs::symlink("shop.pcap", scene.path("link")).expect("a link");
    let before = scene.files(".");
    insta::assert_snapshot!(
        "inputs",
        scene.table(&[
            "replay shop.pcap --decisions ./shop.pcap",
            "replay link --decisions shop.pcap",
            "replay shop.pcap --rules rules --decisions rules",
        ])
    );
    assert!(scene.files(".") == before);

    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let mut command = scene.command("replay shop.pcap --policy rr");
    let output = command.stdout(full).output().expect("equipoise starts");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    insta::assert_snapshot!(stderr, @"equipoise: cannot write to standard output: No space left on device (os error 28)");
}

#[test]
fn command_lines_that_clap_refuses() {
    let scene = Scene::new();
    let lines = [
        "replay",
        "replay shop.pcap --speed 9",
        "replay shop.pcap --threads 0",
        "replay shop.pcap --seed=-1",
        "replay shop.pcap --time-scale=-1",
        "replay shop.pcap --time-scale nan",
        "replay shop.pcap --time-scale inf",
        "replay shop.pcap --format xml",
        "balance",
    ];
    for line in lines {
        assert_eq!(scene.run(line).code, Some(2), "{line}");
    }
    insta::assert_snapshot!(scene.table(&lines));
}

/// Each of these replays is refused with one line and this code, and leaves the folder, older
/// outputs in it included, as it was.
fn refused(scene: &Scene, lines: &[&str], code: i32, name: &str) {
    scene.write("d.csv", "older decisions");
    fs::create_dir_all(scene.path("out")).expect("a folder");
    scene.write("out/report.json", "an older report");
    let before = scene.files(".");
    let lines: Vec<String> = lines.iter().map(|line| format!("replay {line}")).collect();
    for line in &lines {
        let ended = scene.run(&format!("{line} --decisions d.csv --out out"));
        let stderr = &ended.stderr;
        assert_eq!(ended.code, Some(code), "{line}: {stderr}");
        assert_eq!(ended.stdout, "", "{line}");
        assert_eq!(stderr.lines().count(), 1, "{line}: {stderr}");
        assert!(stderr.starts_with("equipoise: "), "{line}: {stderr}");
        assert!(scene.files(".") == before, "{line} changed files");
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    insta::assert_snapshot!(name, scene.table(&lines));
}

/// A capture with one packet, which is not IP.
fn arp() -> Vec<u8> {
    let mut bytes = crate::made::pcap(&[(1, [[0xff; 12].as_slice(), &[8, 6], &[0; 28]].concat())]);
    bytes[20] = 1;
    bytes
}
