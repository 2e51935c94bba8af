//! The tracker, told packet by packet.

use equipoise_core::{Address, Endpoint, Packet, Protocol, ServiceKey, TcpFlags, Timestamp};
use equipoise_replay::capture::{CaptureError, Source};
use equipoise_replay::decode::Decoded;
use equipoise_replay::decode::Decoder;
use equipoise_replay::trace::Trace;
use equipoise_replay::trace::{Event, TracePacket};
use equipoise_replay::track::{
    Basis, Close, Connection, Direction, EndpointCount, Endpoints, Holding, Observed, Retention,
    Tracker,
};
use proptest::prelude::*;

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
        Event::Told(_) => None,
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

/// As a mirror port repeats packets: from the first on, UDP by its identification.
#[test]
fn copies_count_as_traffic_and_as_nothing_else() {
    let mut tracker = Tracker::default();
    let microseconds = |count: u64| Timestamp(count * 1_000);
    let syn = identified(7, tcp(CLIENT, SERVER, SYN, 100, 0));
    let other = identified(8, tcp(CLIENT, SERVER, SYN, 100, 0));
    let query = identified(9, packet(Protocol::Udp, CLIENT, SERVER, TcpFlags::empty()));
    assert!(tracker.track(microseconds(0), &syn).is_some());
    assert!(tracker.track(microseconds(10), &syn).is_none());
    // The same segment in another packet is a retransmission, and so is a late one.
    assert!(tracker.track(microseconds(20), &other).is_some());
    assert!(tracker.track(microseconds(1_020), &other).is_some());
    assert!(tracker.track(microseconds(1_030), &query).is_some());
    assert!(tracker.track(microseconds(1_035), &query).is_none());
    assert_eq!(tracker.inferred().copies, 2);
    let packets = |connection: &Connection| connection.to_server.packets;
    let counted: Vec<u64> = tracker.under_way().iter().map(packets).collect();
    assert_eq!(counted, [4, 2]);
}

#[test]
fn the_second_leg_of_a_director_is_left_out() {
    let (real_server, other) = ((0x0a01_0001, 8_080), (0x0a01_0002, 8_080));
    let key = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: Address::v4(other.0),
        port: other.1,
    };
    let mut tracker = Tracker::default().with_services(vec![key]);
    assert!(
        tracker
            .track(at(0), &tcp(CLIENT, SERVER, SYN, 7, 0))
            .is_some()
    );
    // The same number to the same server is no other leg, nor is what comes late or to a service.
    let begun_again = [(1, 8), (2, 7)];
    for (time, sequence) in begun_again {
        let syn = tcp(CLIENT, SERVER, SYN, sequence, 0);
        assert!(
            tracker
                .track(at(time), &syn)
                .is_some_and(|told| told.begins)
        );
    }
    assert!(
        tracker
            .track(at(3), &tcp(CLIENT, other, SYN, 7, 0))
            .is_some()
    );
    assert!(
        tracker
            .track(at(3), &tcp(CLIENT, real_server, SYN, 7, 0))
            .is_none()
    );
    assert!(
        tracker
            .track(at(4), &tcp(real_server, CLIENT, SYN | ACK, 1, 0))
            .is_none()
    );
    let late = (0x0a01_0003, 8_080);
    assert!(
        tracker
            .track(at(30), &tcp(CLIENT, late, SYN, 7, 0))
            .is_some()
    );
    let inferred = tracker.inferred();
    assert_eq!((inferred.second_legs, inferred.second_leg_packets), (1, 2));
}

