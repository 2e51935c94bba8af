//! Frames made by hand: every link type, every header in between, every reason to skip.

#[path = "decode/lean.rs"]
mod lean;
#[path = "decode/links.rs"]
mod links;
#[path = "decode/tunnels.rs"]
mod tunnels;

use equipoise_core::{Address, Protocol, TcpFlags};
use equipoise_replay::decode::{Decoded, Decoder, Skipped};
use proptest::prelude::*;

use crate::frames::{ethernet, ipv4, ipv6, tcp, udp};

const ETHERNET: u16 = 1;
const RAW: u16 = 101;
const SYN: u8 = 2;

fn decode(link_type: u16, bytes: &[u8], original_length: u32) -> Result<Decoded, Skipped> {
    Decoder::default().decode(link_type, bytes, original_length)
}

fn decode_whole(link_type: u16, bytes: &[u8]) -> Result<Decoded, Skipped> {
    decode(link_type, bytes, bytes.len() as u32)
}

fn segment() -> Vec<u8> {
    ipv4(6, &tcp(SYN, 1_000, b"hello"))
}

fn assert_segment(decoded: Result<Decoded, Skipped>) {
    let decoded = decoded.unwrap();
    let packet = decoded.packet;
    assert_eq!(packet.source, Address::v4(0x0a00_0009));
    assert_eq!(packet.destination, Address::v4(0x0a00_0001));
    assert_eq!((packet.source_port, packet.destination_port), (40_000, 80));
    assert_eq!(
        (packet.protocol, packet.flags),
        (Protocol::Tcp, TcpFlags::SYN)
    );
    assert_eq!((packet.length, packet.mark), (45, 0));
    assert_eq!(decoded.payload_length, 5);
    assert_eq!(
        (decoded.tcp_sequence, decoded.tcp_acknowledgement),
        (1_000, 77)
    );
    assert!(!decoded.first_fragment);
}

#[test]
fn every_link_type_finds_the_packet() {
    let packet = segment();
    let with = |header: &[u8]| [header, &packet].concat();
    assert_segment(decode_whole(ETHERNET, &ethernet(0x0800, &packet)));
    for link_type in [101, 12, 14, 228] {
        assert_segment(decode_whole(link_type, &packet));
    }
    for link_type in [0, 108] {
        assert_segment(decode_whole(link_type, &with(&[2, 0, 0, 0])));
        assert_segment(decode_whole(link_type, &with(&[0, 0, 0, 2])));
    }
    let cooked =
        |protocol: [u8; 2]| [&[0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0][..], &protocol].concat();
    assert_segment(decode_whole(113, &with(&cooked([8, 0]))));
    assert_segment(decode_whole(
        113,
        &[cooked([0x81, 0]), with(&[0, 7, 8, 0])].concat(),
    ));
    let cooked2 = |protocol: [u8; 2]| [&protocol[..], &[0; 18]].concat();
    assert_segment(decode_whole(276, &with(&cooked2([8, 0]))));
    assert_segment(decode_whole(
        276,
        &[cooked2([0x81, 0]), with(&[0, 7, 8, 0])].concat(),
    ));
}

#[test]
fn loopback_knows_every_ipv6_family() {
    let packet = ipv6(17, &udp(b"?"));
    for family in [10, 23, 24, 28, 30] {
        for header in [[family, 0, 0, 0], [0, 0, 0, family]] {
            let decoded = decode_whole(0, &[&header[..], &packet].concat()).unwrap();
            assert_eq!(decoded.packet.protocol, Protocol::Udp);
        }
    }
    assert_eq!(decode_whole(0, &[7, 0, 0, 0]), Err(Skipped::NotIp));
}

