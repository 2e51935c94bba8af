//! What each option of a replay does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::made::{self, ack, pcap, syn, udp};
use crate::scene::{Row, Scene, reasons};

const RULES: &str = "\
-A -t 10.0.0.1:80 -s sh -b sh-port
-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1
-a -t 10.0.0.1:80 -r 10.1.0.2:80 -m -w 3
-A -t 10.0.0.2:https -s wrr -p 300
-a -t 10.0.0.2:https -r 10.1.0.3:https -g -w 2
";

/// A connection each to 10.0.0.1:80 and 10.0.0.2:443, a second apart, and one for each family to
/// port 53.
fn several_services() -> Scene {
    let scene = Scene::new();
    let packets = [
        (1, syn("192.0.2.1:1025", "10.0.0.1:80")),
        (2, syn("192.0.2.1:1026", "10.0.0.2:443")),
        (3, udp("192.0.2.1:1027", "10.0.0.1:53")),
        (4, udp("[2001:db8:1::1]:1028", "[2001:db8::1]:53")),
    ];
    scene.write("several.pcap", pcap(&packets));
    scene
}

/// Datagrams of one client, two seconds apart.
fn datagrams() -> Scene {
    let scene = Scene::new();
    let packets = [1, 3, 5, 7].map(|second| (second, udp("192.0.2.1:5353", "10.0.0.1:53")));
    scene.write("datagrams.pcap", pcap(&packets));
    scene
}

/// `POLICY SERVICE SERVER*WEIGHT` of each line of the CSV.
fn servers(csv: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let line = |record: csv::StringRecord| {
        format!(
            "{} {} {}*{}",
            &record[0], &record[1], &record[2], &record[4]
        )
    };
    reader
        .records()
        .map(|record| line(record.expect("a record")))
        .collect()
}

fn chosen(rows: &[Row]) -> Vec<(String, Option<u16>)> {
    rows.iter()
        .map(|row| (row.server.clone(), row.server_port))
        .collect()
}

