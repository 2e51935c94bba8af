//! Captures of odd requests, from a seed.

use equipoise_replay::capture::Source;

use crate::frames::{enhanced, interface, option, section};
use crate::made::Chance;

/// Clients that ask for odd things over and over from few ports, and packets that get lost.
pub(crate) fn captures(seed: u64, steps: usize) -> [Source; 1] {
    let mut chance = Chance(seed);
    let mut bytes = section(false);
    bytes.extend(interface(false, 101, 0, &option(false, 9, &[9])));
    let mut wires: Vec<Wire> = (0..12).map(Wire::new).collect();
    let mut now = 1_700_000_000_000_000_000;
    for step in 0..steps {
        now += match chance.below(400) {
            // Long enough to be forgotten.
            0 => 4_000_000_000_000,
            _ => chance.below(3_000_000),
        };
        let wire = &mut wires[chance.below(12) as usize];
        let mut packet = wire.step(&mut chance);
        if !chance.one_in(25) {
            // No two alike: none is a mirror port's copy.
            packet[4..6].copy_from_slice(&(step as u16).to_be_bytes());
            bytes.extend(enhanced(false, 0, now, packet.len() as u32, &packet));
        }
    }
    [Source::from_bytes("odd", bytes)]
}

/// One port of a client.
struct Wire {
    port: u16,
    /// How often packets have been sent since the connection began.
    sent: u32,
    /// The numbers of the next bytes.
    next: [u32; 2],
}

const SYN: u8 = 2;
const ACK: u8 = 16;

impl Wire {
    fn new(place: u16) -> Self {
        Self {
            port: 40_000 + place,
            sent: 0,
            next: [0; 2],
        }
    }

    fn step(&mut self, chance: &mut Chance) -> Vec<u8> {
        if self.port.is_multiple_of(6) {
            return udp(self.port, &quic(chance));
        }
        self.sent += 1;
        match self.sent {
            1 => {
                self.next = [chance.below(1 << 32) as u32, chance.below(1 << 32) as u32];
                self.tcp(0, SYN, b"")
            }
            2 => self.tcp(1, SYN | ACK, b""),
            _ => match chance.below(12) {
                end @ 0..2 => {
                    self.sent = 0;
                    self.tcp(0, ACK | [1, 4][end as usize], b"")
                }
                2..6 => self.tcp(1, ACK, answer(chance)),
                _ => {
                    let asked = asked(chance, self.sent);
                    self.tcp(0, ACK, &asked)
                }
            },
        }
    }

    fn tcp(&mut self, from: usize, flags: u8, payload: &[u8]) -> Vec<u8> {
        let ports = [self.port, 80];
        let mut segment = Vec::new();
        segment.extend(ports[from].to_be_bytes());
        segment.extend(ports[1 - from].to_be_bytes());
        segment.extend(self.next[from].to_be_bytes());
        segment.extend(self.next[1 - from].to_be_bytes());
        segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        let occupied = payload.len() as u32 + u32::from(flags & 3 != 0);
        self.next[from] = self.next[from].wrapping_add(occupied);
        ip(6, from, &segment)
    }
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = [port.to_be_bytes(), 443_u16.to_be_bytes()].concat();
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    ip(17, 0, &datagram)
}

fn ip(protocol: u8, from: usize, content: &[u8]) -> Vec<u8> {
    let ends = [[198, 18, 0, 1], [10, 0, 0, 1]];
    let mut packet = vec![0x45, 0];
    packet.extend((20 + content.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    packet.extend(ends[from]);
    packet.extend(ends[1 - from]);
    packet.extend(content);
    packet
}

fn asked(chance: &mut Chance, sent: u32) -> Vec<u8> {
    let heads: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET /a?q=\"b\",c HTTP/1.1\r\nHost: a,\"b\"\r\n\r\n",
        b"GET /\xff\\x41\xfe HTTP/1.1\r\nHost: \xe9\r\n\r\n",
        b"PURGE /gr\xc3\xbc\xc3\x9fe HTTP/1.0\r\n\r\n",
        b"HEAD * HTTP/1.1\r\nHost:\r\n\r\n",
        b"POST /in HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\n12345",
        b"POST /in HTTP/1.1\r\nContent-Length: 500\r\n\r\n12345",
        b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HT",
        b"TP/1.1\r\n\r\n",
    ];
    match chance.below(4) {
        0 if sent < 6 => hello(chance),
        _ => heads[chance.below(9) as usize].to_vec(),
    }
}

fn answer(chance: &mut Chance) -> &'static [u8] {
    let answers: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\nabc",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
    ];
    answers[chance.below(4) as usize]
}

/// A `ClientHello` with odd names, or without.
fn hello(chance: &mut Chance) -> Vec<u8> {
    let with_length = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
    let extension =
        |kind: u16, content: &[u8]| [&kind.to_be_bytes()[..], &with_length(content)].concat();
    let mut extensions = Vec::new();
    if !chance.one_in(3) {
        let names: [&[u8]; 3] = [b"a.example", b"b\0,\xff\n\"", b""];
        let name = with_length(names[chance.below(3) as usize]);
        extensions.extend(extension(0, &with_length(&[&[0][..], &name].concat())));
    }
    if !chance.one_in(3) {
        let names: &[u8] = b"\x02h2\x03a,b\x08http/1.1";
        extensions.extend(extension(16, &with_length(names)));
    }
    let mut message = vec![3, 3];
    message.extend([7; 32]);
    message.extend([0, 0, 2, 0x13, 1, 1, 0]);
    message.extend(with_length(&extensions));
    let length = [[1, 0].as_slice(), &(message.len() as u16).to_be_bytes()].concat();
    let handshake = [length, message].concat();
    [&[22, 3, 1][..], &with_length(&handshake)].concat()
}

/// The first header of QUIC, with ids of some lengths.
fn quic(chance: &mut Chance) -> Vec<u8> {
    let mut header = vec![0xc0];
    let version = [1, 0x6b33_43cf, 7_u32][chance.below(3) as usize];
    header.extend(version.to_be_bytes());
    for _ in 0..2 {
        let length = chance.below(9) as u8;
        header.push(length);
        header.extend(vec![0xa0 + length; usize::from(length)]);
    }
    header
}
