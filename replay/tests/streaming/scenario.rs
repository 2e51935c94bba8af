//! What happens while a trace is replayed.

use super::*;
use equipoise_replay::scenario::Scenario;
use equipoise_reports::model::{Event, Moves, Way};

pub(crate) fn scenario(text: &str) -> Options {
    Options {
        scenario: Some(Scenario::parse("scenario.toml", text).unwrap()),
        ..Options::default()
    }
}

/// Connections: when, of which client, and whether they stay open or are reset at once.
pub(crate) fn connections(of: &[(u64, u16, bool)]) -> Source {
    let mut segments = Vec::new();
    let mut ports = std::collections::BTreeMap::new();
    for &(second, client, is_open) in of {
        let port = ports.entry(client).or_insert(0);
        let client = client + 1_024 * *port;
        *port += 1;
        let segment = |at: u64, from_client, flags| Segment {
            at: at * SECOND,
            client,
            from_client,
            flags,
            payload: 0,
        };
        segments.push(segment(second, true, SYN));
        segments.push(segment(second, false, SYN | ACK));
        if is_open {
            segments.push(segment(second, true, ACK));
        } else {
            segments.push(segment(second, true, RST));
        }
    }
    capture(&segments)
}

pub(crate) fn run_alone(
    source: Source,
    policy: &str,
    servers: &[&str],
    text: &str,
) -> (Report, Vec<String>) {
    let written = Written {
        policies: vec![policy.to_owned()],
        ..written(servers)
    };
    let (report, decisions) = run(&[source], &written, &scenario(text), &mut ()).unwrap();
    let servers = decisions.lines().skip(1).map(|row| {
        let columns: Vec<&str> = row.split(',').collect();
        columns[10].to_owned()
    });
    (report, servers.collect())
}

pub(crate) fn events(report: &Report) -> &[Event] {
    &report.runs[0].services[0].events
}

#[test]
fn servers_come_and_go_as_told() {
    // Turns go from the newest to the oldest.
    let source = connections(&[
        (0, 1, true),
        (1, 2, true),
        (2, 3, true),
        (5, 1, true),
        (6, 2, true),
        (8, 3, true),
        (9, 4, true),
        (12, 1, true),
        (13, 2, true),
        (14, 5, true),
        (15, 6, true),
    ]);
    let (report, servers) = run_alone(
        source,
        "rr",
        &["10.1.0.1:80", "10.1.0.2:80"],
        r#"
        [[event]]
        at = "4s"
        action = "down"
        server = "10.1.0.1"
        noticed = "3s"
        [[event]]
        at = "10s"
        action = "add"
        server = "10.1.0.3,weight=2"
        [[event]]
        after = 10
        action = "drain"
        server = "10.1.0.2"
        [[event]]
        at = "1h"
        action = "up"
        server = "10.1.0.1"
        "#,
    );
    assert_eq!(
        servers.join(" "),
        "10.1.0.2 10.1.0.1 10.1.0.2 10.1.0.1 10.1.0.2 10.1.0.2 10.1.0.2 10.1.0.3 10.1.0.2 10.1.0.3 10.1.0.3"
    );
    let facts = events(&report).iter().map(|event| {
        let at_s = event.at_ns.map(|ns| (ns - START) / SECOND);
        let (broken, lost) = (event.broken, event.lost);
        let after = event.after_connections;
        format!(
            "{}: {at_s:?} {after:?}, {broken} broken, {lost} lost",
            event.event
        )
    });
    assert_eq!(
        facts.collect::<Vec<_>>(),
        [
            "10.1.0.1:80 down, noticed after 3 s: Some(4) Some(3), 1 broken, 1 lost",
            "add 10.1.0.3:80, weight 2: Some(10) Some(7), 0 broken, 0 lost",
            "drain 10.1.0.2:80: Some(14) Some(10), 0 broken, 0 lost",
            "10.1.0.1:80 up: None None, 0 broken, 0 lost",
        ]
    );
    // Client 3 is the first to come back once the failure is noticed.
    let way = |from: &str, to: &str, clients| Way {
        from: from.to_owned(),
        to: to.to_owned(),
        clients,
    };
    let moves: Vec<&Moves> = events(&report).iter().map(|event| &event.moves).collect();
    assert_eq!(
        (moves[0].clients, moves[0].moved, moves[0].least),
        (1, 0, 0.5)
    );
    assert_eq!(moves[1].ways, [way("10.1.0.1:80", "10.1.0.3:80", 1)]);
    // Two parts of three are new: so many of each client's connections would move.
    assert_eq!((moves[1].clients, (moves[1].least * 3.0).round()), (2, 4.0));
    // Clients 1 and 2 came again before that, each to the other server.
    let churn = report.runs[0].services[0].churn.unwrap();
    assert_eq!((churn.again, churn.moved), (2, 2));
}