/// A mirror port that sends many packets before their copies; what may be told from a packet that
/// only says the same again; and what may not be told where time stands still.
#[test]
fn copies_are_found_behind_other_packets() {
    let mut tracker = Tracker::default();
    let packets: Vec<Decoded> = (0..200_u16)
        .map(|number| match number {
            0 => tcp(CLIENT, SERVER, SYN, 100, 0),
            1 => tcp(SERVER, CLIENT, SYN | ACK, 500, 0),
            _ => identified(number, tcp(CLIENT, SERVER, ACK, 101, 9)),
        })
        .collect();
    let mut now = 0;
    for (round, copies) in [(0, 0), (1, packets.len())] {
        let mut passed = 0;
        for decoded in &packets {
            now += 2_000;
            passed += usize::from(tracker.track(Timestamp(now), decoded).is_some());
        }
        assert_eq!(passed + copies, packets.len(), "round {round}");
    }
    assert_eq!(tracker.inferred().copies, packets.len() as u64);
    // Lost data is repeated at once on short ways; an acknowledgement, a FIN, a reset and a datagram
    // may well come twice.
    for decoded in [
        tcp(CLIENT, SERVER, ACK, 700, 5),
        tcp(SERVER, CLIENT, ACK, 501, 0),
        tcp(SERVER, CLIENT, ACK | FIN, 501, 0),
        tcp(SERVER, CLIENT, RST, 501, 0),
        packet(Protocol::Udp, CLIENT, SERVER, TcpFlags::empty()),
    ] {
        for _ in 0..2 {
            assert!(tracker.track(Timestamp(now), &decoded).is_some());
        }
    }
    for _ in 0..2 {
        let decoded = &packets[3];
        assert!(tracker.track_at(Timestamp(now), false, decoded).is_some());
    }
}

fn identified(identification: u16, decoded: Decoded) -> Decoded {
    Decoded {
        identification,
        ..decoded
    }
}

/// A director forwards each packet once, as it is, to another address: a scan does not.
#[test]
fn a_scan_is_no_director() {
    type Probe = fn(u32) -> Decoded;
    let probes: [Probe; 4] = [
        |number| {
            let probe = tcp(CLIENT, (0x0a02_0000 + number, 80), SYN, 7, 0);
            identified(number as u16 + 1, probe)
        },
        |number| tcp(CLIENT, (0x0a02_0000 + number, 80), SYN, 7, 0),
        |number| tcp(CLIENT, (SERVER.0, number as u16), SYN, 7, 0),
        |number| {
            let server = (0x0a02_0000 + number, 53);
            let probe = packet(Protocol::Udp, CLIENT, server, TcpFlags::empty());
            identified(54_321, probe)
        },
    ];
    for (kind, probe) in probes.iter().enumerate() {
        let mut tracker = Tracker::default();
        for number in 0..100 {
            tracker.track(Timestamp(u64::from(number) * 500_000), &probe(number));
        }
        assert_eq!(tracker.inferred().second_legs, 0, "kind {kind}");
        let legs = tracker.under_way().into_iter();
        assert!(legs.clone().all(|connection| !connection.is_second_leg));
        assert_eq!(legs.count(), 100);
    }
}

#[test]
fn nothing_is_inferred_where_time_stands_still() {
    for (is_its_own, second_legs) in [(true, 1), (false, 0)] {
        let mut tracker = Tracker::default();
        for server in [SERVER, (0x0a01_0001, 8_080)] {
            let syn = tcp(CLIENT, server, SYN, 7, 0);
            assert_eq!(
                tracker.track_at(at(0), is_its_own, &syn).is_some(),
                !is_its_own || server == SERVER
            );
        }
        assert_eq!(tracker.inferred().second_legs, second_legs);
    }
}

/// Old Linux gives the first packets of sockets that are opened at once the same identification.
#[test]
fn queries_to_one_resolver_are_no_legs() {
    let mut tracker = Tracker::default();
    let resolver = (SERVER.0, 53);
    for port in 40_000..40_010 {
        let query = packet(Protocol::Udp, (CLIENT.0, port), resolver, TcpFlags::empty());
        tracker.track(at(1), &identified(7, query));
    }
    assert_eq!(tracker.inferred().second_legs, 0);
}

type Make<'a> = &'a dyn Fn((u32, u16), (u32, u16)) -> Decoded;

