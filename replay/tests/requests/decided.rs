//! Connections are decided when their first request is known, by a policy that reads it.

use std::cell::RefCell;

use equipoise_core::{
    Address, Family, Flow, Protocol, Server, ServerId, ServiceIdentity, Timestamp,
};
use equipoise_replay::capture::Source;
use equipoise_replay::decode::Decoder;
use equipoise_replay::policy::Policies;
use equipoise_replay::replay::{Options, ReplayError, replay};
use equipoise_replay::request::Requests;
use equipoise_replay::scenario::Scenario;
use equipoise_replay::setup::{Item, Options as Written, Setup};
use equipoise_replay::synth::{self, Model, Preset};
use equipoise_replay::table;
use equipoise_replay::trace::{Event, Trace};
use equipoise_replay::track::Tracker;
use equipoise_replay::transform::Selection;
use equipoise_reports::Report;
use equipoise_reports::decisions::COLUMNS;
use equipoise_reports::model::{Costs, ServiceRun};
use equipoise_schedulers::registry;
use equipoise_wasm::{CodeCache, Engine, Limits};

use super::made::{ACK, RST, SYN, Segment, Wire, capture_at};

thread_local! {
    /// Compiling a component takes longer than replaying these captures.
    static ENGINE: RefCell<(Engine, tempfile::TempDir)> = RefCell::new((
        Engine::new(Limits::default()).unwrap(),
        tempfile::tempdir().unwrap(),
    ));
}

const SERVERS: u32 = 5;

fn written(service: &str, policies: &[&str]) -> Written {
    let servers = (1..=SERVERS).map(|n| Item::Server(format!("10.1.0.{n}:80")));
    Written {
        items: [Item::Service(service.to_owned())]
            .into_iter()
            .chain(servers)
            .collect(),
        policies: policies.iter().map(|&policy| policy.to_owned()).collect(),
        ..Written::default()
    }
}

/// The report, and of each decision its columns.
fn run(
    source: &Source,
    written: &Written,
    options: &Options,
) -> Result<(Report, Vec<Vec<String>>), ReplayError> {
    let setup = Setup::assemble(written).unwrap();
    let options = Options {
        decisions: true,
        ..options.clone()
    };
    ENGINE.with_borrow(|(engine, folder)| {
        let cache = CodeCache::open(folder.path()).ok();
        let mut policies = Policies::new(engine.clone(), cache, setup.kernel, setup.switches);
        let sources = [source.clone()];
        let outcome = replay(&sources, setup, &mut policies, &options, &mut ())?;
        let mut decisions = Vec::new();
        outcome.decisions.unwrap().write_to(&mut decisions).unwrap();
        let rows = String::from_utf8(decisions).unwrap();
        let columns = |row: &str| row.split(',').map(str::to_owned).collect();
        Ok((outcome.report, rows.lines().skip(1).map(columns).collect()))
    })
}

