//! The decisions file: its columns, its order, and which packets have a row.

use crate::made::{ack, exchange, pcap, pcapng, syn, udp};
use crate::scene::{Scene, reasons, rows};

const HEADER: &str = "capture,policy,connection,packet,time_ns,protocol,client,client_port,\
                      service,service_port,server,server_port,reason";

#[test]
fn columns_and_order() {
    let scene = Scene::new();
    scene.quiet("replay shop.pcap --policy wlc --policy dh --policy rr --decisions d.csv");
    let csv = scene.read("d.csv");
    assert_eq!(csv.lines().next(), Some(HEADER));
    insta::assert_snapshot!(csv.lines().skip(1).take(3).collect::<Vec<_>>().join("\n"));

    let rows = rows(&csv);
    assert_eq!(rows.len(), 3 * 473);
    let mut policies: Vec<&str> = rows.iter().map(|row| row.policy.as_str()).collect();
    policies.dedup();
    assert_eq!(policies, ["wlc", "dh", "rr"]);
    for run in rows.chunk_by(|one, next| one.policy == next.policy) {
        assert!(run.is_sorted_by(|one, next| one.packet < next.packet));
        let connections = run.iter().filter_map(|row| row.connection);
        assert_eq!(
            connections.collect::<std::collections::BTreeSet<_>>().len(),
            473
        );
    }
}

/// Two clients; the first comes back with the same port when its connection has ended, and a
/// stray packet and a datagram for nobody lie between.
fn mixture() -> Vec<u8> {
    let mut packets = Vec::new();
    for packet in exchange("192.0.2.1:1025", "10.0.0.1:80") {
        packets.push((1, packet));
    }
    packets.push((2, ack("192.0.2.9:999", "10.0.0.1:80")));
    packets.push((2, udp("192.0.2.9:999", "10.0.0.1:53")));
    packets.push((3, syn("192.0.2.1:1025", "10.0.0.1:80")));
    packets.push((4, syn("192.0.2.1:1026", "10.0.0.1:80")));
    packets.push((5, syn("192.0.2.2:1025", "10.0.0.1:80")));
    pcap(&packets)
}

#[test]
fn a_row_for_each_packet_that_creates_a_connection_or_would() {
    let scene = Scene::new();
    scene.write("mixture.pcap", mixture());
    let of = |options: &str| {
        let rows = scene.decisions(&format!(
            "replay mixture.pcap --service 10.0.0.1:80 --server 10.1.0.1:80,{options}"
        ));
        let row = |row: &crate::scene::Row| {
            let server = row
                .server_port
                .map_or("-".to_owned(), |port| format!("{}:{port}", row.server));
            assert_eq!(row.server.is_empty(), row.server_port.is_none());
            format!("{} {} {}", row.packet, server, row.reason)
        };
        rows.iter().map(row).collect::<Vec<_>>().join(", ")
    };
    insta::assert_snapshot!(of("weight=1 --policy rr"), @"1 10.1.0.1:80 scheduled, 9 10.1.0.1:80 reused, 10 10.1.0.1:80 scheduled, 11 10.1.0.1:80 scheduled");
    // A connection under a template is not scheduled anew, nor one in FIN_WAIT of which only the
    // client is seen.
    insta::assert_snapshot!(of("weight=1 --policy rr --persistent 60"), @"1 10.1.0.1:80 scheduled, 10 10.1.0.1:80 template, 11 10.1.0.1:80 scheduled");
    insta::assert_snapshot!(of("weight=0 --policy rr"), @"1 - no-destination, 9 - no-destination, 10 - no-destination, 11 - no-destination");
    insta::assert_snapshot!(of("weight=1,upper=1 --policy rr"), @"1 10.1.0.1:80 scheduled, 9 - no-destination, 10 10.1.0.1:80 scheduled, 11 - no-destination");
    insta::assert_snapshot!(of("weight=1,method=dr --policy rr"), @"1 10.1.0.1:80 scheduled, 10 10.1.0.1:80 scheduled, 11 10.1.0.1:80 scheduled");
    insta::assert_snapshot!(of("weight=1 --policy rr --sysctl conn_reuse_mode=0"), @"1 10.1.0.1:80 scheduled, 10 10.1.0.1:80 scheduled, 11 10.1.0.1:80 scheduled");
}

