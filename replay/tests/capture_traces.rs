//! Real captures: every file of a traces folder is read to its end or to a clear error, and what
//! is observed in it equals the tables beside it.
//!
//! The folder (pool/, truth/, INDEX.tsv, README.md) is the one that `EQUIPOISE_TRACES` names, or
//! `../shared/traces` beside the repository. Without one the test skips and says so.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use equipoise_core::{Endpoint, Protocol, Timestamp};
use equipoise_replay::capture::{CaptureError, Found, Source, Warning};
use equipoise_replay::decode::Decoder;
use equipoise_replay::trace::{Event, Totals, Trace};
use equipoise_replay::track::{
    Basis, Close, Connection, EndpointCount, Endpoints, Retention, Tracker,
};

/// Link types by the names the index uses, of which this version decodes every one.
const DECODED_LINK_TYPES: [&str; 10] = [
    "Ethernet",
    "Ethernet + NULL (BSD loopback)",
    "NULL (BSD loopback)",
    "Linux SLL",
    "Linux SLL2",
    "IPv4 (228)",
    "RAW",
    "PPP",
    "NFLOG",
    "Cisco HDLC",
];

const SFLOW: u16 = 6343;

struct Read {
    connections: Vec<Connection>,
    totals: Totals,
    warnings: Vec<Warning>,
    error: Option<CaptureError>,
}

fn survey(connections: &[Connection]) -> Vec<EndpointCount> {
    let mut endpoints = Endpoints::default();
    for connection in connections {
        endpoints.count(connection);
    }
    endpoints.busiest()
}

/// Rows of a table with a header line, by column name.
fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines
        .map(|line| {
            let fields = line.split('\t').chain(std::iter::repeat(""));
            names
                .iter()
                .zip(fields)
                .map(|(name, field)| ((*name).to_owned(), field.to_owned()))
                .collect()
        })
        .collect()
}

fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("EQUIPOISE_TRACES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("EQUIPOISE_TRACES").is_none(),
        "EQUIPOISE_TRACES names no folder"
    );
    println!("skipped: no folder of real captures (set EQUIPOISE_TRACES)");
    None
}

/// Reads a capture to its end; UDP flows are never split, as in the tables.
fn read(path: &Path) -> Read {
    let mut read = Read {
        connections: Vec::new(),
        totals: Totals::default(),
        warnings: Vec::new(),
        error: None,
    };
    let source = Source::new(path).unwrap();
    let retention = Retention {
        udp_idle_ns: u64::MAX,
        ..Retention::default()
    };
    let tracker = Tracker::new(retention, None);
    let mut trace = match Trace::open(&[source], Decoder::default(), tracker) {
        Ok(trace) => trace,
        Err(error) => {
            read.error = Some(error);
            return read;
        }
    };
    let (mut batch, mut last, mut packets) = (Vec::new(), Timestamp::default(), 0);
    loop {
        match trace.next_batch(&mut batch) {
            Ok(true) => {
                for event in &batch {
                    let Event::Packet(packet) = event else {
                        panic!("nothing is held back");
                    };
                    assert!(packet.time >= last, "{}: time goes back", path.display());
                    last = packet.time;
                }
                packets += batch.len() as u64;
                read.connections.extend(trace.ended());
            }
            Ok(false) => break,
            Err(error) => read.error = Some(error),
        }
    }
    read.connections.extend(trace.ended());
    read.connections.sort_by_key(|connection| connection.number);
    read.totals = trace.totals().clone();
    read.warnings = trace.warnings().cloned().collect();
    let skipped: u64 = read.totals.skipped.values().sum();
    let left_out = trace.inferred().copies + trace.inferred().second_leg_packets;
    let sum = packets + skipped + left_out;
    assert_eq!(read.totals.frames, sum, "{}", path.display());
    if left_out > 0 {
        println!("{}: {:?}", path.display(), trace.inferred());
    }
    read
}

/// The sentence in which the folder's README sets files apart.
fn exceptions(folder: &Path) -> String {
    let readme = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
    readme
        .lines()
        .filter(|line| line.starts_with("Not in the tables to be equalled"))
        .filter_map(|line| line.split(". ").next())
        .collect()
}

fn is_excepted(exceptions: &str, stem: &str) -> bool {
    exceptions
        .split(|letter: char| !letter.is_alphanumeric() && !"_-".contains(letter))
        .any(|word| word == stem)
}

/// Some packets are in this file twice, 4.9 years apart. To the index's tshark, which knows no end of
/// a connection, these are the same connections; for a director they are that many more.
const REPEATED: (&str, usize) = ("ipfixprobe_tls_gap.pcap", 6);

