//! Tunnels: looked through when asked to, and never otherwise.

use equipoise_core::Protocol;
use equipoise_replay::decode::{Decoded, Decoder, Skipped, TunnelPorts, Tunnels};

use super::{ETHERNET, RAW, assert_segment, decode_whole, segment};
use crate::frames::{ethernet, ipv4, ipv6, tcp, udp};

const GUE: u16 = 6080;
const VXLAN: u16 = 4789;
const GENEVE: u16 = 6081;

fn inner(link_type: u16, bytes: &[u8], original_length: u32) -> Result<Decoded, Skipped> {
    let decoder = Decoder {
        tunnels: Tunnels::Inner,
        ..Decoder::default()
    };
    decoder.decode(link_type, bytes, original_length)
}

fn inner_whole(bytes: &[u8]) -> Result<Decoded, Skipped> {
    inner(RAW, bytes, bytes.len() as u32)
}

/// A datagram to `port`.
fn datagram(port: u16, header: &[u8], content: &[u8]) -> Vec<u8> {
    let mut datagram = udp(&[header, content].concat());
    datagram[2..4].copy_from_slice(&port.to_be_bytes());
    datagram
}

fn gre(header: &[u8], content: &[u8]) -> Vec<u8> {
    ipv4(47, &[header, content].concat())
}

/// Flags with the network number's, 24 bits reserved, the number, 8 bits (RFC 7348 section 5).
fn vxlan(frame: &[u8]) -> Vec<u8> {
    datagram(VXLAN, &[0x08, 0, 0, 0, 0, 0, 42, 0], frame)
}

/// Every tunnel with the packet of `segment` in it, over IPv4.
fn tunnels() -> Vec<(&'static str, Vec<u8>)> {
    let packet = segment();
    let frame = ethernet(0x0800, &packet);
    let direct = |port| ipv4(17, &datagram(port, &[], &packet));
    vec![
        ("ipip (RFC 2003)", ipv4(4, &packet)),
        // Flags and version, type (RFC 2784); key, sequence number (RFC 2890).
        ("gre", gre(&[0, 0, 8, 0], &packet)),
        ("gre, sum", gre(&[0x80, 0, 8, 0, 1, 2, 0, 0], &packet)),
        ("gre, key", gre(&[0x20, 0, 8, 0, 0, 0, 0, 9], &packet)),
        (
            "gre, sum, key, number",
            gre(
                &[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1],
                &packet,
            ),
        ),
        ("gre, Ethernet", gre(&[0, 0, 0x65, 0x58], &frame)),
        // Variant, control flag, words of options; protocol; flags (draft-ietf-intarea-gue 3.1).
        ("gue", ipv4(17, &datagram(GUE, &[0, 4, 0, 0], &packet))),
        // As IPVS writes it with remote checksum offload: private flags, then that option.
        (
            "gue, options",
            ipv4(
                17,
                &datagram(GUE, &[2, 4, 0, 1, 0x80, 0, 0, 0, 0, 20, 0, 36], &packet),
            ),
        ),
        ("gue, variant 1", direct(GUE)),
        (
            "gre in gue",
            ipv4(17, &datagram(GUE, &[0, 47, 0, 0, 0, 0, 8, 0], &packet)),
        ),
        ("vxlan", ipv4(17, &vxlan(&frame))),
        // Version and words of options, flags, type, network number (RFC 8926 3.4).
        (
            "geneve",
            ipv4(
                17,
                &datagram(GENEVE, &[0, 0, 0x65, 0x58, 0, 0, 42, 0], &frame),
            ),
        ),
        (
            "geneve, options",
            ipv4(
                17,
                &datagram(GENEVE, &[1, 0, 8, 0, 0, 0, 42, 0, 1, 2, 3, 4], &packet),
            ),
        ),
    ]
}

/// The same over IPv6, behind an option that limits nesting (RFC 2473 4.1.1).
fn over_ipv6(packet: &[u8]) -> Vec<u8> {
    let limit = [packet[9], 0, 4, 1, 4, 1, 0, 0];
    ipv6(60, &[&limit, &packet[20..]].concat())
}