#[test]
fn packets_count_from_1_in_their_capture_and_bear_its_time() {
    let scene = Scene::new();
    let service = "10.0.0.1:80";
    let early = [
        (1, syn("192.0.2.1:1025", service)),
        (5, syn("192.0.2.1:1026", service)),
    ];
    let late = [
        (3, syn("192.0.2.2:1025", service)),
        (9, syn("192.0.2.2:1026", service)),
    ];
    scene.write("early.pcap", pcap(&early));
    scene.write("late.pcap", pcap(&late));
    for (line, scale) in [("late.pcap early.pcap", 1), ("early.pcap late.pcap", 3)] {
        let ended = scene.run(&format!(
            "replay {line} --policy rr --time-scale {scale} --decisions decisions.csv"
        ));
        assert_eq!(ended.code, Some(0));
        assert!(
            ended.stderr.contains("overlap by 2.000 s"),
            "{}",
            ended.stderr
        );
        let rows = rows(&scene.read("decisions.csv"));
        let places: Vec<(&str, u64, Option<u64>)> = rows
            .iter()
            .map(|row| {
                (
                    row.capture.as_str(),
                    row.packet,
                    row.time_ns.map(|ns| ns / 1_000_000_000),
                )
            })
            .collect();
        let wanted = [
            ("early.pcap", 1, Some(1)),
            ("late.pcap", 1, Some(3)),
            ("early.pcap", 2, Some(5)),
            ("late.pcap", 2, Some(9)),
        ];
        assert_eq!(places, wanted, "{line}");
    }
}

#[test]
fn packets_without_a_time_have_rows_without_one() {
    let scene = Scene::new();
    let packets = exchange("192.0.2.1:1025", "10.0.0.1:80");
    let timeless: Vec<_> = packets.into_iter().map(|packet| (None, packet)).collect();
    scene.write("timeless.pcapng", pcapng(&timeless));
    let ended = scene.run("replay timeless.pcapng --policy rr --decisions d.csv --out out");
    assert_eq!(ended.code, Some(0));
    insta::assert_snapshot!(ended.stderr);
    let rows = rows(&scene.read("d.csv"));
    assert_eq!(reasons(&rows), ["scheduled"]);
    assert_eq!(rows[0].time_ns, None);
}

#[test]
fn a_trace_begins_with_its_first_time() {
    let scene = Scene::new();
    let times = [None, Some(1_000_000_000), None, Some(1_000_000_010)];
    let packets: Vec<_> = (1025..)
        .zip(times)
        .map(|(port, second)| (second, syn(&format!("192.0.2.1:{port}"), "10.0.0.1:80")))
        .collect();
    scene.write("late.pcapng", pcapng(&packets));
    let ended = scene
        .run("replay late.pcapng --policy rr --server 10.1.0.1:80 --decisions d.csv --format json");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let seconds = |row: &crate::scene::Row| row.time_ns.map(|ns| (ns / 1_000_000_000) as u32);
    let rows = rows(&scene.read("d.csv"));
    assert_eq!(rows.iter().map(seconds).collect::<Vec<_>>(), times);
    // Three wait for the last one, ten seconds long.
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let entries = &report["runs"][0]["services"][0]["servers"][0]["entries"];
    assert_eq!(
        (&entries["peak"], &entries["mean"]),
        (&4.into(), &3.0.into())
    );
}

#[test]
fn one_file_replaces_an_older_one_whole() {
    let scene = Scene::new();
    scene.write("d.csv", "old\n".repeat(1_000_000));
    let rows = scene.decisions("replay shop.pcap --policy rr");
    scene.quiet("replay shop.pcap --policy rr --decisions d.csv");
    assert_eq!(scene.read("d.csv"), scene.read("decisions.csv"));
    assert_eq!(rows.len(), 473);
    let names: Vec<String> = scene.files(".").into_iter().map(|(path, _)| path).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}
