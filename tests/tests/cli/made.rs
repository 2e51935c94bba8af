//! Small captures made in the test: raw IP packets at given seconds.

use std::net::{IpAddr, SocketAddr};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN_ACK: u8 = 0x11;
const SYN_ACK: u8 = 0x12;

/// An IP packet.
pub(crate) type Packet = Vec<u8>;

pub(crate) fn udp(from: &str, to: &str) -> Packet {
    let (from, to) = (socket(from), socket(to));
    let mut datagram = ports(from, to);
    datagram.extend([0, 8, 0, 0]);
    ip(17, from.ip(), to.ip(), &datagram)
}

pub(crate) fn syn(from: &str, to: &str) -> Packet {
    tcp(from, to, SYN)
}

pub(crate) fn ack(from: &str, to: &str) -> Packet {
    tcp(from, to, ACK)
}

/// A whole connection, closed by the client, then by the server.
pub(crate) fn exchange(client: &str, service: &str) -> Vec<Packet> {
    vec![
        tcp(client, service, SYN),
        tcp(service, client, SYN_ACK),
        tcp(client, service, ACK),
        tcp(client, service, FIN_ACK),
        tcp(service, client, FIN_ACK),
        tcp(client, service, ACK),
    ]
}

fn tcp(from: &str, to: &str, flags: u8) -> Packet {
    let (from, to) = (socket(from), socket(to));
    let mut segment = ports(from, to);
    segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    ip(6, from.ip(), to.ip(), &segment)
}

/// A pcap of raw IP; each packet with its second.
pub(crate) fn pcap(packets: &[(u32, Packet)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101] {
        bytes.extend(u32::to_le_bytes(word));
    }
    for (second, packet) in packets {
        let length = packet.len() as u32;
        for word in [*second, 0, length, length] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(packet);
    }
    bytes
}

/// A pcapng of raw IP; a packet without a second stands in a block that bears no time (a Simple
/// Packet Block).
pub(crate) fn pcapng(packets: &[(Option<u32>, Packet)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = [0x1a2b_3c4d, 1, u32::MAX, u32::MAX];
    block(&mut bytes, 0x0a0d_0d0a, &header, &[]);
    block(&mut bytes, 1, &[101, 0], &[]);
    for (second, packet) in packets {
        let length = packet.len() as u32;
        match second {
            None => block(&mut bytes, 3, &[length], packet),
            Some(second) => {
                let micros = u64::from(*second) * 1_000_000;
                let (high, low) = ((micros >> 32) as u32, micros as u32);
                block(&mut bytes, 6, &[0, high, low, length, length], packet);
            }
        }
    }
    bytes
}

fn block(bytes: &mut Vec<u8>, kind: u32, words: &[u32], content: &[u8]) {
    let length = 12 + 4 * words.len() as u32 + content.len().next_multiple_of(4) as u32;
    for word in [kind, length].iter().chain(words) {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(length.to_le_bytes());
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

fn ports(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    [from.port().to_be_bytes(), to.port().to_be_bytes()].concat()
}

fn ip(protocol: u8, from: IpAddr, to: IpAddr, content: &[u8]) -> Packet {
    let length = content.len() as u16;
    let mut packet = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend((20 + length).to_be_bytes());
            header.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            header
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([protocol, 64]);
            header.extend(from.octets());
            header.extend(to.octets());
            header
        }
        _ => panic!("{from} and {to} are of different families"),
    };
    packet.extend(content);
    packet
}