#[test]
fn a_swapped_policy_decides_from_then_on() {
    let source = connections(&[
        (0, 1, true),
        (1, 2, true),
        (2, 1, true),
        (3, 2, true),
        (4, 3, true),
    ]);
    let (_, servers) = run_alone(
        source,
        "rr",
        &["10.1.0.1:80", "10.1.0.2:80,weight=5"],
        r#"
        [[event]]
        after = 3
        action = "policy"
        policy = "fo"
        "#,
    );
    assert_eq!(
        servers,
        ["10.1.0.2", "10.1.0.1", "10.1.0.2", "10.1.0.2", "10.1.0.2"]
    );
}

/// An event whose time is past when those before it have happened takes place then, not earlier.
#[test]
fn an_event_that_waits_for_another_has_the_time_at_which_it_happens() {
    let source = connections(&[(0, 1, true), (6, 2, true), (9, 3, true), (30, 4, true)]);
    let (report, _) = run_alone(
        source,
        "rr",
        &["10.1.0.1:80", "10.1.0.2:80"],
        r#"
        [[event]]
        after = 3
        action = "weight"
        server = "10.1.0.1"
        weight = 2
        [[event]]
        at = "2s"
        action = "drain"
        server = "10.1.0.2"
        for = "5s"
        "#,
    );
    let at_s = events(&report)
        .iter()
        .map(|event| event.at_ns.map(|ns| (ns - START) / SECOND));
    assert_eq!(at_s.collect::<Vec<_>>(), [Some(9), Some(9)]);
}

/// The clients that move are those that have to, and go nowhere but where they have to.
#[test]
fn rendezvous_moves_no_more_than_it_must() {
    let source = || {
        connections(
            &(0..3_000)
                .map(|n| (n / 10, (n % 1_000) as u16, false))
                .collect::<Vec<_>>(),
        )
    };
    let servers = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80", "10.1.0.4:80"];
    let text = r#"
        [[event]]
        after = 1000
        action = "remove"
        server = "10.1.0.3:80"
        [[event]]
        after = 2000
        action = "add"
        server = "10.1.0.5:80"
    "#;
    let (report, _) = run_alone(source(), "rendezvous", &servers, text);
    let [removed, added] = events(&report) else {
        panic!("two events")
    };
    assert!(
        removed
            .moves
            .ways
            .iter()
            .all(|way| way.from == "10.1.0.3:80")
    );
    assert!(added.moves.ways.iter().all(|way| way.to == "10.1.0.5:80"));
    for event in [removed, added] {
        let Moves {
            clients,
            moved,
            least,
            ..
        } = event.moves;
        assert_eq!((clients, least.round()), (1_000, 250.0));
        // A binomial distribution, five standard deviations wide.
        assert!(
            (moved as f64 - least).abs() < 5.0 * (least * 0.75).sqrt(),
            "{moved}"
        );
    }
    assert_eq!(report.runs[0].services[0].churn.unwrap().moved, 0);

    // By turns, a client's server says nothing of its next.
    let (report, _) = run_alone(source(), "rr", &servers, text);
    assert!(events(&report)[0].moves.moved > 500);
}

