//! A capture of any bytes is refused with one line or read to its end, and what it holds can be
//! replayed: the tracker counts every packet once, the director every connection, batches decide
//! as single calls do, and what the tracker holds back changes nothing.
#![no_main]

use std::sync::Arc;

use equipoise_core::{
    Address, Counters, Decision, Director, Endpoint, Flow, ForwardingMethod, KernelProfile,
    Observer, Persistence, Scheduling, ServerConfig, ServiceConfig, ServiceIndex, ServiceKey,
    Settings, Sysctls, Tag, Timeouts, Timestamp, Traffic,
};
use equipoise_fuzz::{assert_one_line, decoder};
use equipoise_replay::capture::Source;
use equipoise_replay::decode::{Decoder, Tunnels};
use equipoise_replay::trace::{Event, Trace, TracePacket};
use equipoise_replay::track::{EndpointCount, Endpoints, Holding, Retention, Tracker};
use equipoise_schedulers::registry;
use libfuzzer_sys::fuzz_target;

/// Packets that are replayed: what decompresses to more repeats itself.
const MOST_PACKETS: usize = 20_000;
/// Packets between two looks at all counters.
const LOOK: usize = 16;
/// Longer than any connection lives without a packet.
const DAY_S: u32 = 86_400;

fuzz_target!(|bytes: &[u8]| {
    let Some((packets, endpoints)) = read(bytes) else {
        return;
    };
    for profile in [KernelProfile::Classic, KernelProfile::Current] {
        // Odd lengths begin connections with any segment, so that more of them come about.
        let sloppy_tcp = bytes.len() % 2 == 1;
        let settings = |batching| Settings {
            profile,
            sysctls: Sysctls {
                sloppy_tcp,
                ..Sysctls::default()
            },
            timeouts: Timeouts::default(),
            batching,
        };
        let single = replay(settings(false), &packets, &endpoints);
        let batched = replay(settings(true), &packets, &endpoints);
        assert_eq!(single, batched);
        if !sloppy_tcp && packets.len() < MOST_PACKETS {
            let held = replay_held(settings(true), bytes, &endpoints);
            assert_eq!(single, held);
        }
    }
});

/// The packets, and who serves most.
fn read(bytes: &[u8]) -> Option<(Vec<TracePacket>, Vec<EndpointCount>)> {
    let source = Source::from_bytes("capture", bytes);
    // Nothing is forgotten, so that every flow has its number for ever.
    let tracker = Tracker::new(Retention::FOR_EVER, None);
    let mut trace = match Trace::open(&[source], decoder_for(bytes), tracker) {
        Ok(trace) => trace,
        Err(error) => {
            assert_one_line(&error.to_string());
            return None;
        }
    };
    let (mut packets, mut ended) = (Vec::new(), Vec::new());
    let mut batch = Vec::new();
    let (mut count, mut length, mut payload) = (0, 0, 0);
    let (mut last, mut connections) = ((Timestamp(0), 0), 0);
    loop {
        match trace.next_batch(&mut batch) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => assert_one_line(&error.to_string()),
        }
        for event in &batch {
            let Event::Packet(packet) = event else {
                panic!("nothing is held back");
            };
            assert!(packet.time >= last.0 && packet.number > last.1);
            last = (packet.time, packet.number);
            connections += u64::from(packet.observed.begins);
            assert!(packet.observed.connection >= connections || !packet.observed.begins);
            assert!(packet.payload_length <= packet.packet.length);
            count += 1;
            length += u64::from(packet.packet.length);
            payload += u64::from(packet.payload_length);
            if packets.len() < MOST_PACKETS {
                packets.push(*packet);
            }
        }
        ended.extend(trace.ended());
    }
    ended.extend(trace.ended());
    trace
        .warnings()
        .for_each(|warning| assert_one_line(&warning.to_string()));
    let (totals, inferred) = (trace.totals(), trace.inferred());
    let left_out = inferred.copies + inferred.second_leg_packets;
    let skipped: u64 = totals.skipped.values().sum();
    assert_eq!(totals.frames, count + left_out + skipped);
    assert_eq!(
        totals.frames,
        trace
            .captures()
            .map(|capture| capture.facts.packets)
            .sum::<u64>()
    );
    // That a connection is a second leg may show after it has begun.
    let all = ended.len() as u64;
    assert!(connections <= all && connections + inferred.second_leg_packets >= all);
    let (mut told, mut told_length, mut told_payload) = (0, 0, 0);
    let mut endpoints = Endpoints::default();
    for connection in &ended {
        assert!(connection.first <= connection.last);
        for traffic in [connection.to_server, connection.to_client] {
            told += traffic.packets;
            told_length += traffic.bytes;
            told_payload += traffic.payload_bytes;
        }
        endpoints.count(connection);
    }
    assert_eq!(told, count + left_out);
    assert!(told_length >= length && told_payload >= payload);
    let endpoints = endpoints.busiest();
    assert_eq!(
        endpoints.iter().map(|found| found.connections).sum::<u64>(),
        all - inferred.second_legs
    );
    Some((packets, endpoints))
}

