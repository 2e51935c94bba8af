//! Frames and capture files made by hand, for the tests beside.

use std::io::Write;

/// Bytes of an IPv4 packet: header, then `payload`.
pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
    packet.extend([10, 0, 0, 9, 10, 0, 0, 1]);
    packet.extend(payload);
    packet
}

/// Bytes of an IPv6 packet: header, then `payload`.
pub(crate) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next_header, 64]);
    packet.extend(0x2001_0db8_0000_0000_0000_0000_0000_0009_u128.to_be_bytes());
    packet.extend(0x2001_0db8_0000_0000_0000_0000_0000_0001_u128.to_be_bytes());
    packet.extend(payload);
    packet
}

/// A TCP header from port 40000 to 80, then `payload`.
pub(crate) fn tcp(flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0, 80];
    segment.extend(sequence.to_be_bytes());
    segment.extend(77_u32.to_be_bytes());
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

/// A UDP header from port 40000 to 53, then `payload`.
pub(crate) fn udp(payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40, 0, 53];
    datagram.extend(((8 + payload.len()) as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// An Ethernet frame.
pub(crate) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A pcapng block in the byte order asked for.
pub(crate) fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = number(big, 12 + padded as u32);
    let mut block = number(big, kind).to_vec();
    block.write_all(&length).unwrap();
    block.extend(body);
    block.resize(8 + padded, 0);
    block.extend(length);
    block
}

/// A section header.
pub(crate) fn section(big: bool) -> Vec<u8> {
    let mut body = number(big, 0x1a2b_3c4d).to_vec();
    body.extend(if big { [0, 1, 0, 0] } else { [1, 0, 0, 0] });
    body.extend([0xff; 8]);
    block(big, 0x0a0d_0d0a, &body)
}

/// An interface description with raw options.
pub(crate) fn interface(
    big: bool,
    link_type: u16,
    snapshot_length: u32,
    options: &[u8],
) -> Vec<u8> {
    let mut body = short(big, link_type).to_vec();
    body.extend([0, 0]);
    body.extend(number(big, snapshot_length));
    body.extend(options);
    block(big, 1, &body)
}

/// One option, padded.
pub(crate) fn option(big: bool, code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = short(big, code).to_vec();
    option.extend(short(big, value.len() as u16));
    option.extend(value);
    option.resize(4 + value.len().next_multiple_of(4), 0);
    option
}

/// An enhanced packet.
pub(crate) fn enhanced(
    big: bool,
    interface: u32,
    ticks: u64,
    original: u32,
    bytes: &[u8],
) -> Vec<u8> {
    let mut body = number(big, interface).to_vec();
    body.extend(number(big, (ticks >> 32) as u32));
    body.extend(number(big, ticks as u32));
    body.extend(number(big, bytes.len() as u32));
    body.extend(number(big, original));
    body.extend(bytes);
    block(big, 6, &body)
}

/// A simple packet.
pub(crate) fn simple(big: bool, original: u32, bytes: &[u8]) -> Vec<u8> {
    let mut body = number(big, original).to_vec();
    body.extend(bytes);
    block(big, 3, &body)
}

fn number(big: bool, value: u32) -> [u8; 4] {
    if big {
        value.to_be_bytes()
    } else {
        value.to_le_bytes()
    }
}

fn short(big: bool, value: u16) -> [u8; 2] {
    if big {
        value.to_be_bytes()
    } else {
        value.to_le_bytes()
    }
}