#[test]
fn runs_with_a_scenario_are_alike_whatever_the_threads_and_the_company() {
    let text = r#"
        [[event]]
        at = "10s"
        action = "down"
        server = "10.1.0.2:80"
        [[event]]
        at = "20s"
        action = "up"
        server = "10.1.0.2:80"
    "#;
    let servers = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"];
    let run_of = |policies: &[&str], threads: usize| {
        let written = Written {
            policies: policies.iter().map(|&name| name.to_owned()).collect(),
            ..written(&servers)
        };
        let options = Options {
            threads,
            ..scenario(text)
        };
        let sources = [Source::new(&shop()).unwrap()];
        run(&sources, &written, &options, &mut ()).unwrap().0
    };
    let one = run_of(&["wlc", "sh", "rr"], 1);
    let two = run_of(&["wlc", "sh", "rr"], 2);
    assert_eq!(one.runs, two.runs);
    for (place, policy) in ["wlc", "sh", "rr"].into_iter().enumerate() {
        assert_eq!(run_of(&[policy], 1).runs[0], one.runs[place]);
    }
    let events = one.runs.iter().map(|run| &run.services[0].events[0]);
    assert!(events.map(|event| event.broken).sum::<u64>() > 0);
}

/// A SYN, then for each second given an acknowledgement of the client's.
pub(crate) fn long_lived(client: u16, times: &[u64]) -> Vec<Segment> {
    let segment = |(place, &at): (usize, &u64)| Segment {
        at: at * SECOND,
        client,
        from_client: true,
        flags: if place == 0 { SYN } else { ACK },
        payload: 0,
    };
    times.iter().enumerate().map(segment).collect()
}

pub(crate) fn in_order(parts: impl IntoIterator<Item = Vec<Segment>>) -> Source {
    let mut segments: Vec<Segment> = parts.into_iter().flatten().collect();
    segments.sort_by_key(|segment| segment.at);
    capture(&segments)
}

/// A new server among some with long connections: who counts connections sends everything there
/// until it has as many, who takes turns does not.
#[test]
fn a_new_server_draws_a_herd_under_policies_that_read_loads() {
    // Four connections a second; all stay.
    let source = || {
        connections(
            &(0..1_200)
                .map(|n| (n / 4, n as u16 % 1_024, true))
                .collect::<Vec<_>>(),
        )
    };
    let text = "[[event]]\nafter = 600\naction = 'add'\nserver = '10.1.0.4'\n";
    let servers = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"];
    let settled = |policy: &str| {
        let (report, _) = run_alone(source(), policy, &servers, text);
        let settling = events(&report)[0].settling.clone().unwrap();
        let herd = settling.herd.unwrap();
        assert_eq!((herd.server.as_str(), herd.fair), ("10.1.0.4:80", 0.25));
        let rebalanced_s = settling.rebalanced_ns.map(|ns| ns / SECOND);
        (herd.first, herd.peak, rebalanced_s)
    };
    assert_eq!(settled("rr"), (0.25, 0.25, Some(0)));
    // It has to catch up on 200; four come in a second, and the last 16 of them are in a window
    // that is within the bounds.
    assert_eq!(settled("lc"), (1.0, 1.0, Some(46)));
    assert_eq!(settled("fo").2, None);
}

/// How long it takes is the run's time, as that of everything else in it.
#[test]
fn settling_takes_so_many_times_as_long_where_time_is_scaled() {
    let source = || {
        connections(
            &(0..1_200)
                .map(|n| (n / 4, n as u16 % 1_024, true))
                .collect::<Vec<_>>(),
        )
    };
    let text = "[[event]]\nafter = 600\naction = 'add'\nserver = '10.1.0.4'\n";
    let written = Written {
        policies: vec!["lc".to_owned()],
        ..written(&["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"])
    };
    for (time_scale, seconds) in [(1.0, 46), (0.5, 23), (2.0, 92), (0.0, 0)] {
        let options = Options {
            time_scale,
            ..scenario(text)
        };
        let (report, _) = run(&[source()], &written, &options, &mut ()).unwrap();
        let event = &events(&report)[0];
        let rebalanced_ns = event.settling.as_ref().unwrap().rebalanced_ns;
        assert_eq!(rebalanced_ns, Some(seconds * SECOND), "{time_scale}");
        assert_eq!(event.at_ns, Some(START + 149 * SECOND));
    }
}

