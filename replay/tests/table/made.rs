//! Captures of everything that can be in one, from a seed.

use equipoise_core::Address;
use equipoise_replay::capture::Source;

use crate::frames::{enhanced, interface, option, section, simple};

/// Where most TCP connections go.
const SERVICES: [(Address, u16); 2] = [
    (Address::v4(0x0a00_0001), 80),
    (Address::v4(0x0a00_0002), 443),
];

/// `SplitMix64` (Steele, Lea and Flood 2014).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }

    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// Captures that overlap in time.
pub(crate) fn captures(seed: u64, count: u64, frames: usize) -> Vec<Source> {
    (0..count)
        .map(|number| {
            let seed = seed.wrapping_add(number.wrapping_mul(77));
            let bytes = capture(seed, number * 400_000_000, frames);
            Source::from_bytes(format!("capture {number}"), bytes)
        })
        .collect()
}

/// A pcapng of raw IP with nanoseconds, from `start_ns` after some day on.
pub(crate) fn capture(seed: u64, start_ns: u64, frames: usize) -> Vec<u8> {
    let mut chance = Chance(seed);
    let mut bytes = section(false);
    bytes.extend(interface(false, 101, 0, &option(false, 9, &[9])));
    let mut now = 1_700_000_000_000_000_000 + start_ns;
    for _ in 0..frames {
        now += match chance.below(2_000) {
            // Long enough to be forgotten.
            0 => 400_000_000_000,
            _ => chance.below(2_000_000),
        };
        let packet = packet(&mut chance);
        let length = packet.len() as u32;
        let time = match chance.below(50) {
            0 => now - chance.below(5_000_000),
            _ => now,
        };
        if chance.one_in(60) {
            bytes.extend(simple(false, length, &packet));
        } else {
            bytes.extend(enhanced(false, 0, time, length, &packet));
        }
        if chance.one_in(40) {
            // As a mirror port would.
            bytes.extend(enhanced(false, 0, time + 1_000, length, &packet));
        }
    }
    bytes
}

fn packet(chance: &mut Chance) -> Vec<u8> {
    let client = 1_024 + chance.below(60) as u16;
    let is_udp = chance.one_in(6);
    let (address, port) = SERVICES[chance.below(2) as usize];
    let port = if is_udp { 53 } else { port };
    let ends = [
        (0xc000_0200 + chance.below(4) as u32, client),
        (address.0 as u32, port),
    ];
    let [from, to] = match chance.below(2) {
        0 => ends,
        _ => [ends[1], ends[0]],
    };
    let payload = vec![7; [0, 0, 1, 100, 1_400][chance.below(5) as usize]];
    let mut segment = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    let protocol = if is_udp {
        segment.extend((8 + payload.len() as u16).to_be_bytes());
        segment.extend([0, 0]);
        17
    } else {
        let flags = [2, 18, 16, 16, 16, 16, 24, 17, 4, 0xff][chance.below(10) as usize];
        segment.extend((chance.below(3) as u32).to_be_bytes());
        segment.extend((chance.below(1 << 32) as u32).to_be_bytes());
        segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        6
    };
    segment.extend(payload);
    if chance.one_in(8) {
        return ipv6(protocol, from.0, to.0, &segment);
    }
    // ICMP, a first fragment, a later one, garbage, or neither.
    let odd = chance.below(60);
    let protocol = if odd == 0 { 1 } else { protocol };
    let fragment: u16 = match odd {
        1 => 0x2000,
        2 => 0x2010,
        _ => 0,
    };
    let mut packet = vec![if odd == 3 { 0x13 } else { 0x45 }, 0];
    packet.extend((20 + segment.len() as u16).to_be_bytes());
    packet.extend((chance.below(4) as u16).to_be_bytes());
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from.0.to_be_bytes());
    packet.extend(to.0.to_be_bytes());
    packet.extend(segment);
    packet
}

fn ipv6(protocol: u8, from: u32, to: u32, segment: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((segment.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    for end in [from, to] {
        packet.extend((0x2001_0db8_u128 << 96 | u128::from(end)).to_be_bytes());
    }
    packet.extend(segment);
    packet
}