#[test]
fn every_file_is_read_and_counted_as_the_index_says() {
    let Some(folder) = folder() else { return };
    let exceptions = exceptions(&folder);
    let (mut files, mut counted, mut wrong) = (0, 0, Vec::new());
    for row in table(&folder.join("INDEX.tsv")) {
        let (name, format, oddities) = (&row["file"], &row["format"], &row["oddities"]);
        let read = read(&folder.join("pool").join(name));
        files += 1;
        if format.contains("snoop") || format.contains("modified") {
            assert!(
                matches!(
                    read.error,
                    Some(CaptureError::NotACapture {
                        found: Found::OtherCapture(_),
                        ..
                    })
                ),
                "{name}: {:?}",
                read.error
            );
            println!("{name}: refused: {}", read.error.unwrap());
            continue;
        }
        if read.totals.frames.to_string() != row["packets"] {
            wrong.push(format!(
                "{name}: {} frames, the index has {}",
                read.totals.frames, row["packets"]
            ));
        }
        if oddities.contains("error reading to the end") {
            assert!(
                read.error.is_some() || !read.warnings.is_empty(),
                "{name} is broken and nobody said so"
            );
            println!("{name}: {:?} {:?}", read.error, read.warnings);
        } else if read.error.is_some() || !read.warnings.is_empty() {
            wrong.push(format!("{name}: {:?} {:?}", read.error, read.warnings));
        }
        if !oddities.contains("no timestamp") {
            let steps = format!("{} packets earlier than", read.totals.clock_steps_back);
            if oddities.contains("earlier than their predecessor")
                != (read.totals.clock_steps_back > 0)
                || read.totals.clock_steps_back > 0 && !oddities.contains(&steps)
            {
                wrong.push(format!("{name}: {steps} their predecessor, not as listed"));
            }
        }
        let link_type = row["link_type"].split(" (1").next().unwrap();
        if !DECODED_LINK_TYPES.contains(&link_type) {
            println!(
                "{name}: not compared: link type {link_type}: {:?}",
                read.totals.skipped
            );
            continue;
        }
        if is_excepted(&exceptions, name.split('.').next().unwrap()) {
            println!("{name}: not compared: {exceptions}");
            continue;
        }
        counted += 1;
        // The index also counts connections that sFlow datagrams only quote.
        let quotes = read
            .connections
            .iter()
            .any(|connection| connection.server.port == SFLOW);
        let tcp = read
            .connections
            .iter()
            .filter(|connection| connection.protocol == Protocol::Tcp)
            .count();
        let listed: usize = row["tcp_conversations"].parse().unwrap();
        let again = if name == REPEATED.0 { REPEATED.1 } else { 0 };
        if quotes && tcp < listed {
            println!("{name}: {tcp} TCP connections, {listed} with those quoted in sFlow samples");
        } else if tcp != listed + again {
            wrong.push(format!(
                "{name}: {tcp} TCP connections, the index has {listed}; skipped {:?}",
                read.totals.skipped
            ));
        }
        let syn = read
            .connections
            .iter()
            .filter(|connection| connection.basis == Basis::Syn)
            .count();
        let listed: usize = row["tcp_syn_connections"].parse().unwrap();
        if syn != listed + again {
            wrong.push(format!(
                "{name}: {syn} begin with SYN, the index has {listed}"
            ));
        }
    }
    println!("{files} files read, TCP connections compared in {counted}");
    assert!(files > 0, "the index is empty");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One connection as table and tracker both tell it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    client: String,
    server: String,
    established: bool,
    close: String,
    packets: [String; 2],
    payload: [String; 2],
}

fn endpoint(address: &str, port: &str) -> Endpoint {
    Endpoint {
        address: address.parse::<IpAddr>().unwrap().into(),
        port: port.parse().unwrap(),
    }
}

