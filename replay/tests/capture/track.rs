//! The tracker, told packet by packet.

use equipoise_core::{Address, Endpoint, Packet, Protocol, TcpFlags, Timestamp};
use equipoise_replay::capture::{CaptureError, Source};
use equipoise_replay::decode::Decoded;
use equipoise_replay::decode::Decoder;
use equipoise_replay::trace::Trace;
use equipoise_replay::trace::{Event, TracePacket};
use equipoise_replay::track::{
    Basis, Close, Connection, Direction, EndpointCount, Endpoints, Observed, Retention, Tracker,
};
use proptest::prelude::*;

#[path = "track/inferred.rs"]
mod inferred;

use crate::frames;

const CLIENT: (u32, u16) = (0x0a00_0009, 40_000);
const SERVER: (u32, u16) = (0x0a00_0001, 8_080);

const FIN: TcpFlags = TcpFlags::FIN;
const SYN: TcpFlags = TcpFlags::SYN;
const RST: TcpFlags = TcpFlags::RST;
const ACK: TcpFlags = TcpFlags::ACK;

fn packet(protocol: Protocol, from: (u32, u16), to: (u32, u16), flags: TcpFlags) -> Decoded {
    Decoded {
        packet: Packet {
            source: Address::v4(from.0),
            destination: Address::v4(to.0),
            source_port: from.1,
            destination_port: to.1,
            protocol,
            flags,
            length: 40,
            mark: 0,
        },
        payload_length: 0,
        tcp_sequence: 0,
        tcp_acknowledgement: 0,
        first_fragment: false,
        identification: 0,
    }
}

fn tcp(from: (u32, u16), to: (u32, u16), flags: TcpFlags, sequence: u32, payload: u32) -> Decoded {
    Decoded {
        payload_length: payload,
        tcp_sequence: sequence,
        tcp_acknowledgement: 501,
        ..packet(Protocol::Tcp, from, to, flags)
    }
}

fn identified(identification: u16, decoded: Decoded) -> Decoded {
    Decoded {
        identification,
        ..decoded
    }
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp(milliseconds * 1_000_000)
}

fn observe(tracker: &mut Tracker, now: Timestamp, decoded: &Decoded) -> Observed {
    let observed = tracker.track(now, decoded);
    observed.unwrap()
}

fn survey(connections: &[Connection]) -> Vec<EndpointCount> {
    let mut endpoints = Endpoints::default();
    for connection in connections {
        endpoints.count(connection);
    }
    endpoints.busiest()
}

fn open(sources: &[Source]) -> Trace {
    Trace::open(sources, Decoder::default(), Tracker::default()).unwrap()
}

fn packets(events: &[Event]) -> Vec<TracePacket> {
    let packet = |event: &Event| match event {
        Event::Packet(packet) => Some(*packet),
        Event::Told(_) | Event::Asked(_) => None,
    };
    events.iter().filter_map(packet).collect()
}

fn endpoint((address, port): (u32, u16)) -> Endpoint {
    Endpoint {
        address: Address::v4(address),
        port,
    }
}

#[test]
fn a_connection_from_syn_to_fin() {
    let mut tracker = Tracker::default();
    let told: Vec<Observed> = [
        (0, tcp(CLIENT, SERVER, SYN, 100, 0)),
        (1, tcp(SERVER, CLIENT, SYN | ACK, 500, 0)),
        (2, tcp(CLIENT, SERVER, ACK, 101, 0)),
        (3, tcp(SERVER, CLIENT, ACK, 501, 20)),
        (5, tcp(CLIENT, SERVER, ACK, 101, 10)),
        (6, tcp(CLIENT, SERVER, ACK, 101, 10)),
        (9, tcp(SERVER, CLIENT, ACK, 521, 30)),
        (11, tcp(SERVER, CLIENT, ACK | FIN, 551, 30)),
        (12, tcp(CLIENT, SERVER, ACK | RST, 111, 0)),
    ]
    .into_iter()
    .map(|(time, decoded)| observe(&mut tracker, at(time), &decoded))
    .collect();
    assert!(told.iter().all(|observed| observed.connection == 1));
    assert!(told[0].begins && !told[1..].iter().any(|observed| observed.begins));
    let responses: Vec<_> = told
        .iter()
        .filter_map(|told| told.first_response_ns)
        .collect();
    assert_eq!(responses, [4_000_000]);
    assert_eq!(told[6].first_response_ns, Some(4_000_000));
    assert_eq!(told[6].direction, Direction::ToClient);

    let connection = &tracker.under_way()[0];
    assert_eq!(
        (connection.client, connection.server),
        (endpoint(CLIENT), endpoint(SERVER))
    );
    assert_eq!(
        (connection.basis, connection.established),
        (Basis::Syn, true)
    );
    assert_eq!(connection.close, Some(Close::Fin));
    assert_eq!((connection.first, connection.last), (at(0), at(12)));
    assert_eq!(
        (
            connection.to_server.packets,
            connection.to_server.payload_bytes
        ),
        (5, 20)
    );
    assert_eq!(
        (connection.to_client.packets, connection.to_client.bytes),
        (4, 160)
    );
}

