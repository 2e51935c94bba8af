//! Real captures: every connection's requests equal the tables beside them, which tshark made.
//!
//! The folder is the one that `EQUIPOISE_TRACES` names, or `../shared/traces` beside the
//! repository. Without one the test skips and says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use equipoise_core::Protocol;
use equipoise_replay::capture::Source;
use equipoise_replay::decode::Decoder;
use equipoise_replay::request::{Content, Http, Request, Requests};
use equipoise_replay::trace::Trace;
use equipoise_replay::track::{Connection, Holding, Retention, Tracker};

/// Where tshark took no packet apart, the table says what the payload looks like, and counts
/// nothing: how many requests there are whole in such connections, by a look at each payload. In
/// these captures bodies are missing, for which tshark waits, or ports are not known to it.
const NOT_DISSECTED: [(&str, u64); 2] = [("ppp_http_requests_only", 114), ("tulip_demo_sll", 2)];

/// Connections of `ppp_http_requests_only` in which tshark waits for a body that was filtered out,
/// and tells of no request until there is one without: by the client's port, how many payloads
/// begin with a whole head, and the first one's method.
const WITHOUT_BODIES: [(u16, u64, &str); 6] = [
    (60572, 3, "POST"),
    (60574, 3, "POST"),
    (60583, 7, "POST"),
    (60623, 2, "POST"),
    (61017, 14, "OPTIONS"),
    (61414, 3, "GET"),
];

/// Connections of `zeek_http_methods` with a request line that is none of HTTP/1 (`GET / HTTP/1.`,
/// `GET /HTTP/1.1`, `OPTIONS`), which tshark lets pass and RFC 9112 3 does not; by port.
const NO_REQUEST_LINE: [u16; 18] = [
    46563, 46565, 46567, 46568, 46577, 46578, 46582, 46583, 46587, 46588, 46592, 46593, 46597,
    46598, 46602, 46603, 46607, 46608,
];

/// Handshakes of TLS and QUIC, as tshark shows them: one a connection.
const HANDSHAKES: [(&str, u64, u64); 9] = [
    ("ndpi_http_ipv6.pcap", 6, 0),
    ("ndpi_opera_vpn_62conn.pcapng", 61, 0),
    ("ndpi_pinterest_v6_full.pcap", 20, 0),
    ("ndpi_sites_22ifaces.pcapng", 55, 4),
    // Three more begin as SSL 2 did.
    ("retina_tls_ciphers.pcap", 70, 0),
    ("retina_quic.pcap", 0, 3),
    ("zeek_ppp_quic_retry.pcap", 0, 1),
    ("zeek_quic_chromium_defrag.pcap", 0, 1),
    // Before it had this header.
    ("ndpi_quic.pcap", 0, 0),
];

/// Of a connection: how many requests, and the first one's method, host and target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    requests: u64,
    method: String,
    host: String,
    target: String,
}

impl Row {
    fn of(requests: &[&Http]) -> Self {
        let Some(first) = requests.first() else {
            return Self::default();
        };
        Self {
            requests: requests.len() as u64,
            method: first.method().to_owned(),
            host: first.host().map(text).unwrap_or_default(),
            target: text(first.target()),
        }
    }
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

/// Rows of a table with a header line, by column name.
fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let fields = |line: &str| {
        let fields = line.split('\t').chain(std::iter::repeat(""));
        let both = names.iter().zip(fields);
        both.map(|(name, field)| ((*name).to_owned(), field.to_owned()))
            .collect()
    };
    lines.map(fields).collect()
}