fn made(name: &str, more: impl FnOnce(&mut Model)) -> Source {
    let mut model = Preset::find(name).unwrap().model().unwrap();
    model.connections = Some(2_000);
    more(&mut model);
    let mut bytes = Vec::new();
    synth::write(&model, &mut bytes, &mut |_| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    Source::from_bytes(name, bytes)
}

/// By whom a scheduler of this kind, asked once for each first request in the order of the trace,
/// has the connections served: connection, packet and server.
fn expected(source: &Source, policy: &str) -> Vec<[String; 3]> {
    let identity = ServiceIdentity {
        family: Family::Ipv4,
        address: Address::v4(0x0a00_0001),
        port: 80,
        protocol: Protocol::Tcp,
        mark: 0,
    };
    let entry = registry::find(policy).unwrap();
    let mut scheduler = entry.native.start(Timestamp(0), &identity, &[], 0).unwrap();
    let server = |id| Server {
        id: ServerId(id),
        address: Address::v4(0x0a01_0001 + id),
        port: 80,
        weight: 1,
        active: 0,
        inactive: 0,
        status: 0,
    };
    for count in 1..=SERVERS {
        let newest_first: Vec<Server> = (0..count).rev().map(server).collect();
        scheduler.set_servers(&newest_first).unwrap();
    }
    let trace = Trace::open(
        std::slice::from_ref(source),
        Decoder::default(),
        Tracker::default(),
    )
    .unwrap();
    let mut trace = trace.with_requests(Requests::default().with_firsts());
    let (mut batch, mut rows) = (Vec::new(), Vec::new());
    let flow = Flow {
        client: Address::v4(1),
        client_port: 1,
        destination: identity.address,
        destination_port: 80,
        protocol: Protocol::Tcp,
        mark: 0,
    };
    let mut more = true;
    while more {
        more = trace.next_batch(&mut batch).unwrap();
        for event in &batch {
            let Event::Asked(asked) = event else {
                continue;
            };
            let content = asked.content.as_deref().map(|content| content.asked());
            let server = scheduler
                .schedule_request(asked.time, &flow, content.as_ref(), None)
                .unwrap();
            rows.push([
                asked.connection.to_string(),
                asked.number.to_string(),
                format!("10.1.0.{}", 1 + server.unwrap().0),
            ]);
        }
    }
    rows
}

/// The place of a column.
fn at(name: &str) -> usize {
    let mut columns = COLUMNS.iter();
    columns.position(|column| *column == name).unwrap()
}

fn service(report: &Report) -> &ServiceRun {
    &report.runs[0].services[0]
}

#[test]
fn every_first_request_is_one_decision_at_its_time() {
    for preset in ["steady", "reuse", "flood"] {
        let source = made(preset, |_| {});
        let expected = expected(&source, "url_hash");
        assert!(expected.len() > 200, "{}", expected.len());
        let (report, rows) = run(
            &source,
            &written("10.0.0.1:80", &["url_hash", "rr"]),
            &Options::default(),
        )
        .unwrap();
        let rows = rows.iter().filter(|row| row[at("policy")] == "url_hash");
        let rows: Vec<[String; 3]> = rows
            .map(|row| ["connection", "packet", "server"].map(|name| row[at(name)].clone()))
            .collect();
        assert!(rows == expected, "{preset}");
        let service = service(&report);
        assert_eq!(service.first_requests["http"], expected.len() as u64);
        // What clients sent that is under no connection belongs to one that asked for nothing.
        let packets = |run: usize| {
            let service = &report.runs[run].services[0];
            let taken: u64 = service.servers.iter().map(|server| server.packets_in).sum();
            taken + service.ignored_packets.values().sum::<u64>()
        };
        assert_eq!(packets(0), packets(1), "{preset}");
    }
}

#[test]
fn neither_threads_nor_shortcuts_change_a_decision() {
    let source = made("reuse", |_| {});
    let written = written(
        "10.0.0.1:80",
        &["url_hash", "wlc", "url_hash:consistent", "rr"],
    );
    let printed = |options: &Options| {
        let (report, rows) = run(&source, &written, options).unwrap();
        (report.to_json(Costs::Omitted).unwrap(), rows)
    };
    let shortest = printed(&Options::default());
    for (threads, pass_all, apart) in [(1, false, false), (8, true, false), (2, false, true)] {
        let options = Options {
            threads,
            pass_all,
            apart,
            ..Options::default()
        };
        assert!(
            shortest == printed(&options),
            "{threads} {pass_all} {apart}"
        );
    }
}

#[test]
fn copies_of_a_client_ask_for_the_same() {
    let source = made("steady", |_| {});
    let options = Options {
        clients: 3,
        ..Options::default()
    };
    let written = written("10.0.0.1:80", &["url_hash"]);
    let (report, rows) = run(&source, &written, &options).unwrap();
    let (one, _) = run(&source, &written, &Options::default()).unwrap();
    let connections = service(&one).connections;
    assert_eq!(service(&report).connections, 3 * connections);
    for copies in rows.chunks(3) {
        assert!(
            copies
                .iter()
                .all(|row| row[at("server")] == copies[0][at("server")]),
            "{copies:?}"
        );
    }
}

#[test]
fn a_policy_that_reads_requests_takes_over_and_gives_back() {
    let source = made("steady", |_| {});
    let text = r#"
        [[event]]
        after = 500
        action = "policy"
        policy = "url_hash"
        [[event]]
        after = 1000
        action = "policy"
        policy = "rr"
    "#;
    let options = Options {
        scenario: Some(Scenario::parse("scenario.toml", text).unwrap()),
        ..Options::default()
    };
    let written = written("10.0.0.1:80", &["rr"]);
    let (report, rows) = run(&source, &written, &options).unwrap();
    let (without, _) = run(&source, &written, &Options::default()).unwrap();
    // None is lost at the seams: whoever waits when the policy goes is decided by the next.
    assert_eq!(service(&report).connections, service(&without).connections);
    assert_eq!(rows.len() as u64, service(&report).connections);
    let asked: u64 = service(&report).first_requests.values().sum();
    assert!((500..=510).contains(&asked), "{asked}");
}

#[test]
fn a_table_of_connections_has_no_requests() {
    let source = made("steady", |_| {});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.parquet");
    let file = std::fs::File::create(&path).unwrap();
    let as_table = table::Options {
        decoder: Decoder::default(),
        selection: Selection::default(),
        rows: table::Rows::Connections,
        format: table::Format::Parquet {
            segment: table::SEGMENT,
        },
    };
    table::extract(&[source], as_table, file, &mut ()).unwrap();
    let written = written("10.0.0.1:80", &["rr", "url_hash"]);
    let error = run(&Source::new(&path).unwrap(), &written, &Options::default());
    assert_eq!(
        error.map(|_| ()).unwrap_err().to_string(),
        "--policy url_hash decides by requests, which a table of connections does not hold: \
         replay the captures that it was made of"
    );
}

/// Of connections made by hand: what of them was decided, and by which packet.
fn decided(segments: &[(u32, Segment)]) -> (Report, String) {
    let records = capture_at(segments.iter().map(|(second, segment)| (*second, segment)));
    let source = Source::from_bytes("made", records.concat());
    let written = written("10.0.0.1:80", &["url_hash"]);
    let (report, rows) = run(&source, &written, &Options::default()).unwrap();
    let rows = rows.iter().map(|row| {
        let (connection, packet) = (&row[at("connection")], &row[at("packet")]);
        format!("{connection} at {packet}")
    });
    (report, rows.collect::<Vec<_>>().join(", "))
}

fn each_second(wires: &[&Wire]) -> Vec<(u32, Segment)> {
    let segments = wires.iter().flat_map(|wire| wire.segments.iter().cloned());
    (0..).zip(segments).collect()
}

fn counts(counts: &std::collections::BTreeMap<String, u64>) -> String {
    let counts = counts.iter().map(|(name, count)| format!("{count} {name}"));
    counts.collect::<Vec<_>>().join(", ")
}

#[test]
fn what_a_client_sends_decides_when() {
    let mut split = Wire::open(50_000, [100, 200]);
    split
        .client("GET /a HTTP/1.1\r\nHo")
        .client("st: a\r\n\r\n");
    let mut banner = Wire::open(50_001, [100, 200]);
    banner.server("SSH-2.0-x\r\n").client("SSH-2.0-y\r\n");
    let mut hello = Wire::open(50_002, [100, 200]);
    hello.client(b"\x16\x03\x01\x00\x05junk!");
    let (report, rows) = decided(&each_second(&[&split, &banner, &hello]));
    // Three packets each for the handshakes.
    assert_eq!(rows, "1 at 5, 2 at 10, 3 at 14");
    assert_eq!(counts(&service(&report).first_requests), "1 http, 2 none");
    // All of their packets count.
    let taken =
        |server: &equipoise_reports::model::ServerRun| server.packets_in + server.packets_out;
    let taken: u64 = service(&report).servers.iter().map(taken).sum();
    assert_eq!(taken, 14);
    assert_eq!(counts(&service(&report).ignored_packets), "");
}

#[test]
fn who_asks_for_nothing_is_never_decided() {
    let mut silent = Wire::open(50_000, [100, 200]);
    silent.close();
    let mut reset = Wire::open(50_001, [100, 200]);
    reset.client("GET / HT").send(true, RST, b"");
    let mut scan = Wire::mid_stream(50_002, [100, 200]);
    scan.send(true, SYN, b"");
    // A capture that begins within a connection.
    let mut middle = Wire::mid_stream(50_003, [100, 200]);
    middle.client("GET /a HTTP/1.1\r\n\r\n");
    let mut asks = Wire::open(50_004, [100, 200]);
    asks.client("GET /a HTTP/1.1\r\n\r\n");
    let wires = [&silent, &reset, &scan, &middle, &asks];
    let (report, rows) = decided(&each_second(&wires));
    assert_eq!(rows, "5 at 16");
    // Of silent its SYN, ACK and FIN, of the others what their clients sent.
    assert_eq!(
        counts(&service(&report).ignored_packets),
        "1 mid-stream, 8 no-request"
    );
}

#[test]
fn nobody_waits_longer_than_a_minute() {
    let mut slow = Wire::open(50_000, [100, 200]);
    slow.client("GET /a HTTP/1.1\r\n\r\n");
    let mut other = Wire::open(50_001, [100, 200]);
    other.client("GET /a HTTP/1.1\r\n\r\n");
    let timed = |wire: &Wire, seconds: [u32; 4]| {
        let segments = wire.segments.iter().cloned();
        seconds.into_iter().zip(segments).collect::<Vec<_>>()
    };
    let mut late = timed(&slow, [0, 0, 0, 61]);
    late.splice(3..3, timed(&other, [60; 4]));
    let (report, rows) = decided(&late);
    assert_eq!(rows, "2 at 7");
    // Two that waited, and the request that came too late.
    let ignored = &service(&report).ignored_packets;
    assert_eq!(counts(ignored), "1 mid-stream, 2 no-request");
}

/// What was held back is told before the packet that shows that the minute is over.
#[test]
fn what_was_held_back_counts_with_who_waited() {
    let mut slow = Wire::mid_stream(50_000, [100, 200]);
    slow.send(true, SYN, b"").send(true, ACK, b"");
    slow.client("GET /a HT").send(false, ACK, b"");
    let late: Vec<(u32, Segment)> = [0, 56, 57, 61]
        .into_iter()
        .zip(slow.segments.iter().cloned())
        .collect();
    let (report, rows) = decided(&late);
    assert_eq!(rows, "");
    assert_eq!(counts(&service(&report).ignored_packets), "3 no-request");
}

#[test]
fn nobody_else_changes_how_long_one_waits() {
    let mut slow = Wire::open(50_000, [100, 200]);
    slow.client("GET /a HTTP/1.1\r\n\r\n").close();
    let late: Vec<(u32, Segment)> = [0, 0, 0, 70, 71, 71]
        .into_iter()
        .zip(slow.segments.iter().cloned())
        .collect();
    let (report, rows) = decided(&late);
    assert_eq!(rows, "");
    // Two of the handshake by the client; the request and the FIN belong to nothing any more.
    let ignored = counts(&service(&report).ignored_packets);
    assert_eq!(ignored, "2 mid-stream, 2 no-request");
}

#[test]
fn a_server_that_speaks_alone_takes_no_memory() {
    let mut wire = Wire::open(50_000, [100, 200]);
    for _ in 0..5_000 {
        wire.server("0123456789");
        wire.send(true, ACK, b"");
    }
    wire.client("GET /a HTTP/1.1\r\n\r\n");
    let segments = wire.segments.iter().cloned();
    let segments: Vec<(u32, Segment)> = (0..).map(|n| n / 500).zip(segments).collect();
    let (with_sums, rows) = decided(&segments);
    assert_eq!(rows, "1 at 10004");
    let server = |report: &Report| {
        let servers = service(report).servers.iter();
        let taken = servers.filter(|server| server.connections > 0);
        let taken: Vec<(u64, u64, u64, u64)> = taken
            .map(|s| (s.packets_in, s.packets_out, s.bytes_in, s.bytes_out))
            .collect();
        taken
    };
    // What was kept in sums counts as each by itself.
    let (own, other) = (40 + 5_000 * 40 + 40 + 59, 5_001 * 40 + 50_000);
    assert_eq!(server(&with_sums), [(5_003, 5_001, own, other)]);
}

/// A template decides at once while an older connection of the flow waits.
#[test]
fn who_waits_is_given_up_for_the_next_of_its_flow() {
    let mut older = Wire::mid_stream(50_000, [100, 200]);
    older.send(true, SYN, b"");
    let mut asks = Wire::open(50_001, [100, 200]);
    asks.client("GET /a HTTP/1.1\r\n\r\n");
    let mut newer = Wire::open(50_000, [9_000_000, 200]);
    newer.client("GET /b HTTP/1.1\r\n\r\n");
    newer.send(true, ACK, b"").send(true, ACK, b"");
    let records = capture_at(
        (0..).zip(
            [&older, &asks, &newer]
                .into_iter()
                .flat_map(|wire| &wire.segments),
        ),
    );
    let source = Source::from_bytes("made", records.concat());
    let written = Written {
        persistent: Some("300".to_owned()),
        ..written("10.0.0.1:80", &["url_hash"])
    };
    for pass_all in [false, true] {
        let options = Options {
            pass_all,
            ..Options::default()
        };
        let (report, rows) = run(&source, &written, &options).unwrap();
        assert_eq!(rows.len(), 2, "{pass_all}");
        let packets: u64 = service(&report).servers.iter().map(|s| s.packets_in).sum();
        assert_eq!(packets, 3 + 5, "{pass_all}");
        assert_eq!(counts(&service(&report).ignored_packets), "1 no-request");
    }
}

#[test]
fn connections_that_are_taken_up_in_the_middle_have_no_request() {
    let mut wire = Wire::open(50_000, [100, 200]);
    wire.client("GET /a HTTP/1.1\r\n\r\n");
    for _ in 0..8 {
        wire.server("x");
        wire.send(true, ACK, b"");
    }
    let records = capture_at((0..).zip(&wire.segments));
    let source = Source::from_bytes("made", records.concat());
    let text = "[[event]]\nat = \"10s\"\naction = \"restart\"\n";
    let options = Options {
        scenario: Some(Scenario::parse("scenario.toml", text).unwrap()),
        ..Options::default()
    };
    let written = Written {
        sysctls: vec!["sloppy_tcp=1".to_owned()],
        ..written("10.0.0.1:80", &["url_hash"])
    };
    let (report, rows) = run(&source, &written, &options).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(counts(&service(&report).first_requests), "1 http, 1 none");
    assert_eq!(counts(&service(&report).ignored_packets), "");
}

#[test]
fn an_address_that_is_used_again_waits_again() {
    let mut first = Wire::open(50_000, [100, 200]);
    first.client("GET /a HTTP/1.1\r\n\r\n").close();
    first.send(true, ACK, b"");
    let mut unasked = Wire::open(50_000, [1_000_000, 200]);
    unasked.send(true, RST, b"");
    let mut again = Wire::open(50_000, [2_000_000, 200]);
    again.client("GET /b HTTP/1.1\r\n\r\n");
    let (report, rows) = decided(&each_second(&[&first, &unasked, &again]));
    assert_eq!(rows, "1 at 4, 3 at 15");
    assert_eq!(counts(&service(&report).ignored_packets), "3 no-request");
}
