//! Segments through a file and back, whole and damaged.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use equipoise_core::{Address, Endpoint, Protocol, TcpFlags};
use proptest::prelude::*;

use super::facts::Extent;
use super::segment::{Row, Segment, Stored, Summary};
use super::write::Writer;
use super::{Reader, TableError};
use crate::capture::{Content, Source};
use crate::track::{Basis, Close, Traffic};

const CAPTURES: u32 = 3;

fn content(bytes: Vec<u8>) -> Content {
    Source::from_bytes("test", bytes).content().unwrap()
}

fn facts(packets: usize, segments: &[Extent]) -> String {
    let segments = serde_json::to_string(segments).unwrap();
    let capture = r#"{"name":"a","file_type":"pcapng","packets":9,"bytes":9,"first_ns":null,"last_ns":7,
        "longest_silence_ns":0,"link_types":[1,101],"warning":null}"#;
    let captures = vec![capture; CAPTURES as usize].join(",");
    format!(
        r#"{{"schema":"equipoise.table/1","tunnels":"outer","tunnel_ports":["gue=7000"],"packets":{packets},
        "segments":{segments},"frames":9,"skipped":[["not_ip",1],[{{"other_protocol":47}},1]],"clock_steps_back":0,
        "without_time":1,"captures":[{captures}],"errors":["it broke"]}}"#
    )
}

fn written(segments: &[Segment]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).unwrap();
    for segment in segments {
        let summaries = segment.rows.iter().enumerate();
        let summaries: Vec<Summary> = summaries.map(|(place, _)| summary(place)).collect();
        writer.write(segment, &summaries).unwrap();
    }
    let packets = segments.iter().map(Segment::len).sum();
    writer
        .finish(super::schema::FACTS_KEY, |segments| {
            Ok(facts(packets, &segments))
        })
        .unwrap();
    bytes
}

fn read(bytes: Vec<u8>) -> Result<Vec<Segment>, TableError> {
    let (mut reader, _) = Reader::open(content(bytes))?;
    let mut segments = Vec::new();
    while let Some(segment) = reader.next_segment()? {
        segments.push(segment);
    }
    Ok(segments)
}

fn summary(place: usize) -> Summary {
    let n = place as u64;
    let traffic = |packets| Traffic {
        packets,
        bytes: 40 * n,
        payload_bytes: n,
    };
    Summary {
        connection: n + 1,
        basis: [Basis::Syn, Basis::FirstPacket][place % 2],
        established: place.is_multiple_of(3),
        is_second_leg: place.is_multiple_of(5),
        close: [None, Some(Close::Fin), Some(Close::Reset)][place % 3],
        first_ns: n,
        last_ns: u64::MAX - n,
        first_response_ns: place.is_multiple_of(2).then_some(n),
        to_server: traffic(n),
        to_client: traffic(1),
    }
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let v4 = any::<u32>().prop_map(Address::v4);
    let address = prop_oneof![v4, any::<u128>().prop_map(Address)];
    (address, any::<u16>()).prop_map(|(address, port)| Endpoint { address, port })
}

fn row() -> impl Strategy<Value = Row> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    (protocol, endpoint(), endpoint()).prop_map(|(protocol, client, server)| Row {
        protocol,
        client,
        server,
    })
}

prop_compose! {
    fn stored()(
        row in any::<u32>(),
        capture in 0..CAPTURES,
        number in any::<u64>(),
        step in prop_oneof![0..1_000_u64, 0..1_u64 << 50],
        behind in proptest::option::of(0..2_u64),
        lengths in any::<[u32; 4]>(),
        identification in any::<u16>(),
        flags in any::<u8>(),
        bits in any::<[bool; 2]>(),
    ) -> Stored {
        Stored {
            row,
            capture,
            number,
            // Summed up by `segments`.
            time_ns: step,
            raw_time_ns: behind,
            length: lengths[0],
            payload_length: lengths[1],
            tcp_sequence: lengths[2],
            tcp_acknowledgement: lengths[3],
            identification,
            flags: TcpFlags::from_bits_retain(flags),
            to_server: bits[0],
            first_fragment: bits[1],
        }
    }
}

prop_compose! {
    fn segment()(rows in prop::collection::vec(row(), 1..20))(
        packets in prop::collection::vec(stored(), rows.len()..rows.len() + 200),
        rows in Just(rows),
    ) -> (Vec<Row>, Vec<Stored>) {
        let mut packets = packets;
        let count = rows.len();
        for (place, packet) in packets.iter_mut().enumerate() {
            // Rows come in the order of their first packets, and each has one.
            packet.row = if place < count { place as u32 } else { packet.row % count as u32 };
        }
        (rows, packets)
    }
}

