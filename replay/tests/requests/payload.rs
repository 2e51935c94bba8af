//! Where a packet's payload lies in its frame, whatever is around it.

use equipoise_replay::decode::{Decoder, Tunnels};

const PAYLOAD: &[u8] = b"GET / HTTP/1.1";
const IPV4: [u8; 2] = [8, 0];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// A TCP segment with so many bytes of options.
fn tcp(options: usize) -> Vec<u8> {
    let offset = ((20 + options) / 4) as u8;
    let mut header = vec![0xc3, 0x50, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, offset << 4, 16];
    header.resize(20 + options, 1);
    [header, PAYLOAD.to_vec()].concat()
}

fn udp() -> Vec<u8> {
    let length = 8 + PAYLOAD.len() as u8;
    [&[0xc3, 0x50, 1, 187, 0, length, 0, 0], PAYLOAD].concat()
}

fn ipv4(options: usize, protocol: u8, content: &[u8]) -> Vec<u8> {
    let header = 20 + options;
    let length = ((header + content.len()) as u16).to_be_bytes();
    let mut packet = vec![
        0x40 | (header / 4) as u8,
        0,
        length[0],
        length[1],
        0,
        1,
        0,
        0,
    ];
    packet.extend([64, protocol, 0, 0, 192, 0, 2, 1, 10, 0, 0, 1]);
    packet.resize(header, 1);
    packet.extend(content);
    packet
}

/// With a header of eight bytes before TCP, or without.
fn ipv6(has_options: bool, content: &[u8]) -> Vec<u8> {
    let options: &[u8] = if has_options {
        &[6, 0, 1, 4, 0, 0, 0, 0]
    } else {
        &[]
    };
    let length = ((options.len() + content.len()) as u16).to_be_bytes();
    let next = if has_options { 0 } else { 6 };
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend(options);
    packet.extend(content);
    packet
}

fn ethernet(tags: &[u8], kind: [u8; 2], packet: &[u8]) -> Vec<u8> {
    [&[2; 12], tags, &kind[..], packet].concat()
}

#[test]
fn the_payload_is_found_by_either_way() {
    let segment = tcp(0);
    let plain = ipv4(0, 6, &segment);
    let tag = [0x81, 0, 0, 7];
    let frames: [(&str, u16, Vec<u8>); 13] = [
        ("Ethernet", 1, ethernet(&[], IPV4, &plain)),
        ("one tag", 1, ethernet(&tag, IPV4, &plain)),
        ("two tags", 1, ethernet(&[tag, tag].concat(), IPV4, &plain)),
        (
            "padding",
            1,
            [ethernet(&[], IPV4, &plain), vec![0; 9]].concat(),
        ),
        ("IPv6", 1, ethernet(&[], IPV6, &ipv6(false, &segment))),
        (
            "IPv6 with options",
            1,
            ethernet(&[], IPV6, &ipv6(true, &segment)),
        ),
        ("IPv4 with options", 101, ipv4(8, 6, &segment)),
        ("TCP with options", 101, ipv4(0, 6, &tcp(12))),
        ("both with options", 101, ipv4(40, 6, &tcp(40))),
        ("UDP", 101, ipv4(0, 17, &udp())),
        ("raw IPv6", 101, ipv6(false, &segment)),
        ("cooked", 113, [&[0; 14][..], &IPV4, &plain].concat()),
        ("null", 0, [&[2, 0, 0, 0][..], &plain].concat()),
    ];
    let decoder = Decoder::default();
    for (name, link_type, frame) in &frames {
        let length = frame.len() as u32;
        let packet = decoder.decode(*link_type, frame, length).unwrap();
        let found = |frame: &[u8]| decoder.payload(*link_type, frame, length, &packet).to_vec();
        assert_eq!(found(frame), PAYLOAD, "{name}");
        // As much of it as was captured.
        let end = frame
            .windows(PAYLOAD.len())
            .position(|part| part == PAYLOAD);
        let end = end.unwrap();
        for captured in 0..PAYLOAD.len() {
            assert_eq!(
                found(&frame[..end + captured]),
                &PAYLOAD[..captured],
                "{name}"
            );
        }
        for captured in 0..end {
            assert_eq!(found(&frame[..captured]), b"", "{name}");
        }
    }
}

#[test]
fn the_payload_within_a_tunnel_is_the_inner_packets() {
    let inner = Decoder {
        tunnels: Tunnels::Inner,
        ..Decoder::default()
    };
    let segment = ipv4(0, 6, &tcp(12));
    let gre = [&[0, 0, 8, 0][..], &segment].concat();
    for frame in [ipv4(0, 4, &segment), ipv4(4, 47, &gre)] {
        let length = frame.len() as u32;
        let decoded = inner.decode(101, &frame, length).unwrap();
        assert_eq!(inner.payload(101, &frame, length, &decoded), PAYLOAD);
    }
}
