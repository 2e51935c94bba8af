//! `equipoise inspect`: what it says of captures, and how it ends. That connections are observed
//! rightly is proved elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use equipoise_tests::data;
use serde_json::Value;

use crate::captures::gzip;
use crate::made::{ack, exchange, pcap, pcapng, syn, udp};
use crate::scene::{SHOP, Scene, shop};

/// Two services over two protocols and both families, one of them seen from its middle on.
fn mixed() -> Vec<u8> {
    let mut packets = exchange("192.0.2.1:1025", "10.0.0.1:80");
    packets.extend(exchange("192.0.2.1:1026", "10.0.0.1:80"));
    packets.push(ack("192.0.2.2:1027", "10.0.0.1:80"));
    packets.push(syn("192.0.2.3:1027", "10.0.0.1:80"));
    packets.push(udp("192.0.2.2:1027", "10.0.0.3:53"));
    packets.push(udp("10.0.0.3:53", "192.0.2.2:1027"));
    packets.push(udp("[2001:db8::7]:1027", "[2001:db8::1]:53"));
    pcap(&(1_700_000_000..).zip(packets).collect::<Vec<_>>())
}

/// What `inspect` prints as JSON, quietly.
fn inspected(scene: &Scene, line: &str) -> Value {
    let json = scene.quiet(&format!("inspect {line} --format json"));
    serde_json::from_str(&json).expect("JSON")
}

#[test]
fn the_bundled_capture() {
    insta::assert_snapshot!(Scene::new().quiet("inspect shop.pcap"));
}

#[test]
fn json_of_the_bundled_capture() {
    insta::assert_snapshot!(Scene::new().quiet("inspect shop.pcap --format json"));
}

#[test]
fn help() {
    insta::assert_snapshot!(Scene::new().quiet("inspect --help"));
}

#[test]
fn several_services_in_several_captures() {
    let scene = Scene::new();
    scene.write("it's mixed.pcap", mixed());
    fs::create_dir(scene.path("two")).expect("a folder");
    scene.write("two/a.pcap", mixed());
    scene.write(
        "two/b.pcap",
        pcap(&[(1_700_000_017, syn("192.0.2.9:1", "10.0.0.9:443"))]),
    );
    insta::assert_snapshot!(scene.quiet("inspect two"));
    insta::assert_snapshot!(scene.quiet("inspect two --top 1"));
    insta::assert_snapshot!(scene.quiet("inspect two --top 2 --format json"));
}

#[test]
fn the_line_it_gives_replays_what_was_inspected() {
    let scene = Scene::new();
    let name = "it's $HOME [a*] \u{fc}.pcap";
    scene.write(name, shop());
    scene.write("-x.pcap", mixed());
    let mut command = scene.command("inspect --format json --tunnels inner -- -x.pcap");
    let output = command.arg(name).output().expect("equipoise starts");
    let inspection: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let line = inspection["replay"].as_str().expect("a line");
    insta::assert_snapshot!(line, @r"equipoise replay --service tcp:10.0.0.1:80 --tunnels inner -- -x.pcap 'it'\''s $HOME [a*] ü.pcap'");

    let arguments = line.strip_prefix("equipoise ").expect("our name");
    let shell = format!(
        "exec \"$EQUIPOISE\" {}",
        arguments.replace(" -- ", " --policy rr --format json -- ")
    );
    let replayed = Command::new("sh")
        .args(["-c", &shell])
        .current_dir(scene.path("."))
        .env("EQUIPOISE", equipoise_tests::command::binary())
        .output()
        .expect("a shell");
    let report: Value = serde_json::from_slice(&replayed.stdout).expect("JSON");
    let names = |of: &Value| -> Vec<String> {
        let captures = of["captures"].as_array().expect("captures");
        captures
            .iter()
            .map(|capture| capture["name"].to_string())
            .collect()
    };
    assert_eq!(names(&report["trace"]), names(&inspection));
    assert_eq!(
        report["services"][0]["observed_connections"],
        inspection["services"][0]["connections"]
    );
}