#[test]
fn a_server_belongs_to_the_service_before_it_and_before_any_to_all() {
    let csv = several_services().quiet(
        "replay several.pcap --policy rr --format csv --server 10.1.0.9:8080,weight=2 \
         --service 10.0.0.1:80 --server 10.1.0.1:80 --service tcp:10.0.0.2:443 \
         --server 10.1.0.2:443,weight=65535,method=dr,upper=9,lower=3 --mark 7=udp:10.0.0.1:53",
    );
    insta::assert_snapshot!(servers(&csv).join("\n"), @r"
    rr tcp:10.0.0.1:80 10.1.0.9:8080*2
    rr tcp:10.0.0.1:80 10.1.0.1:80*1
    rr tcp:10.0.0.2:443 10.1.0.9:8080*2
    rr tcp:10.0.0.2:443 10.1.0.2:443*65535
    rr mark 7 10.1.0.9:8080*2
    ");
    assert!(csv.contains(",10.1.0.2:443,dr,65535,9,3,1,"), "{csv}");
}

#[test]
fn servers_alone_are_those_of_the_service_that_is_found() {
    let csv = Scene::new().quiet(
        "replay shop.pcap --policy lc --format csv --server 10.1.0.1:80 --server 10.1.0.2:80",
    );
    insta::assert_snapshot!(servers(&csv).join("\n"), @r"
    lc tcp:10.0.0.1:80 10.1.0.1:80*1
    lc tcp:10.0.0.1:80 10.1.0.2:80*1
    ");
}

#[test]
fn marks_share_a_service_of_each_family() {
    let scene = several_services();
    let rows = scene.decisions(
        "replay several.pcap --policy rr --mark 7=tcp:10.0.0.0/8:80,443 --mark 7=udp:10.0.0.1:* \
         --mark 7=udp:[2001:db8::]/32:50-60",
    );
    let services: Vec<(&str, u16)> = rows
        .iter()
        .map(|row| (row.service.as_str(), row.service_port))
        .collect();
    let wanted = [
        ("10.0.0.1", 80),
        ("10.0.0.2", 443),
        ("10.0.0.1", 53),
        ("2001:db8::1", 53),
    ];
    assert_eq!(services, wanted);
    // Servers of a mark without a port keep the one that the client used.
    let ports: Vec<Option<u16>> = rows.iter().map(|row| row.server_port).collect();
    assert_eq!(ports, [Some(80), Some(443), Some(53), Some(53)]);
}

#[test]
fn rules_keep_their_own_schedulers_unless_policies_replace_them() {
    let scene = several_services();
    scene.write("rules", RULES);
    let report = scene.report("replay several.pcap --rules rules");
    let runs = report["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["policy"], "rules");
    let own: Vec<&Value> = runs[0]["services"]
        .as_array()
        .expect("services")
        .iter()
        .map(|service| &service["scheduler"]["policy"])
        .collect();
    assert_eq!(own, ["sh:sh-port", "wrr"]);
    assert_eq!(report["services"][1]["persistence"]["timeout_s"], 300);

    let csv = scene.quiet("replay several.pcap --rules rules --policy rr --policy lc --format csv");
    insta::assert_snapshot!(servers(&csv).join("\n"), @r"
    rr tcp:10.0.0.1:80 10.1.0.1:80*1
    rr tcp:10.0.0.1:80 10.1.0.2:80*3
    rr tcp:10.0.0.2:443 10.1.0.3:443*2
    lc tcp:10.0.0.1:80 10.1.0.1:80*1
    lc tcp:10.0.0.1:80 10.1.0.2:80*3
    lc tcp:10.0.0.2:443 10.1.0.3:443*2
    ");
}

#[test]
fn persistence_keeps_a_client_where_it_was() {
    let scene = Scene::new();
    let rows = scene.decisions("replay shop.pcap --policy rr --persistent 300");
    let pairs: BTreeSet<(&str, &str)> = rows
        .iter()
        .map(|row| (row.client.as_str(), row.server.as_str()))
        .collect();
    let clients: BTreeSet<&str> = rows.iter().map(|row| row.client.as_str()).collect();
    assert_eq!(pairs.len(), clients.len(), "one server for each client");
    let scheduled = rows.iter().filter(|row| row.reason == "scheduled").count();
    let template = rows.iter().filter(|row| row.reason == "template").count();
    assert_eq!(
        (scheduled, scheduled + template),
        (clients.len(), rows.len())
    );

    // All clients are of 198.18.0.0/15, so that a wider mask makes one of them.
    let rows = scene.decisions("replay shop.pcap --policy rr --persistent 300/255.254.0.0");
    assert_eq!(
        rows.iter().filter(|row| row.reason == "scheduled").count(),
        1
    );
    assert_eq!(chosen(&rows).iter().collect::<BTreeSet<_>>().len(), 1);
}

#[test]
fn one_packet_scheduling_decides_each_datagram() {
    let scene = datagrams();
    let line = "replay datagrams.pcap --policy rr --service udp:10.0.0.1:53";
    assert_eq!(reasons(&scene.decisions(line)), ["scheduled"]);
    let rows = scene.decisions(&format!("{line} --ops"));
    assert_eq!(reasons(&rows), ["scheduled"; 4]);
    assert_eq!(
        rows.iter()
            .map(|row| &row.server)
            .collect::<BTreeSet<_>>()
            .len(),
        4
    );
}

#[test]
fn timeouts_and_time_scale_decide_when_a_connection_is_new() {
    let scene = datagrams();
    for (options, decisions) in [
        ("", 1),
        ("--timeouts 0,0,1", 4),
        ("--timeouts 0,0,1 --time-scale 0", 1),
        ("--timeouts 0,0,1 --time-scale 0.25", 1),
        ("--timeouts 0,0,10", 1),
        ("--timeouts 0,0,10 --time-scale 10", 4),
        ("--timeouts 0,0,10 --time-scale 1e300", 4),
        ("--timeouts 0,0,1 --time-scale 1e-300", 1),
    ] {
        let line = format!("replay datagrams.pcap --policy rr {options}");
        let rows = scene.decisions(&line);
        assert_eq!(rows.len(), decisions, "{line}");
        let capture_times = [1, 3, 5, 7].map(|second| Some(second * 1_000_000_000));
        let times: Vec<Option<u64>> = rows.iter().map(|row| row.time_ns).collect();
        assert_eq!(times[..1], capture_times[..1], "{line}");
        assert!(
            times.iter().all(|time| capture_times.contains(time)),
            "{line}: {times:?}"
        );
    }
}

#[test]
fn at_time_scale_0_there_are_no_means_over_time() {
    let scene = Scene::new();
    let mean_of = |report: &Value, level: &str| {
        report["runs"][0]["services"][0]["servers"][0][level]["mean"].clone()
    };
    for (scale, is_timed) in [("0", false), ("0.5", true), ("1", true), ("10", true)] {
        let line = format!("replay shop.pcap --policy lc --time-scale {scale} --out {scale}");
        let report = scene.report(&line);
        for level in ["active", "entries", "concurrent"] {
            assert_eq!(
                mean_of(&report, level).is_number(),
                is_timed,
                "{line}: {report}"
            );
        }
        let plot = scene.read(&format!("{scale}/concurrency-lc.svg"));
        assert_eq!(plot.contains("connections arrived"), !is_timed, "{line}");
        assert_eq!(plot.contains("time, s"), is_timed, "{line}");
    }
}

#[test]
fn sysctls_change_what_the_kernel_would_do() {
    let scene = Scene::new();
    let packets = [(1, ack("192.0.2.1:1025", "10.0.0.1:80"))];
    scene.write("middle.pcap", pcap(&packets));
    let line = "replay middle.pcap --policy rr --service 10.0.0.1:80";
    assert_eq!(scene.decisions(line), []);
    let ignored = &scene.report(line)["runs"][0]["services"][0]["ignored_packets"];
    assert_eq!(ignored.to_string(), r#"{"mid-stream":1}"#);
    let sloppy = scene.decisions(&format!("{line} --sysctl net.ipv4.vs.sloppy_tcp=1"));
    assert_eq!(reasons(&sloppy), ["scheduled"]);

    let line = "replay shop.pcap --policy lblc --sysctl lblc_expiration=60";
    let report = scene.report(line);
    assert_eq!(report["settings"]["sysctls"]["lblc_expiration"], 60);
    let policy = &report["runs"][0]["services"][0]["scheduler"]["policy"];
    assert_eq!(policy, "lblc:expiration=60");
}

#[test]
fn the_kernel_is_a_setting_and_a_parameter() {
    let report = Scene::new().report("replay shop.pcap --policy lc --policy rr --kernel classic");
    assert_eq!(report["settings"]["kernel"], "classic");
    let policy = |run: usize| &report["runs"][run]["services"][0]["scheduler"]["policy"];
    assert_eq!(
        (policy(0), policy(1)),
        (&"lc:kernel=classic".into(), &"rr".into())
    );
}

#[test]
fn the_seed_decides_what_is_random_and_nothing_else() {
    let scene = Scene::new();
    let decisions = |policy: &str, seed: u32| {
        chosen(&scene.decisions(&format!("replay shop.pcap --policy {policy} --seed {seed}")))
    };
    assert_eq!(decisions("twos", 1), decisions("twos", 1));
    assert_ne!(decisions("twos", 1), decisions("twos", 2));
    assert_eq!(decisions("rr", 1), decisions("rr", 2));
}

#[test]
fn parameters_reach_the_policy() {
    let scene = Scene::new();
    let by_address = scene.decisions("replay shop.pcap --policy sh");
    let by_port = scene.decisions("replay shop.pcap --policy sh:sh-port");
    let servers_of = |rows: &[Row]| {
        let pairs = rows
            .iter()
            .map(|row| (row.client.clone(), row.server.clone()));
        pairs.collect::<BTreeSet<_>>().len()
    };
    let clients = by_address
        .iter()
        .map(|row| &row.client)
        .collect::<BTreeSet<_>>()
        .len();
    assert_eq!(servers_of(&by_address), clients);
    assert!(servers_of(&by_port) > clients);
}

#[test]
fn odd_set_ups_are_replayed_all_the_same() {
    let scene = several_services();
    scene.write("rules", RULES);
    scene.write(
        "exchange.pcap",
        pcap(&{
            let packets = made::exchange("192.0.2.1:1025", "10.0.0.1:80");
            (0..).zip(packets).collect::<Vec<_>>()
        }),
    );
    let many: Vec<String> = (0..300)
        .map(|n| format!("--server 10.1.{}.{}:80", n / 200, n % 200 + 1))
        .collect();
    let many = many.join(" ");
    for line in [
        format!("replay shop.pcap {many}"),
        "replay shop.pcap --server 10.1.0.1:80,weight=0".to_owned(),
        "replay shop.pcap --server 10.1.0.1:80,weight=65535 --server 10.1.0.2:80,weight=1".to_owned(),
        "replay shop.pcap --server 10.1.0.1:80,upper=1 --server 10.1.0.2:80,upper=2,lower=1".to_owned(),
        "replay several.pcap --service 10.0.0.1:0 --persistent 2678400".to_owned(),
        "replay several.pcap --mark 4294967295=udp:[2001:db8::1]/128:53 --persistent 60/64".to_owned(),
        "replay several.pcap --mark 1=tcp:10.0.0.1:80 --ops".to_owned(),
        "replay several.pcap --service udp:[2001:db8::1]:53 --server [2001:db8::2]:53,method=tun --ops".to_owned(),
        "replay exchange.pcap --time-scale 0".to_owned(),
        "replay exchange.pcap --time-scale 1e308 --timeouts 1,1,1".to_owned(),
        "replay several.pcap --rules rules --seed 18446744073709551615".to_owned(),
    ] {
        scene.quiet(&format!("{line} --decisions d.csv --out out"));
    }
}