#[test]
fn the_inner_packet_of_every_tunnel() {
    for (name, packet) in tunnels() {
        println!("{name}");
        assert_segment(inner_whole(&packet));
        assert_segment(inner_whole(&over_ipv6(&packet)));
        let frame = ethernet(0x0800, &packet);
        assert_segment(inner(ETHERNET, &frame, frame.len() as u32));
    }
    let six = ipv6(6, &tcp(2, 1, b"hello"));
    for packet in [
        ipv4(41, &six),
        ipv6(41, &six),
        gre(&[0, 0, 0x86, 0xdd], &six),
        ipv4(17, &datagram(GUE, &[0, 41, 0, 0], &six)),
        ipv4(17, &datagram(GUE, &[], &six)),
    ] {
        let decoded = inner_whole(&packet).unwrap();
        assert!(!decoded.packet.source.is_v4());
        assert_eq!((decoded.packet.length, decoded.payload_length), (65, 5));
    }
}

#[test]
fn the_outer_packet_unless_asked() {
    for (name, packet) in tunnels() {
        println!("{name}");
        for packet in [over_ipv6(&packet), packet] {
            let outer = decode_whole(RAW, &packet);
            match outer {
                Ok(outer) => {
                    assert_eq!(outer.packet.protocol, Protocol::Udp);
                    assert_eq!(outer.packet.length as usize, packet.len());
                }
                Err(skipped) => assert!(matches!(skipped, Skipped::OtherProtocol(4 | 47))),
            }
        }
    }
}

#[test]
fn options_may_be_as_long_as_their_headers_can_say() {
    let gue = [&[0x1f, 4, 0, 0][..], &[0xee; 124]].concat();
    let geneve = [&[0x3f, 0, 8, 0, 0, 0, 42, 0][..], &[0xee; 252]].concat();
    for (port, header) in [(GUE, gue), (GENEVE, geneve)] {
        assert_segment(inner_whole(&ipv4(17, &datagram(port, &header, &segment()))));
    }
}

#[test]
fn tunnels_go_to_the_ports_that_are_set() {
    let packet = ipv4(17, &datagram(7000, &[0, 4, 0, 0], &segment()));
    let flow = inner_whole(&packet).unwrap();
    assert_eq!(flow.packet.destination_port, 7000);
    let given = ["gue=7000", "vxlan=7001", "geneve=7002", "vxlan=6081"];
    let given = given.map(|text| text.parse().unwrap());
    let decoder = Decoder {
        tunnels: Tunnels::Inner,
        ports: TunnelPorts::new(given).unwrap(),
    };
    assert_segment(decoder.decode(RAW, &packet, packet.len() as u32));
    let frame = ethernet(0x0800, &segment());
    let vxlan = |port| ipv4(17, &datagram(port, &[0x08, 0, 0, 0, 0, 0, 42, 0], &frame));
    for port in [7001, VXLAN, 8472, GENEVE] {
        assert_segment(decoder.decode(RAW, &vxlan(port), 1_000));
    }
    let geneve = [0, 0, 0x65, 0x58, 0, 0, 42, 0];
    let geneve = |port| ipv4(17, &datagram(port, &geneve, &frame));
    assert_segment(decoder.decode(RAW, &geneve(7002), 1_000));
    // What is given for a port comes before what goes there by itself.
    let other = decoder.decode(RAW, &geneve(GENEVE), 1_000).unwrap();
    assert_eq!(other.packet.destination_port, GENEVE);
    assert_segment(inner_whole(&vxlan(8472)));
}

#[test]
fn lengths_are_those_of_the_inner_packet() {
    // Segmentation left to the card: the inner length is 0, and the outer one tells.
    let mut large = segment();
    large[2..4].fill(0);
    let decoded = inner_whole(&ipv4(4, &large)).unwrap();
    assert_eq!((decoded.packet.length, decoded.payload_length), (45, 5));
    let mut frame = ethernet(0x0800, &ipv4(17, &vxlan(&ethernet(0x0800, &large))));
    frame.resize(200, 0xee);
    let decoded = inner(ETHERNET, &frame, 200).unwrap();
    assert_eq!((decoded.packet.length, decoded.payload_length), (45, 5));

    let large = ipv4(6, &tcp(2, 1, &[0; 1_000]));
    let decoded = inner(RAW, &ipv4(4, &large)[..54], 1_060).unwrap();
    assert_eq!(
        (decoded.packet.length, decoded.payload_length),
        (1_040, 1_000)
    );
}

