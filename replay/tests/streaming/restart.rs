//! Directors that restart, with and without their table.

use super::scenario::{connections, events, in_order, long_lived, run_alone, scenario};
use super::*;

/// Without its table a director knows no connection, and begins with its turns where it began.
#[test]
fn a_restart_without_the_table_breaks_what_is_open() {
    let source = || {
        in_order([
            long_lived(1, &[0, 1, 2, 12, 14]),
            long_lived(2, &[3, 4, 13]),
            long_lived(3, &[11]),
            long_lived(4, &[15]),
        ])
    };
    let text = |kept: &str| {
        format!("[[event]]\nat = \"10s\"\naction = \"restart\"\nconnections = \"{kept}\"\n")
    };
    let servers = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"];
    let told = |text: &str| {
        let (report, given) = run_alone(source(), "rr", &servers, text);
        let service = &report.runs[0].services[0];
        let broken = events(&report)[0].broken;
        let ignored = service.ignored_packets.get("mid-stream").copied();
        let peak: u64 = service
            .servers
            .iter()
            .map(|server| server.active.peak)
            .sum();
        (given.join(" "), broken, ignored.unwrap_or(0), peak)
    };
    assert_eq!(
        told(&text("lost")),
        ("10.1.0.3 10.1.0.2 10.1.0.3 10.1.0.2".to_owned(), 2, 3, 2)
    );
    // With it nothing breaks, but the turns begin anew.
    assert_eq!(
        told(&text("kept")),
        ("10.1.0.3 10.1.0.2 10.1.0.3 10.1.0.2".to_owned(), 0, 0, 4)
    );
    // Loads are what a fresh instance is bound to.
    let given = |kept: &str| run_alone(source(), "lc", &servers, &text(kept)).1.join(" ");
    assert_eq!(given("kept"), "10.1.0.3 10.1.0.2 10.1.0.1 10.1.0.3");
    assert_eq!(given("lost"), "10.1.0.3 10.1.0.2 10.1.0.3 10.1.0.2");
}

/// It is configured as it stood: what the scenario changed before, it finds changed.
#[test]
fn a_restarted_director_has_the_servers_and_the_policy_that_it_had() {
    let source = connections(&(0..8).map(|n| (n, n as u16, true)).collect::<Vec<_>>());
    let (report, given) = run_alone(
        source,
        "sh",
        &["10.1.0.1:80", "10.1.0.2:80"],
        r#"
        [[event]]
        at = "1s"
        action = "policy"
        policy = "rr"
        [[event]]
        at = "1s"
        action = "remove"
        server = "10.1.0.1"
        [[event]]
        at = "1s"
        action = "add"
        server = "10.1.0.4"
        [[event]]
        after = 4
        action = "restart"
        "#,
    );
    assert_eq!(
        given[1..].join(" "),
        "10.1.0.4 10.1.0.2 10.1.0.4 10.1.0.4 10.1.0.2 10.1.0.4 10.1.0.2"
    );
    assert_eq!(
        events(&report)[3].event,
        "director restarted, connections lost"
    );
}

/// Shared traffic for restarts and for several directors: real, and long enough for timers.
pub(crate) fn shop_with(policies: &[&str], persistent: bool, text: &str) -> Report {
    let written = Written {
        policies: policies.iter().map(|&name| name.to_owned()).collect(),
        persistent: persistent.then(|| "30".to_owned()),
        ..written(&["10.1.0.1:80", "10.1.0.2:80,weight=3", "10.1.0.3:80"])
    };
    let sources = [Source::new(&shop()).unwrap()];
    run(&sources, &written, &scenario(text), &mut ()).unwrap().0
}

pub(crate) const ALL: [&str; 16] = [
    "rr",
    "wrr",
    "lc",
    "wlc",
    "sed",
    "nq",
    "sh",
    "dh",
    "mh",
    "lblc",
    "lblcr",
    "fo",
    "ovf",
    "twos",
    "rendezvous",
    "url_hash",
];

#[test]
fn a_restart_that_keeps_the_table_breaks_nothing_under_any_policy() {
    let text = "[[event]]\nat = '8s'\naction = 'restart'\nconnections = 'kept'\n";
    for persistent in [false, true] {
        let restarted = shop_with(&ALL, persistent, text);
        let steady = shop_with(&ALL, persistent, "");
        for (one, other) in restarted.runs.iter().zip(&steady.runs) {
            let (one, other) = (&one.services[0], &other.services[0]);
            assert_eq!(one.events[0].broken, 0);
            assert!(one.events[0].at_ns.is_some());
            assert_eq!(one.ignored_packets, other.ignored_packets);
            assert_eq!(one.connections, other.connections);
        }
    }
    let lost = shop_with(&["rr"], false, &text.replace("kept", "lost"));
    assert!(events(&lost)[0].broken > 0);
}