#[test]
fn tags_stack_up_to_a_limit() {
    let stack = |tags: usize| {
        let mut inner = vec![0, 7, 8, 0];
        for _ in 1..tags {
            inner.splice(0..0, [0, 7, 0x81, 0]);
        }
        ethernet(0x88a8, &[inner, segment()].concat())
    };
    for tags in [1, 2, 3, 8] {
        assert_segment(decode_whole(ETHERNET, &stack(tags)));
    }
    assert_eq!(decode_whole(ETHERNET, &stack(9)), Err(Skipped::TooManyTags));
    assert_eq!(
        decode_whole(ETHERNET, &stack(2)[..17]),
        Err(Skipped::TruncatedHeader)
    );
}

#[test]
fn ipv4_options_and_ethernet_padding_do_not_count_as_payload() {
    let mut packet = ipv4(6, &tcp(0x10, 5, b""));
    packet[0] = 0x47;
    packet[3] += 8;
    packet.splice(20..20, [1; 8]);
    let mut frame = ethernet(0x0800, &packet);
    frame.resize(64, 0xee);
    let decoded = decode_whole(ETHERNET, &frame).unwrap();
    assert_eq!((decoded.packet.length, decoded.payload_length), (48, 0));
    assert_eq!(decoded.packet.destination_port, 80);
}

#[test]
fn frames_cut_short_decode_as_long_as_ports_and_flags_are_there() {
    let packet = ipv4(6, &tcp(SYN, 1_000, &[0; 100]));
    let decoded = decode(RAW, &packet[..34], packet.len() as u32).unwrap();
    assert_eq!((decoded.packet.length, decoded.payload_length), (140, 100));
    assert_eq!(decoded.packet.flags, TcpFlags::SYN);
    for length in 0..34 {
        let cut = decode(RAW, &packet[..length], packet.len() as u32);
        assert_eq!(cut, Err(Skipped::TruncatedHeader), "{length} bytes");
    }
    let packet = ipv4(17, &udp(&[0; 30]));
    let decoded = decode(RAW, &packet[..24], packet.len() as u32).unwrap();
    assert_eq!(decoded.payload_length, 30);
}

#[test]
fn length_zero_is_taken_from_the_frame() {
    let mut packet = ipv4(6, &tcp(0x10, 5, &[0; 100]));
    packet[2..4].fill(0);
    let frame = ethernet(0x0800, &packet);
    let decoded = decode(ETHERNET, &frame[..60], 70_014).unwrap();
    assert_eq!(
        (decoded.packet.length, decoded.payload_length),
        (70_000, 69_960)
    );

    // A jumbogram: a hop-by-hop header with the jumbo option, payload length 0.
    let jumbo = [
        &[6, 0, 0xc2, 4, 0, 1, 0x11, 0x58][..],
        &tcp(0x10, 5, &[0; 100]),
    ]
    .concat();
    let mut packet = ipv6(0, &jumbo);
    packet[4..6].fill(0);
    let decoded = decode(229, &packet, 70_040).unwrap();
    assert_eq!(
        (decoded.packet.length, decoded.payload_length),
        (70_040, 69_972)
    );
}

#[test]
fn fragments_have_ports_in_the_first_only() {
    let mut first = segment();
    first[6] = 0x20;
    assert!(decode_whole(RAW, &first).unwrap().first_fragment);
    let mut later = segment();
    later[7] = 1;
    assert_eq!(
        decode_whole(RAW, &later),
        Err(Skipped::FragmentWithoutPorts)
    );

    let fragment = |offset_and_more: u16| {
        let mut header = vec![17, 0];
        header.extend(offset_and_more.to_be_bytes());
        header.extend([0, 0, 0, 1]);
        header.extend(udp(b"12345678"));
        ipv6(44, &header)
    };
    assert!(decode_whole(229, &fragment(1)).unwrap().first_fragment);
    assert!(!decode_whole(229, &fragment(0)).unwrap().first_fragment);
    assert_eq!(
        decode_whole(229, &fragment(8)),
        Err(Skipped::FragmentWithoutPorts)
    );
}