/// The length decides, so that no byte of the capture does.
fn decoder_for(bytes: &[u8]) -> Decoder {
    decoder(if bytes.len() % 4 < 2 {
        Tunnels::Outer
    } else {
        Tunnels::Inner
    })
}

/// The decisions, after a run in which every connection is accounted for.
fn replay(
    settings: Settings,
    packets: &[TracePacket],
    endpoints: &[EndpointCount],
) -> Vec<Decision> {
    let mut director = Director::new(settings, Watch::default());
    let services = (0..4).zip(endpoints);
    let services: Vec<_> = services
        .map(|(kind, found)| add(&mut director, kind, found))
        .collect();
    for (number, packet) in (0..).zip(packets) {
        director.packet(packet.time, &packet.packet, Tag(packet.number));
        if let Some(elapsed_ns) = packet.observed.first_response_ns {
            director.first_response(&packet.packet, elapsed_ns);
        }
        if number % LOOK == 0 {
            check(&mut director, &services);
        }
    }
    check(&mut director, &services);
    let end = director.now();
    // At the end of time no deadline comes.
    if end.plus_seconds(DAY_S) < Timestamp(u64::MAX) {
        director.advance(end.plus_seconds(DAY_S));
        assert_eq!(director.connection_count(), 0);
        check(&mut director, &services);
    }
    director.finish();
    let Watch {
        mut decisions,
        closed,
    } = director.observer;
    assert_eq!(
        decisions
            .iter()
            .filter(|decision| decision.server.is_some())
            .count(),
        closed
    );
    decisions.sort_by_key(|decision| decision.tag);
    decisions
}

/// The decisions, fed as a run is: by flow, with what changes nothing in sums.
fn replay_held(settings: Settings, bytes: &[u8], endpoints: &[EndpointCount]) -> Vec<Decision> {
    let mut director = Director::new(settings, Watch::default());
    let services: Vec<_> = (0..4)
        .zip(endpoints)
        .map(|(kind, found)| add(&mut director, kind, found))
        .collect();
    let holding = Holding::new(settings.quiet_limit());
    let tracker = Tracker::new(Retention::FOR_EVER, Some(holding));
    let source = Source::from_bytes("capture", bytes);
    let Ok(mut trace) = Trace::open(&[source], decoder_for(bytes), tracker) else {
        return Vec::new();
    };
    let mut batch = Vec::new();
    loop {
        match trace.next_batch(&mut batch) {
            Ok(true) | Err(_) => {}
            Ok(false) => break,
        }
        for event in &batch {
            match event {
                Event::Packet(packet) => {
                    let (flow, tag) = (packet.observed.flow, Tag(packet.number));
                    director.packet_of_flow(packet.time, flow, &packet.packet, tag);
                }
                Event::Told(told) => {
                    director.quiet(told.flow, &told.sample, &told.quiet);
                }
                Event::Asked(_) => {}
            }
        }
    }
    director.settle();
    check(&mut director, &services);
    director.finish();
    let mut decisions = director.observer.decisions;
    decisions.sort_by_key(|decision| decision.tag);
    decisions
}

/// A service of one of four kinds, with `wlc` and three servers.
fn add(director: &mut Director<Watch>, kind: u32, found: &EndpointCount) -> ServiceIndex {
    let Endpoint { address, port } = found.endpoint;
    let config = ServiceConfig {
        key: ServiceKey::Address {
            protocol: found.protocol,
            address,
            port,
        },
        persistence: (kind % 2 == 0).then_some(Persistence {
            timeout_s: 30 * (kind + 1),
            netmask: u128::MAX << 8,
        }),
        one_packet: kind >= 2,
    };
    let scheduling = Scheduling {
        policy: Arc::new(registry::find("wlc").unwrap().native),
        parameters: Vec::new(),
        seed: 0,
        fallback: None,
    };
    let index = director.add_service(config, scheduling).unwrap();
    for place in 0..3 {
        let server = ServerConfig {
            address: Address::v4(0x0a00_0001 + place),
            port,
            weight: place,
            method: match kind {
                1 => ForwardingMethod::DirectRouting,
                _ => ForwardingMethod::Masquerading,
            },
            upper_threshold: if kind == 3 { 2 } else { 0 },
            lower_threshold: 0,
        };
        director.add_server(index, server).unwrap();
    }
    index
}

/// What the servers count is what the table holds.
fn check(director: &mut Director<Watch>, services: &[ServiceIndex]) {
    director.settle();
    let servers = services
        .iter()
        .flat_map(|&service| director.servers(service));
    let counted: u32 = servers.map(|server| server.counters.total()).sum();
    assert_eq!(counted as usize, director.connection_count());
}

#[derive(Default)]
struct Watch {
    decisions: Vec<Decision>,
    closed: usize,
}

impl Observer for Watch {
    fn decided(&mut self, decision: &Decision) {
        self.decisions.push(*decision);
    }

    fn counted(&mut self, _: Timestamp, _: ServiceIndex, _: u32, counters: Counters) {
        assert!(counters.stateless <= counters.inactive);
    }

    fn closed(&mut self, _: ServiceIndex, _: u32, _: &Flow, _: &Traffic) {
        self.closed += 1;
    }
}
