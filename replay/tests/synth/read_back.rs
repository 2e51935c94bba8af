//! What our own reader finds in a made capture is what its making counted.

use std::collections::{BTreeMap, BTreeSet};

use equipoise_core::Address;
use equipoise_replay::capture::Source;
use equipoise_replay::decode::Decoder;
use equipoise_replay::synth::{Model, Tally, Written};
use equipoise_replay::trace::{Event, Totals, Trace};
use equipoise_replay::track::{Basis, Close, Connection, Tracker};

use crate::{model, models, write};

/// A capture as it was read.
struct Read {
    connections: Vec<Connection>,
    /// When each began, and its client.
    begun: Vec<(u64, Address)>,
    totals: Totals,
    inferred: u64,
}

fn read(bytes: Vec<u8>) -> Read {
    let source = Source::from_bytes("made", bytes);
    let mut trace = Trace::open(&[source], Decoder::default(), Tracker::default()).unwrap();
    let (mut batch, mut connections, mut begun) = (Vec::new(), Vec::new(), Vec::new());
    let mut goes_on = true;
    while goes_on {
        goes_on = trace.next_batch(&mut batch).unwrap();
        connections.extend(trace.ended());
        for event in &batch {
            if let Event::Packet(packet) = event
                && packet.observed.begins
            {
                begun.push((packet.time.0, packet.packet.source));
            }
        }
    }
    trace.tracker().end_all();
    connections.extend(trace.ended());
    let inferred = trace.inferred();
    Read {
        connections,
        begun,
        totals: trace.totals().clone(),
        inferred: inferred.copies + inferred.second_legs,
    }
}

#[test]
fn every_connection_is_found_with_its_end() {
    for (name, model) in models() {
        let (bytes, written) = write(&model);
        let read = read(bytes);
        let Totals {
            frames,
            skipped,
            clock_steps_back,
            ..
        } = &read.totals;
        assert_eq!(
            (*frames, *clock_steps_back, read.inferred),
            (written.packets, 0, 0),
            "{name}"
        );
        assert!(skipped.is_empty(), "{name}: {skipped:?}");
        let count = |is: &dyn Fn(&Connection) -> bool| {
            read.connections.iter().filter(|one| is(one)).count() as u64
        };
        // Nobody's connection of the flood comes to anything.
        let tally = Tally {
            connections: count(&|one| one.established),
            ipv6_connections: count(&|one| one.client.address.to_string().contains(':')),
            closed: count(&|one| one.close == Some(Close::Fin)),
            reset: count(&|one| one.close == Some(Close::Reset)),
            flood: count(&|one| !one.established),
            ..written.tally
        };
        assert_eq!(tally, written.tally, "{name}");
        assert_eq!(tally.closed + tally.reset, tally.connections, "{name}");
        let packets = read.connections.iter();
        let packets = packets.map(|one| one.to_server.packets + one.to_client.packets);
        assert_eq!(packets.sum::<u64>(), written.packets, "{name}");
        assert!(read.connections.iter().all(|one| one.basis == Basis::Syn));
        let last = read.connections.iter().map(|one| one.last.0).max();
        let start = u64::from(model.start_s) * 1_000_000_000;
        assert_eq!(last, Some(start + written.last_ns), "{name}");
    }
}

#[test]
fn presets_have_what_they_are_for() {
    let tallies: BTreeMap<&str, Tally> = crate::presets()
        .map(|(name, model)| (name, write(&model).1.tally))
        .collect();
    assert!(tallies.values().all(|tally| tally.connections == 100));
    assert!(tallies["flood"].flood > 800);
    assert!(tallies["reuse"].requests > 1_500);
    assert!((25..55).contains(&tallies["dual"].ipv6_connections));
    assert!(tallies["dual"].reset > 2 && tallies["flash"].reset > 0);
}

/// Beginnings a Poisson process, clients by rank as Zipf has them: seen from the outside, with
/// bounds that one of a thousand exceeds.
#[test]
fn arrivals_and_clients_are_in_the_capture() {
    const COUNT: u32 = 20_000;
    let model = model(&format!(
        "connections = {COUNT}
        arrivals = {{ rate = 1_000 }}
        clients = {{ count = 50, zipf = 0.7 }}"
    ));
    let read = read(write(&model).0);
    let mut gaps: Vec<f64> = read
        .begun
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0) as f64 / 1e9)
        .collect();
    gaps.sort_by(f64::total_cmp);
    let many = gaps.len() as f64;
    let most = gaps.iter().enumerate().map(|(below, gap)| {
        let at = 1.0 - (-gap * 1_000.0).exp();
        (at - below as f64 / many).max((below + 1) as f64 / many - at)
    });
    assert!(most.fold(0.0, f64::max) < 1.9495 / many.sqrt());

    let mut counts: BTreeMap<Address, u32> = BTreeMap::new();
    for (_, client) in &read.begun {
        *counts.entry(*client).or_default() += 1;
    }
    let mut counts: Vec<u32> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(counts.len(), 50);
    let weights: Vec<f64> = (1..=50).map(|rank| f64::from(rank).powf(-0.7)).collect();
    let all: f64 = weights.iter().sum();
    let squares = counts.iter().zip(&weights).map(|(&count, weight)| {
        let expected = weight / all * f64::from(COUNT);
        (f64::from(count) - expected).powi(2) / expected
    });
    // Chi-square of 49 degrees of freedom; sorting the counts makes it smaller at most.
    assert!(squares.sum::<f64>() < 85.35);
}

/// Ports come again only when the connection before is over.
#[test]
fn a_client_uses_its_ports_again() {
    let model = model(
        "connections = 60_000
        arrivals = { rate = 10_000 }
        clients = { count = 2, zipf = 0 }
        [http]
        body_bytes = 10
        # Some of the connections are still there when their ports' turn comes again.
        linger_s = { pareto = { shape = 0.5, min = 0.01, max = 100 } }",
    );
    let (bytes, Written { tally, .. }) = write(&model);
    let read = read(bytes);
    assert_eq!(read.connections.len(), 60_000);
    assert_eq!(tally.closed, 60_000);
    let ends: BTreeSet<_> = read.connections.iter().map(|one| one.client).collect();
    assert!(ends.len() <= 2 * 28_232);
    assert!(
        read.connections
            .iter()
            .all(|one| one.close == Some(Close::Fin))
    );
}

/// What is open at a time, not what there was, decides how long it may go on.
#[test]
fn connections_are_in_the_order_of_time() {
    let model: Model = model("connections = 1_000\narrivals = { rate = 50_000 }");
    let read = read(write(&model).0);
    assert!(read.begun.is_sorted_by_key(|&(time, _)| time));
    let overlap = read.connections.iter().filter(|one| {
        let others = read.connections.iter();
        others
            .filter(|other| other.first < one.last && other.last > one.first)
            .count()
            > 500
    });
    assert!(overlap.count() > 900);
}
