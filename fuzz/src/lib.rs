//! What fuzz targets share: settings, and packets made of bytes, eight for each, so that bytes that
//! change or move make other connections of the same few ends.

use equipoise_core::{Address, Packet, Protocol, TcpFlags, Timestamp};
use equipoise_replay::decode::{Decoded, Decoder, Tunnels};

/// How frames become packets, with or without looking into tunnels.
pub fn decoder(tunnels: Tunnels) -> Decoder {
    Decoder {
        tunnels,
        ..Decoder::default()
    }
}

/// Messages are one line each.
pub fn assert_one_line(text: &str) {
    assert!(
        !text.is_empty() && !text.contains(char::is_control),
        "{text:?}"
    );
}

/// A packet, and bits that say what else is to be done with it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Not before the step before.
    pub now: Timestamp,
    /// Of IPv4, as its header would say it.
    pub decoded: Decoded,
    /// What a target makes of it.
    pub act: u8,
}

/// IPv4 and TCP headers without options, in bytes.
const TCP_HEADERS: u32 = 40;
/// IPv4 and UDP headers.
const UDP_HEADERS: u32 = 28;
/// What a packet may carry, in bytes.
const PAYLOADS: [u32; 4] = [0, 1, 1_460, 60_000];

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = Timestamp::SECOND;
/// Pauses on both sides of whatever is asked of time.
const PAUSES: [u64; 16] = [
    0,
    1,
    MICROSECOND,
    MILLISECOND - 1,
    MILLISECOND,
    10 * MILLISECOND,
    10 * MILLISECOND + 1,
    400 * MILLISECOND,
    SECOND,
    5 * SECOND,
    10 * SECOND,
    65 * SECOND,
    121 * SECOND,
    301 * SECOND,
    901 * SECOND,
    86_401 * SECOND,
];

/// The packets that bytes stand for, the first of them at `start` or later.
pub fn steps(start: Timestamp, script: &[u8]) -> impl Iterator<Item = Step> + '_ {
    let mut now = start;
    let (records, _) = script.as_chunks();
    records.iter().map(move |record| {
        now.0 = now.0.saturating_add(pause(record[4]));
        Step {
            now,
            decoded: decoded(record),
            act: record[7],
        }
    })
}

/// One of a few lengths of time.
pub fn pause(byte: u8) -> u64 {
    PAUSES[usize::from(byte) % PAUSES.len()]
}

fn decoded(
    &[
        ends,
        flags,
        sequence,
        acknowledgement,
        _,
        payload,
        identification,
        _,
    ]: &[u8; 8],
) -> Decoded {
    let bits = |from: u8, count: u32| u32::from(ends >> from) & ((1 << count) - 1);
    let client = (
        0xc000_0200 + bits(0, 2),
        50_000 + bits(2, 1) as u16 * 10_000,
    );
    // The second is above one client's port and below the other's.
    let server = (0x0a00_0001 + bits(3, 1), [80, 55_000][bits(4, 1) as usize]);
    let (from, to) = match bits(5, 2) {
        0 | 1 => (client, server),
        2 => (server, client),
        _ => (client, client),
    };
    let is_udp = bits(7, 1) == 1;
    let headers = if is_udp { UDP_HEADERS } else { TCP_HEADERS };
    let payload_length = PAYLOADS[usize::from(payload) % PAYLOADS.len()];
    let number = |byte: u8| if is_udp { 0 } else { u32::from(byte) };
    Decoded {
        packet: Packet {
            source: Address::v4(from.0),
            destination: Address::v4(to.0),
            source_port: from.1,
            destination_port: to.1,
            protocol: if is_udp { Protocol::Udp } else { Protocol::Tcp },
            flags: TcpFlags::from_bits_retain(if is_udp { 0 } else { flags }),
            length: headers + payload_length,
            mark: 0,
        },
        payload_length,
        tcp_sequence: number(sequence),
        tcp_acknowledgement: number(acknowledgement),
        first_fragment: false,
        identification: u16::from(identification),
    }
}