#[test]
fn a_cut_or_damaged_tunnel_is_a_reason_of_its_own() {
    for (name, packet) in tunnels() {
        let udp = packet[9] == 17;
        // Ports of an outer UDP header that are not there cut that header, not the tunnel.
        let first = if udp { 24 } else { 20 };
        for length in first..packet.len() - 11 {
            let cut = inner(RAW, &packet[..length], packet.len() as u32);
            assert_eq!(cut, Err(Skipped::DamagedTunnel), "{name}, {length} bytes");
        }
        assert_segment(inner(
            RAW,
            &packet[..packet.len() - 11],
            packet.len() as u32,
        ));
    }
    let mut contradictory = segment();
    contradictory[3] = 30;
    let reason = inner_whole(&ipv4(4, &contradictory)).unwrap_err();
    assert_eq!(reason, Skipped::DamagedTunnel);
    assert_eq!(reason.name(), "damaged_tunnel");
    assert_eq!(
        reason.to_string(),
        "tunnel with an inner packet damaged or cut short"
    );
    // An outer packet too short for the inner one, with the rest of it in the padding.
    let mut short = ipv4(4, &segment());
    short[3] = 50;
    assert_eq!(inner_whole(&short), Err(Skipped::DamagedTunnel));
}

#[test]
fn tunnels_within_tunnels_up_to_a_limit() {
    let stack = |tunnels: usize| (0..tunnels).fold(segment(), |packet, _| ipv4(4, &packet));
    for tunnels in 0..=4 {
        assert_segment(inner_whole(&stack(tunnels)));
    }
    let reason = inner_whole(&stack(5)).unwrap_err();
    assert_eq!(reason, Skipped::TooManyTunnels);
    assert_eq!(reason.name(), "too_many_tunnels");
    assert_eq!(reason.to_string(), "too many tunnels within each other");
    let mixed = gre(
        &[0, 0, 0x65, 0x58],
        &ethernet(
            0x0800,
            &ipv4(
                17,
                &vxlan(&ethernet(
                    0x8100,
                    &[&[0, 7, 8, 0], &ipv4(4, &segment())[..]].concat(),
                )),
            ),
        ),
    );
    assert_segment(inner_whole(&mixed));
}

#[test]
fn inner_packets_are_skipped_for_reasons_of_their_own() {
    let mut fragment = segment();
    fragment[7] = 1;
    for (packet, reason) in [
        (ipv4(4, &ipv4(1, &[8; 8])), Skipped::Icmp),
        (ipv4(4, &ipv4(50, &[8; 8])), Skipped::OtherProtocol(50)),
        (ipv4(4, &fragment), Skipped::FragmentWithoutPorts),
        (
            ipv4(17, &vxlan(&ethernet(0x0806, &[0; 28]))),
            Skipped::NotIp,
        ),
        (gre(&[0, 0, 0x88, 0x3e], &segment()), Skipped::NotIp),
    ] {
        assert_eq!(inner_whole(&packet), Err(reason));
    }
}

#[test]
fn what_is_no_tunnel_is_decoded_as_before() {
    let long = [0xff; 40];
    let short = [0x08; 7];
    let answer = |port: u16| {
        let mut answer = datagram(40_000, &[], &segment());
        answer[..2].copy_from_slice(&port.to_be_bytes());
        answer
    };
    let packets = [
        segment(),
        ipv4(1, &[8; 8]),
        ipv4(47, &[&[0x30, 0x01, 0x88, 0x0b][..], &[0; 20]].concat()), // PPTP
        ipv4(47, &[&[0x40, 0x00, 0x08, 0x00][..], &[0; 20]].concat()), // source route
        ipv4(17, &datagram(VXLAN, &[0], &long)),                       // without its flag
        ipv4(17, &datagram(VXLAN, &[], &short)),
        ipv4(17, &datagram(GENEVE, &[0x40, 0, 8, 0], &long)), // version 1
        ipv4(17, &datagram(GENEVE, &[0, 0x80, 8, 0], &long)), // control
        ipv4(17, &datagram(GUE, &[], &long)),                 // variant 3
        ipv4(17, &datagram(GUE, &[0x20, 4, 0, 0], &long)),    // control
        ipv4(17, &datagram(GUE, &[0, 6, 0, 0], &long)),       // TCP without IP
        ipv4(17, &datagram(GUE, &[], b"")),
        ipv4(17, &answer(GUE)),
        ipv4(17, &answer(VXLAN)),
    ];
    for packet in packets {
        let outer = decode_whole(RAW, &packet);
        assert_eq!(inner_whole(&packet), outer);
    }
}

#[test]
fn a_fragmented_tunnel_has_its_inner_packet_in_the_first_fragment() {
    for (name, packet) in tunnels() {
        let mut first = packet.clone();
        first[6] = 0x20;
        assert_segment(inner_whole(&first));
        let mut later = packet;
        later[7] = 1;
        assert_eq!(
            inner_whole(&later),
            Err(Skipped::FragmentWithoutPorts),
            "{name}"
        );
    }
}
