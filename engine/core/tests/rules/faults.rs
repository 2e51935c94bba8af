//! Policies that answer in batches and that fail.

use std::sync::atomic::Ordering::Relaxed;

use equipoise_core::{
    Fault, Outcome, Packet, ServerConfig, ServiceConfig, Settings, Tag, TcpFlags, Timestamp,
};

use crate::set::{CLIENT, Set, Turns, server, syn, tcp, trap};

#[test]
fn a_batch_waits_and_then_answers_in_order() {
    let mut set = Set::plain(&Turns {
        batch_limit: 1024,
        ..Turns::default()
    });
    for port in 1..=5 {
        assert_eq!(set.send(0, &syn(CLIENT, port)), Outcome::Decision);
    }
    assert!(set.director.observer.decisions.is_empty());
    assert_eq!(set.decisions(), "2 1 0 2 1");
}

#[test]
fn what_comes_after_the_last_arrival_is_told_with_the_next() {
    let policy = Turns {
        batch_limit: 1024,
        reads_loads: true,
        ..Turns::default()
    };
    let mut set = Set::plain(&policy);
    set.send(0, &syn(CLIENT, 1));
    set.send(0, &syn(CLIENT, 2));
    // Both time out in SYN_RECV, one of them with its decision still to come.
    set.director.settle();
    set.send(90, &syn(CLIENT, 3));
    set.director.advance(Timestamp(200 * Timestamp::SECOND));
    set.delete_servers();
    assert_eq!(set.decisions(), "2 1 0");
    assert_eq!(policy.asked.load(Relaxed), 3);
    assert_eq!(policy.untimely.load(Relaxed), 0);
}

#[test]
fn packets_after_a_refused_syn_belong_to_nothing() {
    for batch_limit in [0, 1024] {
        let mut set = Set::plain(&Turns {
            batch_limit,
            ..Turns::default()
        });
        set.delete_servers();
        set.send(0, &syn(CLIENT, 1));
        let data = Packet {
            flags: TcpFlags::ACK,
            ..syn(CLIENT, 1)
        };
        let outcomes = [set.send(0, &data), set.send(0, &data)];
        // A SYN again is a new chance, and a new refusal.
        set.send(0, &syn(CLIENT, 1));
        assert_eq!(set.decisions(), "-n -n", "batch {batch_limit}");
        let seen_at_once = outcomes
            .iter()
            .filter(|o| matches!(o, Outcome::CannotCreate { .. }))
            .count() as u64;
        assert_eq!(
            seen_at_once + set.director.observer.later,
            2,
            "batch {batch_limit}"
        );
        assert_eq!(set.director.connection_count(), 0);
    }
}

#[test]
fn the_first_fault_ends_a_service_without_a_fallback() {
    for (batch_limit, traps) in [(0, true), (0, false), (1024, false)] {
        let policy = Turns {
            fails_at: vec![2],
            fault: traps.then(trap),
            batch_limit,
            ..Turns::default()
        };
        let mut set = Set::plain(&policy);
        for port in 1..=5 {
            set.send(0, &syn(CLIENT, port));
        }
        assert_eq!(set.decisions(), "2 1 -!", "batch {batch_limit}");
        let faults = &set.director.observer.faults;
        assert_eq!(faults.len(), 1);
        assert_eq!(
            (faults[0].first, faults[0].last),
            (Some(Tag(3)), Some(Tag(3)))
        );
        assert!(set.director.is_stopped());
        assert_eq!(set.send(0, &syn(CLIENT, 9)), Outcome::Stopped);
        assert_eq!(
            policy.started.load(Relaxed),
            1,
            "a faulted instance is not called again"
        );
    }
}

#[test]
fn a_trap_in_a_batch_names_the_packets_of_the_call() {
    let policy = Turns {
        fails_at: vec![2],
        fault: Some(trap()),
        batch_limit: 1024,
        ..Turns::default()
    };
    let mut set = Set::plain(&policy);
    for port in 1..=5 {
        set.send(0, &syn(CLIENT, port));
    }
    // No answer came back, so the first connection of the call bears the fault.
    assert_eq!(set.decisions(), "-!");
    let faults = &set.director.observer.faults;
    assert_eq!(
        (faults[0].first, faults[0].last),
        (Some(Tag(1)), Some(Tag(5)))
    );
}

#[test]
fn a_fault_leaves_nothing_waiting() {
    let policy = Turns {
        fails_at: vec![2],
        batch_limit: 1024,
        ..Turns::default()
    };
    let mut set = Set::plain(&policy);
    for port in 1..=5 {
        set.send(0, &syn(CLIENT, port));
    }
    // A second SYN cannot wait for the decision on the first.
    assert_eq!(set.send(0, &syn(CLIENT, 5)), Outcome::Stopped);
    assert_eq!(set.decisions(), "2 1 -!");
    assert_eq!(set.director.connection_count(), 2);
}

#[test]
fn with_a_fallback_a_fresh_instance_goes_on() {
    for (batch_limit, wanted) in [(0, "2 1 2f 2 1 0"), (1024, "2 1 2f 1f 0f 2f")] {
        let policy = Turns {
            fails_at: vec![2],
            batch_limit,
            ..Turns::default()
        };
        let config = ServiceConfig {
            key: tcp(80),
            persistence: None,
            one_packet: false,
        };
        let settings = Settings {
            batching: true,
            ..Settings::default()
        };
        let mut set = Set::up(settings, config, &policy, Some(Turns::default()));
        for port in 1..=6 {
            set.send(0, &syn(CLIENT, port));
        }
        assert_eq!(set.decisions(), wanted, "batch {batch_limit}");
        assert_eq!(policy.started.load(Relaxed), 2);
        set.send(0, &syn(CLIENT, 9));
        assert!(
            !set.decisions().ends_with('f'),
            "the fresh instance decides"
        );
        assert!(!set.director.is_stopped());
    }
}

#[test]
fn a_policy_that_keeps_missing_its_deadline_is_set_aside() {
    let policy = Turns {
        fails_at: (1..100).collect(),
        fault: Some(Fault::DeadlineExceeded),
        ..Turns::default()
    };
    let config = ServiceConfig {
        key: tcp(80),
        persistence: None,
        one_packet: false,
    };
    let mut set = Set::up(Settings::default(), config, &policy, Some(Turns::default()));
    for port in 1..=6 {
        set.send(0, &syn(CLIENT, port));
    }
    assert_eq!(set.decisions(), "2 2f 1f 0f 2f 1f");
    assert_eq!(policy.asked.load(Relaxed), 4);
    assert_eq!(set.director.observer.faults.len(), 3);
}

#[test]
fn a_quiesced_answer_is_a_fault() {
    let mut set = Set::plain(&Turns::default());
    let quiesced = ServerConfig {
        weight: 0,
        ..server(2)
    };
    set.director
        .edit_server(set.service, quiesced)
        .expect("an edit");
    set.send(0, &syn(CLIENT, 1));
    assert_eq!(
        set.director.observer.faults[0].fault,
        Fault::QuiescedServer { answer: 2 }
    );
}