#[test]
fn only_a_syn_with_another_number_begins_anew() {
    let mut tracker = Tracker::default();
    let mut now = 0;
    let mut connection = |decoded: Decoded| {
        // Not so soon that one is another's copy.
        now += 2;
        observe(&mut tracker, at(now), &decoded).connection
    };
    assert_eq!(connection(tcp(CLIENT, SERVER, SYN, 100, 0)), 1);
    assert_eq!(connection(tcp(CLIENT, SERVER, SYN, 100, 0)), 1);
    assert_eq!(connection(tcp(SERVER, CLIENT, SYN | ACK, 900, 0)), 1);
    assert_eq!(connection(tcp(SERVER, CLIENT, SYN | ACK, 950, 0)), 1);
    assert_eq!(connection(tcp(CLIENT, SERVER, SYN, 7_000, 0)), 2);
    assert_eq!(connection(tcp(SERVER, CLIENT, ACK, 951, 0)), 2);
    // Out of order: data of a connection whose SYN comes later.
    let other = (CLIENT.0, 40_001);
    assert_eq!(connection(tcp(other, SERVER, ACK, 101, 5)), 3);
    assert_eq!(connection(tcp(other, SERVER, SYN, 100, 0)), 3);
    // Its SYN-ACK first: the acknowledgement tells the client's number.
    let third = (CLIENT.0, 40_002);
    assert_eq!(connection(tcp(SERVER, third, SYN | ACK, 1, 0)), 4);
    assert_eq!(connection(tcp(third, SERVER, SYN, 500, 0)), 4);
    assert_eq!(connection(tcp(third, SERVER, SYN, 501, 0)), 5);
}

#[test]
fn the_server_is_known_by_syn_then_syn_ack_then_lower_port() {
    let mut tracker = Tracker::default();
    let (high, low) = ((1, 50_000), (2, 1_024));
    // A client with the lower port: taken for the server until its SYN is seen.
    assert_eq!(
        observe(&mut tracker, at(0), &tcp(low, high, ACK, 11, 4)).direction,
        Direction::ToClient
    );
    assert_eq!(tracker.under_way()[0].basis, Basis::LowerPort);
    tracker.track(at(1), &tcp(high, low, SYN | ACK, 20, 0));
    assert_eq!(tracker.under_way()[0].basis, Basis::SynAck);
    assert_eq!(tracker.under_way()[0].server, endpoint(high));
    assert_eq!(tracker.under_way()[0].to_server.packets, 1);
    assert_eq!(
        observe(&mut tracker, at(2), &tcp(low, high, SYN, 10, 0)).direction,
        Direction::ToServer
    );
    assert_eq!(tracker.under_way()[0].basis, Basis::Syn);
    assert_eq!(tracker.under_way().len(), 1);
}

#[test]
fn both_ends_may_have_one_address() {
    let mut tracker = Tracker::default();
    let (client, server) = ((1, 50_000), (1, 80));
    let there = observe(&mut tracker, at(0), &tcp(client, server, SYN, 1, 0));
    let back = observe(&mut tracker, at(1), &tcp(server, client, SYN | ACK, 1, 0));
    assert_eq!(
        (there.direction, back.direction),
        (Direction::ToServer, Direction::ToClient)
    );
    assert_eq!(back.connection, 1);
}

