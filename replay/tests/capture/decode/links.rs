//! Link types with headers of their own kind: PPP and what carries it, MPLS, Cisco HDLC, NFLOG.

use super::{ETHERNET, assert_segment, decode, decode_whole, segment};
use crate::frames::{ethernet, ipv4, ipv6, tcp, udp};
use equipoise_replay::decode::Skipped;

const PPP: u16 = 9;
const PPP_HDLC: u16 = 50;
const PPP_ETHER: u16 = 51;
const CISCO_HDLC: u16 = 104;
const NFLOG: u16 = 239;

/// Version 1 and type 1, code 0, session 7, length (RFC 2516 section 4).
fn pppoe(ppp: &[u8]) -> Vec<u8> {
    [&[0x11, 0, 0, 7, 0, ppp.len() as u8], ppp].concat()
}

fn behind(header: &[u8]) -> Vec<u8> {
    [header, &segment()].concat()
}

/// One value: length with its header, type, padding (`LINKTYPE_NFLOG`).
fn value(order: fn(u16) -> [u8; 2], kind: u16, content: &[u8]) -> Vec<u8> {
    let length = 4 + content.len();
    let mut value = [order(length as u16), order(kind)].concat();
    value.extend(content);
    value.resize(length.next_multiple_of(4), 0);
    value
}

/// A frame as Linux writes it: family, version 0, group 5, then a packet header, a time, a mark, a
/// prefix, the packet, and what newer kernels put behind it, a value that holds values.
fn nflog(order: fn(u16) -> [u8; 2], family: u8, packet: &[u8]) -> Vec<u8> {
    [
        &[family, 0, 0, 5][..],
        &value(order, 1, &[8, 0, 1, 0]),
        &value(order, 3, &[0; 16]),
        &value(order, 2, &[0, 0, 0, 9]),
        &value(order, 10, b"in: \0"),
        &value(order, 9, packet),
        &value(order, 0x8013, &[8, 0, 1, 0, 0, 7, 0, 0]),
    ]
    .concat()
}

#[test]
fn ppp_with_and_without_framing_and_compression() {
    // Address and control (RFC 1662 3.1), protocol in two bytes or one (RFC 1661 6.5).
    let headers: [&[u8]; 4] = [
        &[0xff, 0x03, 0x00, 0x21],
        &[0xff, 0x03, 0x21],
        &[0x00, 0x21],
        &[0x21],
    ];
    for header in headers {
        for link_type in [PPP, PPP_HDLC] {
            assert_segment(decode_whole(link_type, &behind(header)));
        }
        let frame = pppoe(&behind(header));
        assert_segment(decode_whole(PPP_ETHER, &frame));
        assert_segment(decode_whole(ETHERNET, &ethernet(0x8864, &frame)));
        let tagged = [&[0, 7, 0x88, 0x64][..], &frame].concat();
        assert_segment(decode_whole(ETHERNET, &ethernet(0x8100, &tagged)));
    }
    let six = [&[0xff, 0x03, 0x00, 0x57][..], &ipv6(17, &udp(b"?"))].concat();
    assert_eq!(decode_whole(PPP, &six).unwrap().payload_length, 1);
    let labelled = behind(&[0x02, 0x81, 0, 0, 0x11, 64]);
    assert_segment(decode_whole(PPP, &labelled));
}

#[test]
fn control_protocols_of_ppp_are_not_ip() {
    let configure = [0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4];
    assert_eq!(decode_whole(PPP, &configure), Err(Skipped::NotIp));
    assert_eq!(
        decode_whole(PPP_ETHER, &pppoe(&configure[2..])),
        Err(Skipped::NotIp)
    );
    // A discovery packet with the session's Ethernet type, and a version that nobody speaks.
    let mut discovery = pppoe(&behind(&[0, 0x21]));
    discovery[1] = 0x09;
    assert_eq!(decode_whole(PPP_ETHER, &discovery), Err(Skipped::NotIp));
    discovery[0] = 0x21;
    assert_eq!(decode_whole(PPP_ETHER, &discovery), Err(Skipped::Malformed));
}