fn segments() -> impl Strategy<Value = Vec<Segment>> {
    prop::collection::vec(segment(), 0..4).prop_map(|mut segments| {
        let mut now = 1;
        for packet in segments.iter_mut().flat_map(|(_, packets)| packets) {
            now += packet.time_ns;
            packet.time_ns = now;
            packet.raw_time_ns = packet.raw_time_ns.map(|behind| now - behind);
        }
        let segments = segments.into_iter();
        let segment = |(rows, packets): (_, Vec<_>)| Segment::in_order(rows, &packets);
        segments.map(segment).collect()
    })
}

fn sample() -> Vec<Segment> {
    let row = |n: u32| Row {
        protocol: [Protocol::Tcp, Protocol::Udp][n as usize % 2],
        client: Endpoint {
            address: Address::v4(0xc000_0200 + n),
            port: 1_025,
        },
        server: Endpoint {
            address: Address(u128::from(n) << 90 | 7),
            port: 80,
        },
    };
    let packet = |n: u32, start: u64| Stored {
        row: if n < 40 { n } else { (n * n) % 40 },
        capture: n % CAPTURES,
        number: u64::from(n) + 1,
        time_ns: start + u64::from(n) * 1_000,
        raw_time_ns: (!n.is_multiple_of(7)).then_some(start + u64::from(n) * 1_000),
        length: 40 + n % 9,
        payload_length: n % 9,
        tcp_sequence: n.wrapping_mul(0x9e37_79b9),
        tcp_acknowledgement: n / 2,
        identification: n as u16,
        flags: TcpFlags::from_bits_retain([2, 16, 17][n as usize % 3]),
        to_server: n.is_multiple_of(2),
        first_fragment: n.is_multiple_of(11),
    };
    let segment = |start| {
        let packets: Vec<Stored> = (0..600).map(|n| packet(n, start)).collect();
        Segment::in_order((0..40).map(row).collect(), &packets)
    };
    vec![segment(1 << 60), segment(1 << 61)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn segments_come_back_as_they_were(segments in segments()) {
        prop_assert_eq!(read(written(&segments)).unwrap(), segments);
    }

    /// Whoever changes a table can mend its checksum: an error or other values, in bounded memory.
    #[test]
    fn any_bytes_are_taken(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..6)) {
        let mut bytes = written(&sample());
        let length = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().unwrap());
        let pages = bytes.len() - 8 - length as usize;
        for (place, byte) in changes {
            bytes[place.index(pages)] = byte;
        }
        let (reader, _) = Reader::open(content(bytes)).unwrap();
        for number in 0..2 {
            if let Ok(segment) = reader.read(number) {
                prop_assert_eq!(segment.len(), 600);
            }
        }
    }
}

#[test]
fn damage_is_told() {
    let bytes = written(&sample());
    let footer = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[footer..footer + 4].try_into().unwrap()) as usize;
    // Without the magic at the beginning it would not be taken for a table.
    for place in (4..footer - length).step_by(11) {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        let is_damaged = matches!(read(bytes), Err(TableError::Damaged { .. }));
        assert!(is_damaged, "byte {place}");
    }
    // There are no checksums of the footer: it is an error, or something that could be.
    for place in (footer - length..bytes.len()).step_by(7) {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        let _ = read(bytes);
    }
    for end in (0..bytes.len()).step_by(101) {
        let error = read(bytes[..end].to_vec()).unwrap_err();
        assert!(matches!(error, TableError::Footer { .. }), "{end}: {error}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |change: &dyn Fn(&mut Segment)| {
        let mut segments = sample();
        change(&mut segments[1]);
        read(written(&segments)).unwrap_err().to_string()
    };
    let texts = [
        refused(&|segment| segment.packets[5].capture = CAPTURES),
        refused(&|segment| {
            segment.packets[5].time_ns -= 5_000_000;
            segment.packets[5].raw_time_ns = None;
        }),
        refused(&|segment| segment.packets[0].raw_time_ns = Some(u64::MAX)),
        refused(&|segment| segment.places[5] = segment.places[6]),
        refused(&|segment| segment.places[5] = 600),
    ];
    insta::assert_snapshot!(texts.join("\n"), @"
    it is damaged in segment 1: column capture has a value that cannot be; copy or extract it anew
    it is damaged in segment 1: its times go back; copy or extract it anew
    it is damaged in segment 1: column time_added_ns has a value that cannot be; copy or extract it anew
    it is damaged in segment 1: packets are not each in one place; copy or extract it anew
    it is damaged in segment 1: packets are not each in one place; copy or extract it anew
    ");
}