/// Of a client that comes back after two events, all that happened in between asks for its move.
#[test]
fn clients_that_stay_away_for_two_events_have_to_move_by_both() {
    // Each comes before the events and after them, and some come between.
    let source = connections(
        &(0..1_000)
            .map(|client| (1, client, false))
            .chain((0..100).map(|client| (11, client, false)))
            .chain((0..1_000).map(|client| (20, client, false)))
            .collect::<Vec<_>>(),
    );
    let servers = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80", "10.1.0.4:80"];
    let text = r#"
        [[event]]
        at = "10s"
        action = "remove"
        server = "10.1.0.3:80"
        [[event]]
        at = "12s"
        action = "remove"
        server = "10.1.0.2:80"
    "#;
    let (report, _) = run_alone(source, "rendezvous", &servers, text);
    let [first, second] = events(&report) else {
        panic!("two events")
    };
    assert_eq!(
        (first.moves.clients, first.moves.least.round()),
        (100, 25.0)
    );
    // A half of those that were away since, a third of those that came between.
    let least = 900.0 / 2.0 + 100.0 / 3.0;
    assert_eq!(second.moves.clients, 1_000);
    assert!((second.moves.least - least).abs() < 1e-9);
    // A binomial distribution, five standard deviations wide.
    assert!((second.moves.moved as f64 - least).abs() < 5.0 * (1_000.0_f64 * 0.25).sqrt());
}

/// A server that is to be removed is there until then, and what is said of it holds.
#[test]
fn much_can_be_said_of_a_server_that_is_about_to_go() {
    let source = || connections(&(0..40).map(|n| (n, n as u16, true)).collect::<Vec<_>>());
    let servers = ["10.1.0.1:80", "10.1.0.2:80"];
    let event =
        |at: u64, rest: &str| format!("[[event]]\nat = '{at}s'\nserver = '10.1.0.2'\n{rest}\n");
    let given = |events: &[String]| {
        let (_, given) = run_alone(source(), "wrr", &servers, &events.concat());
        let of = |range: std::ops::Range<usize>| {
            given[range]
                .iter()
                .filter(|server| *server == "10.1.0.2")
                .count()
        };
        [of(0..5), of(10..20), of(20..40)]
    };
    let drain = event(5, "action = 'drain'\nfor = '15s'");
    assert_eq!(given(std::slice::from_ref(&drain))[1..], [0, 0]);
    // With its weight again, and gone nonetheless.
    let weight = event(10, "action = 'weight'\nweight = 1");
    assert_eq!(given(&[drain.clone(), weight.clone()])[1..], [5, 0]);
    // The latest word on whether it goes, and when, holds.
    let stays = event(10, "action = 'drain'");
    let back = event(20, "action = 'weight'\nweight = 1");
    assert_eq!(given(&[drain.clone(), stays, back])[1..], [0, 10]);
    let down = event(5, "action = 'down'\nnoticed = '15s'");
    assert_eq!(given(std::slice::from_ref(&down))[1..], [5, 0]);
    let removed = event(10, "action = 'remove'");
    assert_eq!(given(&[down.clone(), removed])[1..], [0, 0]);
    let slow = event(19, "action = 'slow'\nfactor = 2");
    let _ = given(&[down, slow]);
}

/// Of the server that is down, connections are lost only until it is removed.
#[test]
fn what_is_removed_before_its_failure_is_noticed_is_neither_lost_nor_removed_again() {
    let source = connections(&(0..40).map(|n| (n, n as u16, true)).collect::<Vec<_>>());
    let (report, given) = run_alone(
        source,
        "rr",
        &["10.1.0.1:80", "10.1.0.2:80"],
        r#"
        [[event]]
        at = "5s"
        action = "down"
        server = "10.1.0.2"
        noticed = "15s"
        [[event]]
        at = "10s"
        action = "remove"
        server = "10.1.0.2"
        [[event]]
        at = "12s"
        action = "add"
        server = "10.1.0.2"
        "#,
    );
    let lost: Vec<u64> = events(&report).iter().map(|event| event.lost).collect();
    assert!(
        (2..=3).contains(&lost[0]) && lost[1..] == [0, 0],
        "{lost:?}"
    );
    assert!(given[25..].iter().any(|server| server == "10.1.0.2"));
}

#[test]
fn a_text_that_is_no_utf_8_is_told_with_its_place() {
    let told = |bytes: &[u8]| {
        Scenario::parse("scenario.toml", bytes)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        told(b"[[event]]\n# gr\xc3\xbcn \xff\n"),
        "scenario.toml:2:8: this is not UTF-8"
    );
    assert_eq!(told(b"\xe2\x82"), "scenario.toml:1:1: this is not UTF-8");
}