#[test]
fn a_flow_of_an_end_with_itself_has_one_side() {
    let mut tracker = Tracker::default();
    for (time, flags) in (0..).zip([SYN, SYN | ACK, ACK, ACK]) {
        let packet = tcp(CLIENT, CLIENT, flags, 1, 0);
        assert_eq!(observe(&mut tracker, at(time), &packet).connection, 1);
    }
    let connection = &tracker.under_way()[0];
    let packets = (connection.to_server.packets, connection.to_client.packets);
    assert_eq!(packets, (4, 0));
}

#[test]
fn a_udp_flow_ends_with_silence() {
    let mut tracker = Tracker::default();
    let query = packet(Protocol::Udp, CLIENT, SERVER, TcpFlags::empty());
    let answer = packet(Protocol::Udp, SERVER, CLIENT, TcpFlags::empty());
    let idle = Retention::default().udp_idle_ns / 1_000_000;
    assert_eq!(observe(&mut tracker, at(0), &query).connection, 1);
    assert_eq!(
        observe(&mut tracker, at(7), &answer).first_response_ns,
        Some(7_000_000)
    );
    assert_eq!(observe(&mut tracker, at(7 + idle), &query).connection, 1);
    // Now the other end begins.
    let late = observe(&mut tracker, at(8 + 2 * idle), &answer);
    assert_eq!((late.connection, late.direction), (2, Direction::ToServer));
    // The same ports over TCP are something else.
    assert_eq!(
        observe(
            &mut tracker,
            at(8 + 2 * idle),
            &tcp(CLIENT, SERVER, ACK, 1, 0)
        )
        .connection,
        3
    );
}

#[test]
fn the_survey_orders_by_count_then_by_first_seen() {
    let mut tracker = Tracker::default();
    let (early, late, busy) = ((3, 443), (2, 80), (1, 22));
    for (client, server) in [(1, early), (2, late), (3, busy), (4, busy)] {
        tracker.track(at(0), &tcp((9, 40_000 + client), server, SYN, 1, 0));
    }
    let told: Vec<_> = survey(&tracker.under_way())
        .into_iter()
        .map(|count| (count.endpoint, count.connections))
        .collect();
    assert_eq!(
        told,
        [
            (endpoint(busy), 2),
            (endpoint(early), 1),
            (endpoint(late), 1)
        ]
    );
}

/// A pcap of raw IP packets at the given seconds, each from its own client address.
fn capture(name: &str, clients: &[(u32, u8)]) -> Source {
    let mut file = vec![
        0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
    ];
    file.extend(101_u32.to_le_bytes());
    for &(second, client) in clients {
        let mut packet = frames::ipv4(6, &frames::tcp(2, 1, b""));
        packet[15] = client;
        let length = (packet.len() as u32).to_le_bytes();
        file.extend(second.to_le_bytes());
        file.extend([0; 4]);
        file.extend(length);
        file.extend(length);
        file.extend(packet);
    }
    Source::from_bytes(name, file)
}

/// Its turn is told from its first packet, whatever stands before that.
#[test]
fn a_capture_begins_with_a_frame_that_is_passed_over_and_late() {
    let mut file = frames::section(false);
    file.extend(frames::interface(false, 101, 0, &[]));
    let packet = frames::ipv4(6, &frames::tcp(2, 1, b""));
    for (second, packet) in [(100_u64, &vec![0; 40]), (50, &packet), (120, &packet)] {
        let length = packet.len() as u32;
        file.extend(frames::enhanced(
            false,
            0,
            second * 1_000_000,
            length,
            packet,
        ));
    }
    let sources = [
        Source::from_bytes("late", file),
        capture("other", &[(60, 1), (70, 2), (110, 3)]),
    ];
    let mut events = Vec::new();
    open(&sources).next_batch(&mut events).unwrap();
    let seconds: Vec<u64> = packets(&events)
        .iter()
        .map(|packet| packet.time.0 / Timestamp::SECOND)
        .collect();
    assert_eq!(seconds, [50, 60, 70, 110, 120]);
}