#[test]
fn connections_equal_the_tables() {
    let Some(folder) = folder() else { return };
    let index: BTreeMap<String, String> = table(&folder.join("INDEX.tsv"))
        .into_iter()
        .map(|row| {
            let file = row["file"].clone();
            (file.split('.').next().unwrap().to_owned(), file)
        })
        .collect();
    let exceptions = exceptions(&folder);
    let (mut tables, mut services, mut rows, mut wrong) = (0, 0, 0, Vec::new());
    let mut paths: Vec<PathBuf> = fs::read_dir(folder.join("truth"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let file_name = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = file_name.strip_suffix(".connections.tsv") else {
            continue;
        };
        if is_excepted(&exceptions, name) {
            println!("{name}: not compared: {exceptions}");
            continue;
        }
        let read = read(&folder.join("pool").join(&index[name]));
        let truth = table(&path);
        tables += 1;

        let mut expected: BTreeMap<Endpoint, u64> = BTreeMap::new();
        for row in &truth {
            *expected
                .entry(endpoint(&row["dst"], &row["dport"]))
                .or_default() += 1;
        }
        let observed: BTreeMap<Endpoint, u64> = survey(&read.connections)
            .into_iter()
            .filter(|count| count.protocol == Protocol::Tcp)
            .map(|count| (count.endpoint, count.connections))
            .collect();
        services += expected.len();
        if expected != observed {
            wrong.push(format!("{name}: services {observed:?}, not {expected:?}"));
        }

        let told = read
            .connections
            .iter()
            .filter(|connection| connection.protocol == Protocol::Tcp)
            .map(|connection| Told {
                client: connection.client.to_string(),
                server: connection.server.to_string(),
                established: connection.established,
                close: close(connection).to_owned(),
                packets: [&connection.to_server, &connection.to_client]
                    .map(|traffic| traffic.packets.to_string()),
                payload: [&connection.to_server, &connection.to_client]
                    .map(|traffic| traffic.payload_bytes.to_string()),
            });
        let expected = truth.iter().map(|row| Told {
            client: endpoint(&row["src"], &row["sport"]).to_string(),
            server: endpoint(&row["dst"], &row["dport"]).to_string(),
            established: row["established"] == "1",
            close: row["close"].clone(),
            packets: ["pkts_c2s", "pkts_s2c"].map(|column| row[column].clone()),
            payload: ["payload_bytes_c2s", "payload_bytes_s2c"].map(|column| row[column].clone()),
        });
        rows += truth.len();
        for (place, (told, expected)) in told.zip(expected).enumerate() {
            if told != expected {
                wrong.push(format!(
                    "{name}: connection {place} is {told:?}, the table has {expected:?}"
                ));
            }
        }
        if read.totals.clock_steps_back == 0 {
            for (connection, row) in read
                .connections
                .iter()
                .filter(|connection| connection.protocol == Protocol::Tcp)
                .zip(&truth)
            {
                let expected = nanoseconds(&row["latency_response_s"]);
                if connection.first_response_ns != expected {
                    wrong.push(format!(
                        "{name}: first response after {:?} ns, the table has {expected:?}: {row:?}",
                        connection.first_response_ns
                    ));
                }
            }
        }
    }
    println!("{tables} tables, {services} services and {rows} connections compared");
    assert!(tables > 0, "no table to compare");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn udp_flows_equal_the_tables() {
    let Some(folder) = folder() else { return };
    let mut flows = 0;
    for row in table(&folder.join("INDEX.tsv")) {
        let name = row["file"].split('.').next().unwrap();
        let path = folder.join(format!("truth/{name}.udpflows.tsv"));
        if !path.exists() {
            continue;
        }
        let read = read(&folder.join("pool").join(&row["file"]));
        // Some dissectors give one 5-tuple two streams: what counts is the sum.
        let mut observed: BTreeMap<(Endpoint, Endpoint), [u64; 2]> = BTreeMap::new();
        for connection in &read.connections {
            if connection.protocol == Protocol::Udp {
                let packets = observed
                    .entry((connection.client, connection.server))
                    .or_default();
                packets[0] += connection.to_server.packets;
                packets[1] += connection.to_client.packets;
            }
        }
        let mut expected: BTreeMap<(Endpoint, Endpoint), [u64; 2]> = BTreeMap::new();
        for row in table(&path) {
            let client = endpoint(&row["src"], &row["sport"]);
            let packets = expected
                .entry((client, endpoint(&row["dst"], &row["dport"])))
                .or_default();
            packets[0] += row["pkts_c2s"].parse::<u64>().unwrap();
            packets[1] += row["pkts_s2c"].parse::<u64>().unwrap();
        }
        flows += expected.len();
        assert!(
            observed == expected,
            "{name}: {observed:?}, not {expected:?}"
        );
    }
    println!("{flows} UDP flows compared");
}

/// As the tables write it.
fn close(connection: &Connection) -> &'static str {
    match connection.close {
        Some(Close::Fin) => "FIN",
        Some(Close::Reset) => "RST",
        None => "none",
    }
}

/// Seconds with nine decimals, as integer nanoseconds; none for an empty field.
fn nanoseconds(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.')?;
    Some(whole.parse::<u64>().unwrap() * 1_000_000_000 + fraction.parse::<u64>().unwrap())
}