#[test]
fn ipv6_extension_headers_are_walked() {
    let extensions = [
        &[43, 0, 1, 4, 0, 0, 0, 0][..],                      // hop-by-hop
        &[60, 0, 0, 0, 0, 0, 0, 0],                          // routing
        &[51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // destination options
        &[6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],               // authentication
        &tcp(0x12, 9, b"x"),
    ]
    .concat();
    let packet = ipv6(0, &extensions);
    let decoded = decode_whole(RAW, &packet).unwrap();
    assert_eq!(decoded.packet.flags, TcpFlags::SYN | TcpFlags::ACK);
    assert_eq!(decoded.payload_length, 1);
    assert_eq!(decoded.packet.length as usize, packet.len());
    for length in 40..packet.len() - 7 {
        let cut = decode(RAW, &packet[..length], packet.len() as u32);
        assert_eq!(cut, Err(Skipped::TruncatedHeader), "{length} bytes");
    }
}

#[test]
fn every_other_packet_is_skipped_with_its_reason() {
    let mut mapped = ipv6(6, &tcp(SYN, 1, b""));
    mapped[8..24].copy_from_slice(&0xffff_0a00_0001_u128.to_be_bytes());
    let mut contradictory = segment();
    contradictory[3] = 30;
    let mut no_header = segment();
    no_header[0] = 0x44;
    let cases: [(u16, Vec<u8>, Skipped, &str, &str); 12] = [
        (
            105,
            vec![],
            Skipped::UnsupportedLinkType(105),
            "unsupported_link_type",
            "link type 105 (IEEE802_11) is not supported",
        ),
        (
            999,
            vec![],
            Skipped::UnsupportedLinkType(999),
            "unsupported_link_type",
            "link type 999 is not supported",
        ),
        (
            ETHERNET,
            ethernet(0x0806, &[0; 28]),
            Skipped::NotIp,
            "not_ip",
            "not IP",
        ),
        (RAW, vec![0x10; 40], Skipped::NotIp, "not_ip", "not IP"),
        (RAW, ipv4(1, &[8; 8]), Skipped::Icmp, "icmp", "ICMP"),
        (RAW, ipv6(58, &[8; 8]), Skipped::Icmp, "icmp", "ICMP"),
        (RAW, ipv4(132, &[8; 12]), Skipped::Sctp, "sctp", "SCTP"),
        (
            RAW,
            ipv4(47, &[8; 12]),
            Skipped::OtherProtocol(47),
            "other_protocol",
            "IP protocol 47",
        ),
        (
            RAW,
            contradictory,
            Skipped::Malformed,
            "malformed",
            "malformed header",
        ),
        (
            228,
            no_header,
            Skipped::Malformed,
            "malformed",
            "malformed header",
        ),
        (
            ETHERNET,
            vec![0; 5],
            Skipped::TruncatedHeader,
            "truncated_header",
            "header cut short by the capture",
        ),
        (
            RAW,
            mapped,
            Skipped::MappedAddress,
            "mapped_address",
            "IPv4-mapped address in an IPv6 header",
        ),
    ];
    for (link_type, bytes, reason, name, text) in cases {
        assert_eq!(decode_whole(link_type, &bytes), Err(reason));
        assert_eq!((reason.name(), reason.to_string().as_str()), (name, text));
    }
}

proptest! {
    #[test]
    fn damaged_packets_never_panic(
        six in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        kept in any::<prop::sample::Index>(),
    ) {
        let mut packet = if six {
            ipv6(0, &[&[44, 0, 1, 4, 0, 0, 0, 0][..], &[6, 0, 0, 1, 0, 0, 0, 1], &tcp(2, 1, b"x")].concat())
        } else {
            segment()
        };
        for (place, value) in changes {
            let place = place.index(packet.len());
            packet[place] = value;
        }
        let kept = kept.index(packet.len() + 1);
        if let Ok(decoded) = decode(RAW, &packet[..kept], packet.len() as u32) {
            prop_assert!(decoded.payload_length < decoded.packet.length);
        }
    }
}