#[test]
fn captures_merge_by_time_and_time_never_goes_back() {
    let sources = [
        capture("a", &[(10, 1), (5, 2), (20, 3)]),
        capture("b", &[(8, 4), (10, 5), (30, 6)]),
    ];
    for _ in 0..2 {
        let mut trace = open(&sources);
        let mut events = Vec::new();
        assert!(trace.next_batch(&mut events).unwrap());
        let batch = packets(&events);
        let told: Vec<_> = batch
            .iter()
            .map(|packet| {
                (
                    packet.capture,
                    packet.number,
                    packet.time.0 / Timestamp::SECOND,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (1, 1, 8),
                // Of the same time, and its capture begins first.
                (1, 2, 10),
                (0, 1, 10),
                (0, 2, 10),
                (0, 3, 20),
                (1, 3, 30)
            ]
        );
        assert_eq!(batch[3].raw_time_ns, Some(5 * Timestamp::SECOND));
        assert_eq!(batch[5].observed.connection, 6);
        assert_eq!(trace.totals().clock_steps_back, 1);
        assert!(!trace.next_batch(&mut events).unwrap());
    }
}

#[test]
fn packets_without_a_time_take_their_predecessors() {
    // Each another, for none to be a mirror port's copy.
    let [one, two, three] =
        [1, 2, 3].map(|sequence| frames::ipv4(6, &frames::tcp(16, sequence, b"")));
    let length = one.len() as u32;
    let file = [
        frames::section(true),
        frames::interface(true, 101, 0, &[]),
        frames::enhanced(true, 0, 7_000_000, length, &one),
        frames::simple(true, length, &two),
        frames::enhanced(true, 0, 9_000_000, length, &three),
    ]
    .concat();
    let mut trace = open(&[Source::from_bytes("untimed", file)]);
    let mut events = Vec::new();
    trace.next_batch(&mut events).unwrap();
    let batch = packets(&events);
    let times: Vec<_> = batch
        .iter()
        .map(|packet| packet.time.0 / Timestamp::SECOND)
        .collect();
    assert_eq!(times, [7, 7, 9]);
    assert_eq!(batch[1].raw_time_ns, None);
    assert_eq!((trace.totals().without_time, trace.totals().frames), (1, 3));
}

#[test]
fn an_error_surfaces_after_all_that_could_be_read() {
    let mut broken = vec![
        0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
    ];
    broken.extend([101, 0, 0, 0]);
    broken.extend([0xff; 16]);
    let sources = [
        Source::from_bytes("broken", broken),
        capture("whole", &[(1, 1), (2, 2)]),
    ];
    let mut trace = open(&sources);
    let mut events = Vec::new();
    assert!(trace.next_batch(&mut events).unwrap());
    assert_eq!(events.len(), 2);
    assert!(matches!(
        trace.next_batch(&mut events),
        Err(CaptureError::Damaged {
            packets: 0,
            offset: 24,
            ..
        })
    ));
    assert!(!trace.next_batch(&mut events).unwrap());
}

proptest! {
    /// Whatever comes, numbers are dense and in order, and the sums agree.
    #[test]
    fn connections_are_numbered_in_order_of_first_packets(
        packets in prop::collection::vec(
            (0_u16..4, 0_u16..3, any::<bool>(), any::<u8>(), 0_u32..3, 0_u64..200), 1..200),
    ) {
        let mut tracker = Tracker::default();
        let (mut now, mut highest) = (0, 0);
        for (number, &(client, server, back, flags, sequence, pause)) in (1..).zip(&packets) {
            now += pause * 1_000;
            let (client, server) = ((1, 40_000 + client), (1, 80 + server));
            let (from, to) = if back { (server, client) } else { (client, server) };
            let flags = TcpFlags::from_bits_retain(flags);
            let decoded = if flags.contains(TcpFlags::URG) {
                packet(Protocol::Udp, from, to, TcpFlags::empty())
            } else {
                tcp(from, to, flags, sequence, sequence)
            };
            // Each another, for none to be a copy.
            let decoded = identified(number, decoded);
            let observed = observe(&mut tracker, at(now), &decoded);
            prop_assert_eq!(observed.begins, observed.connection == highest + 1);
            highest = highest.max(observed.connection);
            prop_assert!(observed.connection >= 1 && observed.connection <= highest);
        }
        tracker.end_all();
        let all: Vec<_> = tracker.ended().collect();
        prop_assert_eq!(highest, all.len() as u64);
        let counted: u64 = all
            .iter()
            .map(|connection| connection.to_server.packets + connection.to_client.packets)
            .sum();
        prop_assert_eq!(counted, packets.len() as u64);
        let surveyed: u64 = survey(&all).iter().map(|count| count.connections).sum();
        prop_assert_eq!(surveyed, highest);
    }
}