#[test]
fn the_whole_and_its_parts_hold_the_same() {
    let scene = Scene::new();
    let whole = inspected(&scene, SHOP);
    assert_eq!(whole, inspected(&scene, SHOP), "a second time");
    // A pcap's record: seconds, microseconds, captured and original length, bytes.
    let bytes = shop();
    let (header, mut rest) = bytes.split_at(24);
    let mut parts = [header.to_vec(), header.to_vec(), header.to_vec()];
    let mut place = 0;
    while !rest.is_empty() {
        let captured = rest[8..12]
            .try_into()
            .map(u32::from_le_bytes)
            .expect("a length");
        let (record, later) = rest.split_at(16 + captured as usize);
        parts[(place / 3_000).min(2)].extend(record);
        (place, rest) = (place + 1, later);
    }
    for (part, name) in parts.iter().zip(["2.pcap", "0.pcap", "1.pcap"]) {
        scene.write(name, part);
    }
    let split = inspected(&scene, "[0-9].pcap");
    assert_eq!(split["captures"].as_array().map(Vec::len), Some(3));
    for field in [
        "total",
        "protocols",
        "skipped_packets",
        "services",
        "rest",
        "warnings",
    ] {
        assert_eq!(split[field], whole[field], "{field}");
    }
    let input = scene.run_with_input("inspect - --format json", &bytes);
    assert_eq!(
        input
            .stdout
            .replace("standard input", SHOP)
            .replace("80 -\"", "80 shop.pcap\""),
        scene.quiet("inspect shop.pcap --format json")
    );
}

#[test]
fn of_many_captures_the_ends_are_shown_and_those_with_something_to_say() {
    let scene = Scene::new();
    fs::create_dir(scene.path("many")).expect("a folder");
    for place in 0..14 {
        let client = format!("192.0.2.1:{}", 2_000 + place);
        let mut capture = pcap(&[(100 + place, syn(&client, "10.0.0.1:80"))]);
        if place == 6 {
            capture.extend([0; 7]);
        }
        scene.write(&format!("many/{place:02}.pcap"), capture);
    }
    let ended = scene.run("inspect many");
    assert_eq!(ended.code, Some(0));
    let captures = ended.stdout.split("\n\n").next().expect("a table");
    insta::assert_snapshot!(captures);
}

#[test]
fn real_servers_behind_a_director_are_no_services() {
    let scene = Scene::new();
    let legs = [
        exchange("192.0.2.1:1025", "10.0.0.1:80"),
        exchange("192.0.2.1:1025", "10.1.0.1:8080"),
    ];
    let [one, other] = legs.map(Vec::into_iter);
    let packets = one
        .zip(other)
        .flat_map(<[_; 2]>::from)
        .map(|packet| (7, packet));
    scene.write("legs.pcap", pcap(&packets.collect::<Vec<_>>()));
    let inspection = inspected(&scene, "legs.pcap");
    assert_eq!(inspection["services_found"], 1);
    assert_eq!(inspection["services"][0]["service"], "tcp:10.0.0.1:80");
    assert_eq!(inspection["services"][0]["to_server"]["packets"], 4);
    assert_eq!(inspection["left_out"]["second_legs"], 1);
    assert_eq!(inspection["left_out"]["second_leg_packets"], 6);
    assert_eq!(inspection["protocols"]["tcp"]["packets"], 12);
}

#[test]
fn files_are_told_apart_by_their_type() {
    let scene = Scene::new();
    let packets = [(Some(1), syn("192.0.2.1:1025", "10.0.0.1:80"))];
    scene.write("a.pcapng", pcapng(&packets));
    scene.write("b", gzip(&shop()));
    // That the captures do not follow each other is told besides.
    let inspected = |line: &str| -> Value {
        let ended = scene.run(&format!("inspect {line} --format json"));
        assert_eq!(ended.code, Some(0));
        serde_json::from_str(&ended.stdout).expect("JSON")
    };
    let json = inspected("a.pcapng b shop.pcap");
    let types = [0, 1, 2].map(|place| json["captures"][place]["file_type"].clone());
    let plain = "pcap (microseconds, little-endian)";
    assert_eq!(types, ["pcapng", &format!("{plain}, gzip"), plain]);
    // A table tells of what it was made of.
    scene.run("extract a.pcapng b shop.pcap -o table.parquet");
    assert_eq!(inspected("table.parquet")["captures"], json["captures"]);
}

#[test]
fn tunnels_are_looked_into_on_request() {
    let scene = Scene::new();
    let inner = syn("192.0.2.1:1025", "10.0.0.1:80");
    let mut tunnelled = udp("10.9.0.1:1", "10.9.0.2:2");
    tunnelled.truncate(20);
    tunnelled[3] = 20 + inner.len() as u8;
    tunnelled[9] = 4;
    tunnelled.extend(inner);
    scene.write("ipip.pcap", pcap(&[(1, tunnelled)]));
    let outer = inspected(&scene, "ipip.pcap");
    assert_eq!(outer["skipped_packets"]["IP protocol 4"], 1);
    let inner = inspected(&scene, "ipip.pcap --tunnels inner");
    assert_eq!(inner["services"][0]["service"], "tcp:10.0.0.1:80");
}

