//! What the tracker infers: copies, second legs, and the end of what has been silent.

use equipoise_core::{Address, Endpoint, Protocol, ServiceKey, TcpFlags, Timestamp};
use equipoise_replay::decode::Decoded;
use equipoise_replay::track::{Connection, Holding, Retention, Tracker};

use super::{ACK, CLIENT, FIN, RST, SERVER, SYN, at, endpoint, identified, observe, packet, tcp};

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

/// Packets that were taken for copies: their prints, or their flows' hashes, had too much in common.
#[test]
fn what_only_looks_alike_in_part_is_no_copy() {
    let microseconds = |count: u64| Timestamp(count * 1_000);
    let (client, server) = ((0xc612_0009, 5_555), (0x0a00_0001, 80));
    let one = tcp(client, server, TcpFlags::PSH | ACK, 14_849_921, 10);
    let other = tcp(client, server, TcpFlags::PSH | ACK, 22_076_411, 10);
    let segments = [identified(0xa873, one), identified(0xaf57, other)];
    let syn = |from: u128, to: u128| {
        let mut syn = tcp((0, 1_024), (0, 80), SYN, 7, 0);
        syn.packet.source = Address(from);
        syn.packet.destination = Address(to);
        syn.tcp_acknowledgement = 0;
        syn
    };
    let syns = [
        syn(0x2001_0db8 << 96 | 1, 0x2001_0db8_0001 << 80 | 2),
        syn(
            0x2001_0db8 << 96 | 2,
            0x2001_0db8_0001 << 80 | 0x3_0000_0002,
        ),
    ];
    for mut packets in [segments, syns] {
        let mut tracker = Tracker::default();
        for packet in &mut packets {
            if packet.payload_length > 0 {
                packet.tcp_acknowledgement = 5_001;
            }
        }
        // The second one's flow is known.
        tracker.track(microseconds(0), &packets[1]);
        tracker.track(microseconds(1_000_000), &packets[0]);
        assert!(
            tracker
                .track(microseconds(1_000_100), &packets[1])
                .is_some()
        );
        assert_eq!(tracker.inferred().copies, 0);
    }
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
