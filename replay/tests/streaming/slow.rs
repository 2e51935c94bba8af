//! Servers that are slower than in the trace.

use super::restart::{ALL, shop_with};
use super::scenario::{run_alone, scenario};
use super::*;
use equipoise_reports::model::ServiceRun;

const SERVERS: [&str; 3] = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"];
const MS: u64 = SECOND / 1_000;

/// Ten connections a second for 200 s, each of them active for 4 s.
fn steady() -> Source {
    let connection = |number: u64| {
        let at = |at: u64, from_client, flags| Segment {
            at: number * 100 * MS + at * MS,
            client: number as u16,
            from_client,
            flags,
            payload: 0,
        };
        [
            at(0, true, SYN),
            at(1, false, SYN | ACK),
            at(2, true, ACK),
            at(4_000, true, FIN | ACK),
            at(4_001, false, FIN | ACK),
            at(4_002, true, ACK),
        ]
    };
    let mut segments: Vec<Segment> = (0..2_000).flat_map(connection).collect();
    segments.sort_by_key(|segment| segment.at);
    capture(&segments)
}

fn slow(at_s: u64, factor: f64) -> String {
    format!("[[event]]\nat = '{at_s}s'\naction = 'slow'\nserver = '10.1.0.2'\nfactor = {factor}\n")
}

fn service(report: &Report) -> &ServiceRun {
    &report.runs[0].services[0]
}

/// Mean numbers of active connections, and connections.
fn loads(policy: &str, text: &str) -> Vec<(f64, u64)> {
    let (report, _) = run_alone(steady(), policy, &SERVERS, text);
    let service = service(&report);
    assert!(service.ignored_packets.is_empty());
    let servers = service.servers.iter();
    servers
        .map(|server| (server.active.mean.unwrap(), server.connections))
        .collect()
}

/// Little's law: a server has as many connections as come to it in the time that they last.
#[test]
fn a_slow_server_has_more_connections_and_whoever_reads_loads_gives_it_fewer() {
    // Until the first connections end, all servers get the same.
    let near = |value: f64, expected: f64| {
        assert!(
            (value / expected - 1.0).abs() < 0.08,
            "{value}, not {expected}"
        );
    };
    // A third of ten a second, for 4 s and for 12 s.
    let given = loads("rr", &slow(0, 3.0));
    assert!(
        given
            .iter()
            .all(|&(_, connections)| (666..=667).contains(&connections))
    );
    for (mean, expected) in given.iter().map(|given| given.0).zip([13.3, 40.0, 13.3]) {
        near(mean, expected);
    }
    // Equal loads: the slow one gets a third of what each other one gets, and all of them have
    // 10 / (1/4 + 1/12 + 1/4) each.
    let given = loads("lc", &slow(0, 3.0));
    for ((mean, connections), share) in given.iter().zip([3.0, 1.0, 3.0]) {
        near(*mean, 17.1);
        near(*connections as f64, 2_000.0 * share / 7.0);
    }
}

/// What it is behind it does not catch up, and what comes to it later is as in the trace.
#[test]
fn a_server_that_is_fast_again_is_so_for_what_comes_then() {
    let text = format!("{}{}", slow(0, 3.0), slow(20, 1.0));
    let with = loads("rr", &text);
    let without = loads("rr", "");
    // 20 s with 26.7 more of them, less what it takes them to come and go: 8 s more for each of 67
    // but for those that were there when it ended, over 204 s.
    let more = with[1].0 - without[1].0;
    assert!((1.5..2.7).contains(&more), "{more}");
    assert_eq!((with[0], with[2]), (without[0], without[2]));
}