#[test]
fn tunnels_go_to_ports_of_their_own_and_to_given_ones() {
    let scene = Scene::new();
    let inner = syn("192.0.2.1:1025", "10.0.0.1:80");
    let vxlan = |port: u16| {
        let mut packet = udp("10.9.0.1:1", &format!("10.9.0.2:{port}"));
        packet.extend([8, 0, 0, 0, 0, 0, 42, 0]);
        packet.extend([0; 12]);
        packet.extend([8, 0]);
        packet.extend(&inner);
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet[24..26].copy_from_slice(&(length - 20).to_be_bytes());
        packet
    };
    for port in [8_472, 4_789, 5_555] {
        let packets = [(1, vxlan(port))];
        scene.write(&format!("{port}.pcap"), pcap(&packets));
    }
    for line in [
        "8472.pcap --tunnels inner",
        "4789.pcap --tunnels inner",
        "5555.pcap --tunnels inner --tunnel-port vxlan=5555 --tunnel-port gue=7000",
    ] {
        let inspection = inspected(&scene, line);
        assert_eq!(inspection["services"][0]["service"], "tcp:10.0.0.1:80");
    }
    let given = "5555.pcap --tunnels inner --tunnel-port vxlan=5555";
    let inspection = inspected(&scene, given);
    insta::assert_snapshot!(inspection["replay"].as_str().expect("a line"), @"equipoise replay --service tcp:10.0.0.1:80 --tunnels inner --tunnel-port 'vxlan=5555' 5555.pcap");
    insta::assert_snapshot!(inspection["tunnel_ports"], @r#"{"geneve":[6081],"gue":[6080],"vxlan":[4789,5555,8472]}"#);
    let outer = inspected(&scene, "5555.pcap --tunnels inner");
    assert_eq!(outer["services"][0]["service"], "udp:10.9.0.2:5555");
    // A table remembers, and does not take others.
    scene.quiet(&format!("extract {given} -o table.parquet"));
    let again = inspected(&scene, "table.parquet");
    assert_eq!(again["tunnel_ports"], inspection["tunnel_ports"]);
    let report = scene.report("replay table.parquet --policy rr");
    assert_eq!(report["trace"]["tunnel_ports"], inspection["tunnel_ports"]);
    assert_eq!(report["trace"]["tunnels"], "inner");
    insta::assert_snapshot!(scene.table(&[
        "inspect table.parquet --tunnels inner --tunnel-port vxlan=5556",
        "inspect 5555.pcap --tunnels inner --tunnel-port vxlan=0",
        "inspect 5555.pcap --tunnels inner --tunnel-port gre=1",
        "inspect 5555.pcap --tunnels inner --tunnel-port gue=7 --tunnel-port vxlan=7",
        "inspect 5555.pcap --tunnel-port vxlan=5555",
    ]));
}

#[test]
fn captures_without_connections_are_no_failure() {
    let scene = Scene::new();
    scene.write("empty.pcap", pcap(&[]));
    let icmp = {
        let mut packet = udp("192.0.2.1:1", "10.0.0.1:1");
        packet[9] = 1;
        packet
    };
    scene.write("icmp.pcap", pcap(&[(1, icmp)]));
    insta::assert_snapshot!(scene.quiet("inspect empty.pcap"));
    insta::assert_snapshot!(scene.quiet("inspect icmp.pcap"));
    assert_eq!(inspected(&scene, "icmp.pcap")["replay"], Value::Null);
}

#[test]
fn packets_before_the_first_time_do_not_lengthen_a_service() {
    let scene = Scene::new();
    let packets = [
        (None, udp("192.0.2.1:1025", "10.0.0.1:53")),
        (Some(100), udp("10.0.0.1:53", "192.0.2.1:1025")),
        (Some(102), udp("192.0.2.1:1025", "10.0.0.1:53")),
    ];
    scene.write("late.pcapng", pcapng(&packets));
    let ended = scene.run("inspect late.pcapng --format json");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let inspection: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let service = &inspection["services"][0];
    assert_eq!(service["connections"], 1);
    assert_eq!(service["first_ns"], 100_000_000_000_u64);
    assert_eq!(service["last_ns"], 102_000_000_000_u64);
    assert_eq!(service["observed_first_response"], Value::Null);
}

#[test]
fn what_cannot_be_inspected() {
    let scene = Scene::new();
    scene.write("text", "no capture");
    let mut bytes = shop();
    bytes[200_000..200_400].fill(0xff);
    scene.write("garbage.pcap", bytes);
    scene.write("cut.pcap", &shop()[..300_000]);
    insta::assert_snapshot!(scene.table(&[
        "inspect",
        "inspect missing.pcap",
        "inspect text",
        "inspect - -",
        "inspect shop.pcap --top 0",
        "inspect garbage.pcap",
        "inspect cut.pcap",
        "inspect shop.pcap garbage.pcap",
    ]));
}

#[test]
fn names_cannot_steer_the_terminal() {
    let scene = Scene::new();
    let name = "a\u{1b}[31mb.pcap";
    scene.write(name, mixed());
    let output = scene
        .command("inspect")
        .arg(name)
        .output()
        .expect("equipoise starts");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!table.contains('\u{1b}'), "{table}");
    assert!(
        table.ends_with("replay --service tcp:10.0.0.1:80 $'a\\033[31mb.pcap'\n"),
        "{table}"
    );
}