#[test]
fn cisco_hdlc_alone_and_among_ppp() {
    // Unicast or broadcast address, control 0, Ethernet type (RFC 1547 4.3.1).
    for address in [0x0f, 0x8f] {
        for link_type in [CISCO_HDLC, PPP_HDLC] {
            let frame = behind(&[address, 0, 0x08, 0x00]);
            assert_segment(decode_whole(link_type, &frame));
            let keepalive = [address, 0, 0x80, 0x35, 0, 0, 0, 2];
            assert_eq!(decode_whole(link_type, &keepalive), Err(Skipped::NotIp));
        }
    }
}

#[test]
fn mpls_labels_are_followed_to_the_marked_one() {
    // Label, class and bottom-of-stack bit, time to live (RFC 3032 2.1).
    let stack = |ether_type: u16, labels: usize| {
        let mut stack = [0, 1, 0, 64].repeat(labels);
        stack[4 * labels - 2] |= 1;
        ethernet(ether_type, &behind(&stack))
    };
    for ether_type in [0x8847, 0x8848] {
        for labels in [1, 2, 8] {
            assert_segment(decode_whole(ETHERNET, &stack(ether_type, labels)));
        }
        let deeper = decode_whole(ETHERNET, &stack(ether_type, 9));
        assert_eq!(deeper, Err(Skipped::TooManyTags));
    }
    // Ethernet in a pseudowire, behind a control word (RFC 4385 section 3).
    let wire = [
        &[0, 1, 1, 64, 0, 0, 0, 0][..],
        &ethernet(0x0800, &segment()),
    ]
    .concat();
    assert_eq!(
        decode_whole(ETHERNET, &ethernet(0x8848, &wire)),
        Err(Skipped::NotIp)
    );
}

#[test]
fn nflog_in_either_byte_order() {
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        assert_segment(decode_whole(NFLOG, &nflog(order, 2, &segment())));
        let six = nflog(order, 10, &ipv6(17, &udp(b"?")));
        assert_eq!(decode_whole(NFLOG, &six).unwrap().payload_length, 1);
        let bridge = nflog(order, 7, &segment());
        assert_eq!(decode_whole(NFLOG, &bridge), Err(Skipped::NotIp));

        let endless = [&[2, 0, 0, 5][..], &order(3), &order(1)].concat();
        assert_eq!(decode_whole(NFLOG, &endless), Err(Skipped::Malformed));
        let without = [&[2, 0, 0, 5][..], &value(order, 1, &[8, 0, 1, 0])].concat();
        assert_eq!(decode_whole(NFLOG, &without), Err(Skipped::TruncatedHeader));
    }
}

#[test]
fn nflog_that_copied_the_head_of_a_packet() {
    let packet = ipv4(6, &tcp(2, 1_000, &[0; 100]));
    let frame = nflog(u16::to_le_bytes, 2, &packet[..34]);
    assert_eq!(decode_whole(NFLOG, &frame).unwrap().payload_length, 100);
    // What lies behind the packet's value is none of it.
    let frame = nflog(u16::to_le_bytes, 2, &packet[..33]);
    assert_eq!(decode_whole(NFLOG, &frame), Err(Skipped::TruncatedHeader));
}

#[test]
fn every_header_may_be_cut_off() {
    let frames = [
        (PPP, behind(&[0xff, 0x03, 0x00, 0x21])),
        (PPP_HDLC, behind(&[0x8f, 0, 0x08, 0x00])),
        (PPP_ETHER, pppoe(&behind(&[0x00, 0x21]))),
        (CISCO_HDLC, behind(&[0x0f, 0, 0x08, 0x00])),
        (ETHERNET, ethernet(0x8847, &behind(&[0, 1, 1, 64]))),
        (NFLOG, nflog(u16::to_be_bytes, 2, &segment())),
    ];
    for (link_type, frame) in frames {
        let needed = frame
            .windows(45)
            .position(|window| *window == segment()[..])
            .unwrap()
            + 34;
        for length in 0..needed {
            let cut = decode(link_type, &frame[..length], frame.len() as u32);
            let place = format!("link type {link_type}, {length} bytes");
            assert_eq!(cut, Err(Skipped::TruncatedHeader), "{place}");
        }
        assert_segment(decode(link_type, &frame[..needed], frame.len() as u32));
    }
}