#[test]
fn a_factor_of_one_changes_nothing_and_turns_do_not_see_any() {
    let without_events = |mut report: Report| {
        for run in &mut report.runs {
            run.services[0].events.clear();
            run.services[0].churn = None;
        }
        report.runs
    };
    let plain = without_events(shop_with(&ALL, true, ""));
    assert_eq!(without_events(shop_with(&ALL, true, &slow(0, 1.0))), plain);
    let steady_turns = run_alone(steady(), "rr", &SERVERS, "").1;
    assert_eq!(
        run_alone(steady(), "rr", &SERVERS, &slow(50, 7.5)).1,
        steady_turns
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever the traffic, also in several directors: nothing is decided that is not in the
    /// trace, and threads change nothing.
    #[test]
    fn any_traffic_can_be_slowed_down(segments in segments(), count in 1_u32..4) {
        let mut all = vec![Segment { at: 0, client: 9, from_client: true, flags: SYN, payload: 0 }];
        all.extend(segments);
        let sources = [capture(&all)];
        let written = written(&["10.1.0.1:80", "10.1.0.2:80"]);
        let text = format!(
            "[directors]\ncount = {count}\nsync = true\n{}{}{}",
            slow(0, 20.0), slow(100, 2.0), slow(300, 1.0)
        );
        let run_of = |threads: usize| {
            let options = Options { threads, ..scenario(&text) };
            run(&sources, &written, &options, &mut ()).unwrap()
        };
        let (report, decisions) = run_of(1);
        let again = run_of(2);
        prop_assert_eq!((&report.runs, &decisions), (&again.0.runs, &again.1));
        let packets = all.len() as u64;
        for run in &report.runs {
            let service = &run.services[0];
            let servers = service.servers.iter();
            let seen: u64 = servers.map(|server| server.packets_in + server.packets_out).sum();
            let ignored: u64 = service.ignored_packets.values().sum();
            prop_assert!(seen + ignored <= packets);
        }
    }
}

/// A conversation of one client port: its sequence number, and what it sends when.
fn asks(isn: u32, begin_ms: u64, targets: &[&str]) -> Vec<(u64, Vec<u8>)> {
    let frame =
        |from_client: bool, flags: u8, sequence: u32, acknowledgement: u32, payload: &str| {
            let (client, service) = ((CLIENT, 40_000_u16), (SERVICE, 80_u16));
            let (from, to) = if from_client {
                (client, service)
            } else {
                (service, client)
            };
            let mut frame = vec![0x45, 0];
            frame.extend((40 + payload.len() as u16).to_be_bytes());
            frame.extend(((sequence ^ acknowledgement) as u16 ^ u16::from(flags)).to_be_bytes());
            frame.extend([0, 0, 64, 6, 0, 0]);
            frame.extend(from.0.to_be_bytes());
            frame.extend(to.0.to_be_bytes());
            frame.extend(from.1.to_be_bytes());
            frame.extend(to.1.to_be_bytes());
            frame.extend(sequence.to_be_bytes());
            frame.extend(acknowledgement.to_be_bytes());
            frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            frame.extend(payload.as_bytes());
            frame
        };
    let at = |ms: u64| begin_ms + ms;
    let mut frames = vec![
        (at(0), frame(true, SYN, isn, 0, "")),
        (at(1), frame(false, SYN | ACK, 6, isn + 1, "")),
        (at(2), frame(true, ACK, isn + 1, 7, "")),
    ];
    let mut next = isn + 1;
    for (place, target) in targets.iter().enumerate() {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        frames.push((
            at(10 + 100 * place as u64),
            frame(true, ACK, next, 7, &request),
        ));
        next += request.len() as u32;
    }
    let end = at(10 + 100 * targets.len() as u64);
    frames.extend([
        (end, frame(true, FIN | ACK, next, 7, "")),
        (end + 1, frame(false, FIN | ACK, 7, next + 1, "")),
        (end + 2, frame(true, ACK, next + 1, 8, "")),
    ]);
    frames
}

/// The request of a connection that waits for the rest of one before it, on the same ports, waits
/// as well: behind the packets that stand before it.
#[test]
fn a_request_comes_behind_the_packets_that_wait() {
    let frames = [
        asks(1_000, 0, &["/a", "/b", "/c", "/d"]),
        asks(900_000, 500, &["/e", "/f"]),
        // Time for all that waits.
        asks(70_000_000, 60_000, &["/g"]),
    ];
    let records = frames.into_iter().flatten().map(|(ms, frame)| {
        let at = START + ms * MS;
        let words = [
            (at / SECOND) as u32,
            (at % SECOND) as u32,
            frame.len() as u32,
            frame.len() as u32,
        ];
        let mut record: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        record.extend(frame);
        record
    });
    let source = Source::from_bytes("made", file(records));
    let text: String = ["10.1.0.1", "10.1.0.2"]
        .map(|server| slow(0, 10.0).replace("10.1.0.2", server))
        .concat();
    let decided = |text: &str| {
        let (report, servers) = run_alone(source.clone(), "url_hash", &SERVERS[..2], text);
        let service = service(&report);
        let ignored = service.ignored_packets.clone();
        (servers.len(), service.first_requests.clone(), ignored)
    };
    assert_eq!(decided(&text), decided(""));
    assert_eq!(decided("").0, 3);
}