/// Connections, and requests in the order of their connections.
fn read(path: &Path, holding: Option<Holding>) -> (Vec<Connection>, Vec<Request>) {
    let retention = Retention {
        udp_idle_ns: u64::MAX,
        ..Retention::default()
    };
    let sources = [Source::new(path).unwrap()];
    let tracker = Tracker::new(retention, holding);
    let trace = Trace::open(&sources, Decoder::default(), tracker).unwrap();
    let mut trace = trace.with_requests(Requests::default());
    let (mut batch, mut connections, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let more = trace.next_batch(&mut batch).unwrap_or(true);
        connections.extend(trace.ended());
        let reading = trace.requests().unwrap();
        reading.finished(|request| requests.push(request.clone()));
        if !more {
            break;
        }
    }
    connections.sort_by_key(|connection| connection.number);
    requests.sort_by_key(|request| (request.connection, request.number));
    (connections, requests)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn requests_equal_the_tables() {
    let Some(folder) = folder() else { return };
    let files: BTreeMap<String, String> = table(&folder.join("INDEX.tsv"))
        .into_iter()
        .map(|row| {
            let file = row["file"].clone();
            (file.split('.').next().unwrap().to_owned(), file)
        })
        .collect();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder.join("truth"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let (mut tables, mut with_requests, mut requests, mut wrong) = (0, 0, 0, Vec::new());
    for path in paths {
        let file_name = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = file_name.strip_suffix(".connections.tsv") else {
            continue;
        };
        tables += 1;
        let truth = table(&path);
        let (connections, found) = read(&folder.join("pool").join(&files[name]), None);
        let connections = connections.iter();
        let of_tcp = connections.filter(|connection| connection.protocol == Protocol::Tcp);
        let mut not_dissected = 0;
        for (connection, row) in of_tcp.zip(&truth) {
            let begin = found.partition_point(|other| other.connection < connection.number);
            let end = found.partition_point(|other| other.connection <= connection.number);
            let of_http: Vec<&Http> = found[begin..end].iter().filter_map(Request::http).collect();
            let found = Row::of(&of_http);
            let listed = Row {
                requests: row["http_requests"].parse().unwrap(),
                method: row["http_method"].clone(),
                host: row["http_host"].clone(),
                target: row["http_uri"].clone(),
            };
            with_requests += u64::from(found.requests > 0);
            requests += found.requests;
            let port = connection.client.port;
            let bodies = WITHOUT_BODIES.iter().find(|(client, ..)| *client == port);
            let is_right = match (name, bodies) {
                ("ppp_http_requests_only", Some(&(_, requests, method))) => {
                    found.requests == requests && found.method == method
                }
                ("zeek_http_methods", _) if NO_REQUEST_LINE.contains(&port) => {
                    found == Row::default() && listed.requests == 1
                }
                _ if row["http_basis"] == "raw" => {
                    not_dissected += found.requests;
                    let counted = Row {
                        requests: found.requests,
                        ..listed.clone()
                    };
                    found.requests == 0 || found == counted
                }
                _ => found == listed,
            };
            if !is_right {
                wrong.push(format!(
                    "{name}: {port}: {found:?}, the table has {listed:?}"
                ));
            }
        }
        let known = NOT_DISSECTED.iter().find(|(file, _)| *file == name);
        assert_eq!(not_dissected, known.map_or(0, |known| known.1), "{name}");
    }
    println!("{tables} tables, {with_requests} connections with {requests} requests compared");
    assert!(tables > 0, "no table to compare");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn handshakes_are_those_that_tshark_shows() {
    let Some(folder) = folder() else { return };
    for (file, tls, quic) in HANDSHAKES {
        let (_, requests) = read(&folder.join("pool").join(file), None);
        let count = |is_it: fn(&Content) -> bool| {
            let of_kind = requests.iter().filter(|request| is_it(&request.content));
            of_kind.count() as u64
        };
        let found = (
            count(|content| matches!(content, Content::Tls(_))),
            count(|content| matches!(content, Content::Quic(_))),
        );
        assert_eq!(found, (tls, quic), "{file}");
        match file {
            "ndpi_opera_vpn_62conn.pcapng" => {
                let host = b"eu0.sec-tunnel.com".as_slice();
                assert!(requests.iter().all(|request| request.host() == Some(host)));
            }
            "retina_quic.pcap" => {
                let Content::Quic(first) = &requests[0].content else {
                    panic!("{requests:?}");
                };
                let id = 0x4fa4_c31e_30d4_0140_u64.to_be_bytes();
                assert_eq!((first.version, &first.destination_id[..]), (1, &id[..]));
            }
            _ => {}
        }
    }
}

#[test]
fn what_the_tracker_holds_back_is_read_all_the_same() {
    let Some(folder) = folder() else { return };
    let mut requests = 0;
    for row in table(&folder.join("INDEX.tsv")) {
        let path = folder.join("pool").join(&row["file"]);
        if row["format"].contains("snoop") || row["format"].contains("modified") {
            continue;
        }
        let all = read(&path, None);
        requests += all.1.len();
        let holding = Holding::new(60_000_000_000);
        assert!(all == read(&path, Some(holding)), "{}", row["file"]);
    }
    assert!(requests > 2_000, "{requests}");
}
