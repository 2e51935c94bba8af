//! What a scenario did to one service under one policy, in words.

use super::figures::{count, counted, plain};
use crate::model::{Directors, Event, ServiceRun, Settling};

/// Lines for the service: its events, what moved without one, its directors.
pub(super) fn notes(service: &ServiceRun, start_ns: u64) -> Vec<String> {
    let events = service.events.iter();
    let mut notes: Vec<String> = events.map(|event| event_note(event, start_ns)).collect();
    if let Some(churn) = service.churn.filter(|churn| churn.again > 0) {
        notes.push(format!(
            "between events {} of {} went elsewhere than their client's last",
            count(churn.moved),
            counted(churn.again, "connection")
        ));
    }
    if let Some(directors) = &service.directors {
        notes.push(directors_note(directors));
    }
    notes
}

/// What an event did: `at 30.000 s remove 10.1.0.2:80: 12 connections broken, …`.
fn event_note(event: &Event, start_ns: u64) -> String {
    let name = plain(&event.event);
    let Some(at_ns) = event.at_ns else {
        return format!("{name}: the trace ended before");
    };
    let seconds = at_ns.saturating_sub(start_ns) as f64 / 1e9;
    let mut facts = Vec::new();
    if event.remapped > 0 {
        facts.push(format!(
            "{} to another director",
            counted(event.remapped, "connection")
        ));
    }
    if event.broken > 0 {
        facts.push(format!("{} broken", counted(event.broken, "connection")));
    }
    if event.lost > 0 {
        facts.push(format!(
            "{} sent to it before that was noticed",
            count(event.lost)
        ));
    }
    let moves = &event.moves;
    if moves.clients > 0 {
        facts.push(format!(
            "{} of {} moved, by weights {:.0} had to",
            count(moves.moved),
            counted(moves.clients, "client"),
            moves.least
        ));
    }
    if let Some(settling) = &event.settling {
        facts.extend(settling_facts(settling));
    }
    let facts = if facts.is_empty() {
        String::new()
    } else {
        format!(": {}", facts.join(", "))
    };
    format!("at {seconds:.3} s {name}{facts}")
}

fn settling_facts(settling: &Settling) -> Vec<String> {
    let mut facts = Vec::new();
    let Some(herd) = &settling.herd else {
        return facts;
    };
    let percent = |share: f64| format!("{:.0}", 100.0 * share);
    facts.push(format!(
        "{} got {} of the first 100 connections, at most {} of any 100, by weights {}",
        plain(&herd.server),
        percent(herd.first),
        percent(herd.peak),
        percent(herd.fair)
    ));
    facts.extend(match settling.rebalanced_ns {
        Some(0) => Some("shares by weights at once".to_owned()),
        Some(ns) => Some(format!("shares by weights after {:.3} s", ns as f64 / 1e9)),
        None if settling.connections < 200 => None,
        None => Some(format!(
            "shares not by weights within {}",
            counted(settling.connections, "connection")
        )),
    });
    facts
}

/// `connections by director d1 120, d2 131 (4 taken over); …`.
fn directors_note(directors: &Directors) -> String {
    let each = directors.each.iter().map(|director| {
        let taken_over = match director.taken_over {
            0 => String::new(),
            taken_over => format!(" ({} taken over)", count(taken_over)),
        };
        let connections = count(director.connections);
        format!("{} {connections}{taken_over}", plain(&director.director))
    });
    let each: Vec<String> = each.collect();
    let mut facts = vec![format!("connections by director {}", each.join(", "))];
    let divergence = directors.divergence;
    if divergence.clients > 0 {
        facts.push(format!(
            "{} of {} that came by several got different servers from them",
            count(divergence.differed),
            counted(divergence.clients, "client")
        ));
    }
    if let Some(difference) = directors.alone.largest_difference {
        facts.push(format!(
            "a server got up to {:.1} % more or less than from one director alone",
            100.0 * difference
        ));
    }
    facts.join("; ")
}