/// Datagrams and connections that were under way are known by their first packets, and by a reply
/// where that comes first: it has the second leg behind it then.
#[test]
fn second_legs_are_known_without_syn() {
    let (virtual_server, real_server) = (SERVER, (0x0a01_0001, 8_080));
    let datagram = |from, to| identified(9, packet(Protocol::Udp, from, to, TcpFlags::empty()));
    let segment = |from, to| identified(9, tcp(from, to, ACK, 77, 5));
    let from_client = |make: Make<'_>| [make(CLIENT, virtual_server), make(CLIENT, real_server)];
    let from_server = |make: Make<'_>| [make(real_server, CLIENT), make(virtual_server, CLIENT)];
    let orders = [
        from_client(&datagram),
        from_client(&segment),
        from_server(&segment),
    ];
    for [one, other] in orders {
        let mut tracker = Tracker::default();
        tracker.track(at(0), &one);
        tracker.track(at(1), &other);
        let legs = tracker.under_way().into_iter();
        let second: Vec<Endpoint> = legs
            .filter(|connection| connection.is_second_leg)
            .flat_map(|connection| [connection.client, connection.server])
            .collect();
        assert_eq!(tracker.inferred().second_legs, 1);
        assert_eq!(second.len(), 2);
        assert!(second.contains(&endpoint(real_server)), "{second:?}");
    }
}

#[test]
fn what_was_held_back_before_a_leg_showed_is_told_with_its_own_time() {
    let holding = Holding::new(10 * Timestamp::SECOND);
    let mut tracker = Tracker::new(Retention::default(), Some(holding));
    let real_server = (0x0a00_0002, 80);
    let from = |server, identification| identified(identification, tcp(server, CLIENT, ACK, 7, 0));
    let mut track = |ms: u64, decoded: &Decoded| {
        let seen = tracker.track(at(ms), decoded);
        (seen.is_some(), tracker.told().next())
    };
    assert!(track(0, &from(real_server, 1)).0);
    assert!(!track(2, &from(real_server, 2)).0, "held back");
    let mut told = track(3, &from(SERVER, 1)).1;
    for ms in [1_000, 4_000, 7_000] {
        let (passed, more) = track(ms, &from(real_server, 3));
        assert!(!passed);
        told = told.or(more);
    }
    let quiet = told.unwrap().quiet;
    assert_eq!((quiet.low.packets, quiet.low.last), (1, at(2)));
}

/// Whatever else is in the trace: what was forgotten and what was not is no matter.
#[test]
fn silence_ends_a_connection() {
    for others in [0, 10_000] {
        let mut tracker = Tracker::default();
        let syn = tcp(CLIENT, SERVER, SYN, 100, 0);
        let mut begins = Vec::new();
        for second in [0, 100, 300] {
            begins.push(observe(&mut tracker, at(second * 1_000), &syn).begins);
            for other in 0..others {
                let client = (0x0a03_0000 + other, 40_000);
                tracker.track(at(second * 1_000 + 500), &tcp(client, SERVER, SYN, 1, 0));
                tracker.next_batch();
            }
        }
        assert_eq!(begins, [true, false, true], "beside {others} others");
    }
}

#[test]
fn the_end_of_time_ends_no_connection() {
    for holding in [None, Some(Holding::new(10 * Timestamp::SECOND))] {
        let mut tracker = Tracker::new(Retention::FOR_EVER, holding);
        for number in 1..5 {
            let decoded = identified(number, tcp(CLIENT, SERVER, ACK, 7, 0));
            tracker.track(Timestamp(u64::MAX), &decoded);
        }
        assert_eq!(tracker.connections(), 1);
    }
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

/// Its turn is told from its first frame, whatever that holds.
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
    assert_eq!(seconds, [60, 70, 100, 110, 120]);
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
                (0, 1, 10),
                (0, 2, 10),
                (1, 2, 10),
                (0, 3, 20),
                (1, 3, 30)
            ]
        );
        assert_eq!(batch[2].raw_time_ns, Some(5 * Timestamp::SECOND));
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