/// Sums over a service of the tables beside real captures.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    connections: u64,
    clients: BTreeSet<String>,
    packets: [u64; 2],
    payload_bytes: [u64; 2],
    established: u64,
    /// FIN, RST, neither.
    closed_by: [u64; 3],
}

/// Captures with connections inside a tunnel that is not looked into, or split by long silence.
const EXCEPTED: [&str; 1] = ["zeek_gre_aruba"];

#[test]
fn services_of_real_captures_equal_the_tables() {
    let Some(folder) = data::folder("EQUIPOISE_TRACES", "../shared/traces") else {
        println!("skipped: no folder of real captures (set EQUIPOISE_TRACES)");
        return;
    };
    let scene = Scene::new();
    let (mut compared, mut wrong) = (0, Vec::new());
    let index = data::text(&folder.join("INDEX.tsv"));
    for file in index
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
    {
        let name = file.split('.').next().unwrap_or(file);
        let table = folder.join(format!("truth/{name}.connections.tsv"));
        if !table.exists() || EXCEPTED.contains(&name) {
            continue;
        }
        let capture = folder.join("pool").join(file);
        let mut command = scene.command("inspect --format json --top 100000");
        let output = command.arg(capture).output().expect("equipoise starts");
        let inspection: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let expected = sums(&data::text(&table));
        for (service, sums) in &expected {
            compared += 1;
            let services = inspection["services"].as_array().expect("services");
            let found = services
                .iter()
                .find(|found| found["service"] == service.as_str());
            if found.is_none_or(|found| !equals(found, sums)) {
                wrong.push(format!("{name} {service}: {sums:?}, but found {found:?}"));
            }
        }
        let tcp = &inspection["protocols"]["tcp"]["connections"];
        let all: u64 = expected.values().map(|sums| sums.connections).sum();
        assert_eq!(*tcp, all, "{name}");
    }
    println!("{compared} services compared");
    assert!(compared > 100, "only {compared} services compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn equals(found: &Value, sums: &Sums) -> bool {
    let ways = [&found["to_server"], &found["to_client"]];
    let closed = ["fin", "reset", "neither"].map(|by| found["closed_by"][by].as_u64());
    found["connections"] == sums.connections
        && found["clients"] == sums.clients.len() as u64
        && found["established"] == sums.established
        && ways.map(|way| way["packets"].as_u64()) == sums.packets.map(Some)
        && ways.map(|way| way["payload_bytes"].as_u64()) == sums.payload_bytes.map(Some)
        && closed == sums.closed_by.map(Some)
}

fn sums(table: &str) -> BTreeMap<String, Sums> {
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for line in lines {
        let row: BTreeMap<&str, &str> = names.iter().copied().zip(line.split('\t')).collect();
        let number = |column: &str| row[column].parse::<u64>().expect("a number");
        let address = row["dst"];
        let service = if address.contains(':') {
            format!("tcp:[{address}]:{}", row["dport"])
        } else {
            format!("tcp:{address}:{}", row["dport"])
        };
        let sums = sums.entry(service).or_default();
        sums.connections += 1;
        sums.clients.insert(row["src"].to_owned());
        for (place, way) in ["c2s", "s2c"].into_iter().enumerate() {
            sums.packets[place] += number(&format!("pkts_{way}"));
            sums.payload_bytes[place] += number(&format!("payload_bytes_{way}"));
        }
        sums.established += number("established");
        let place = match row["close"] {
            "FIN" => 0,
            "RST" => 1,
            _ => 2,
        };
        sums.closed_by[place] += 1;
    }
    sums
}

/// What a made capture asks for is known: `synth` counts it.
#[test]
fn requests_are_told_where_they_are_asked_for() {
    let scene = Scene::new();
    scene.run("synth --preset reuse --connections 40 --seed 2 -o made.pcap");
    let line = "inspect made.pcap --requests --top 3";
    insta::assert_snapshot!(scene.quiet(line));
    let inspection: serde_json::Value =
        serde_json::from_str(&scene.quiet(&format!("{line} --format json"))).expect("JSON");
    insta::assert_snapshot!(serde_json::to_string_pretty(&inspection["requests"]).expect("JSON"));
    scene.run("extract made.pcap -o made.parquet");
    let ended = scene.run("inspect made.parquet --requests");
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(0),
            "equipoise: warning: a table of connections holds no payload: no requests are read\n"
        )
    );
}
