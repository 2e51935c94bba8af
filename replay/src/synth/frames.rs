//! A pcap file of Ethernet frames with TCP over IPv4 and IPv6, checksums included.

use std::io::{self, Write};
use std::net::IpAddr;

use super::error::SynthError;

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

/// Length of what precedes a frame.
const RECORD: usize = 16;
const ETHERNET: usize = 14;
/// Of TCP with the options of a SYN.
const TCP_MOST: usize = 32;
const HEADERS_MOST: usize = RECORD + ETHERNET + 40 + TCP_MOST;
/// What is gathered before it is written: far above what a write costs by itself.
const GATHERED: usize = 1 << 18;
/// Locally administered addresses: the router's and the service's.
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVICE: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// In units of 2^7 bytes, but for a SYN's: more than is ever under way.
const WINDOW: u16 = 8_192;
const SYN_WINDOW: u16 = 64_240;
const HOP_LIMIT: u8 = 64;
const TCP: u8 = 6;

/// Which end sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// A client's end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    /// IPv4 as mapped into IPv6.
    pub(super) address: [u8; 16],
    pub(super) port: u16,
    pub(super) is_v6: bool,
}

/// What one segment says besides its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) from: Side,
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    /// Of IPv4.
    pub(super) identification: u16,
}

/// A capture being written.
pub(super) struct Frames<W> {
    out: W,
    gathered: Vec<u8>,
    start_s: u32,
    services: [([u8; 16], u16); 2],
    mss: u16,
    allowed: u64,
    pub(super) bytes: u64,
    pub(super) packets: u64,
}

impl<W: Write> Frames<W> {
    pub(super) fn new(
        out: W,
        start_s: u32,
        services: [([u8; 16], u16); 2],
        mss: u16,
        allowed: u64,
    ) -> Self {
        let mut gathered = Vec::with_capacity(GATHERED + (1 << 14));
        // Nanoseconds, version 2.4, no length cut off, Ethernet.
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 1] {
            gathered.extend(word.to_le_bytes());
        }
        Self {
            out,
            bytes: gathered.len() as u64,
            gathered,
            start_s,
            services,
            mss,
            allowed,
            packets: 0,
        }
    }

    /// The most payload in a segment: IPv6 takes 20 bytes more of a frame.
    #[inline]
    pub(super) fn mss(&self, is_v6: bool) -> u16 {
        if is_v6 { self.mss - 20 } else { self.mss }
    }

    /// Writes one frame, so many nanoseconds after the beginning.
    #[inline]
    pub(super) fn put(
        &mut self,
        after_ns: u64,
        client: &Client,
        segment: Segment,
        payload: (&[u8], &[u8]),
    ) -> Result<(), SynthError> {
        let seconds = u64::from(self.start_s) + after_ns / 1_000_000_000;
        let Ok(seconds) = u32::try_from(seconds) else {
            let end_s = seconds as f64;
            return Err(SynthError::TooLong { end_s });
        };
        let tcp_length = if segment.flags & SYN != 0 { 32 } else { 20 };
        let ip_length = if client.is_v6 { 40 } else { 20 };
        let payload_length = payload.0.len() + payload.1.len();
        let length = ETHERNET + ip_length + tcp_length + payload_length;
        self.bytes += (RECORD + length) as u64;
        if self.bytes > self.allowed {
            return Err(SynthError::TooLarge {
                expected: self.bytes as f64,
                allowed: self.allowed,
            });
        }
        self.packets += 1;

        let mut headers = [0; HEADERS_MOST];
        headers[..4].copy_from_slice(&seconds.to_le_bytes());
        headers[4..8].copy_from_slice(&((after_ns % 1_000_000_000) as u32).to_le_bytes());
        headers[8..12].copy_from_slice(&(length as u32).to_le_bytes());
        headers[12..16].copy_from_slice(&(length as u32).to_le_bytes());
        let (to, from) = match segment.from {
            Side::Client => (SERVICE, ROUTER),
            Side::Server => (ROUTER, SERVICE),
        };
        headers[16..22].copy_from_slice(&to);
        headers[22..28].copy_from_slice(&from);

        let service = self.services[usize::from(client.is_v6)];
        let own = (client.address, client.port);
        let (source, destination) = match segment.from {
            Side::Client => (own, service),
            Side::Server => (service, own),
        };
        let ip = &mut headers[RECORD + ETHERNET - 2..];
        let tcp_bytes = (tcp_length + payload_length) as u16;
        let pseudo = if client.is_v6 {
            fill_v6(ip, tcp_bytes, &source.0, &destination.0)
        } else {
            let (source, destination) = (&source.0[12..], &destination.0[12..]);
            fill_v4(ip, tcp_bytes, segment.identification, source, destination)
        };
        let tcp_at = RECORD + ETHERNET + ip_length;
        let tcp = &mut headers[tcp_at..tcp_at + tcp_length];
        let mss = self.mss(client.is_v6);
        fill_tcp(tcp, (source.1, destination.1), segment, mss);

        let at = self.gathered.len();
        self.gathered
            .extend_from_slice(&headers[..tcp_at + tcp_length]);
        self.gathered.extend_from_slice(payload.0);
        self.gathered.extend_from_slice(payload.1);
        let checksum = checksum(pseudo + sum(&self.gathered[at + tcp_at..]));
        self.gathered[at + tcp_at + 16..at + tcp_at + 18].copy_from_slice(&checksum);
        if self.gathered.len() < GATHERED {
            return Ok(());
        }
        Ok(self.flush()?)
    }

    /// Whether what was put so far has gone to where it is written.
    #[inline]
    pub(super) fn are_gone(&self) -> bool {
        self.gathered.is_empty()
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.gathered)?;
        self.gathered.clear();
        self.out.flush()
    }
}

/// Fills what follows the Ethernet addresses. The sum of the pseudo header.
#[inline]
fn fill_v4(
    bytes: &mut [u8],
    length: u16,
    identification: u16,
    source: &[u8],
    destination: &[u8],
) -> u64 {
    bytes[..2].copy_from_slice(&[8, 0]);
    let ip = &mut bytes[2..22];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(20 + length).to_be_bytes());
    ip[4..6].copy_from_slice(&identification.to_be_bytes());
    // Not to be fragmented.
    ip[6] = 0x40;
    (ip[8], ip[9]) = (HOP_LIMIT, TCP);
    ip[12..16].copy_from_slice(source);
    ip[16..20].copy_from_slice(destination);
    let own = checksum(sum(ip));
    ip[10..12].copy_from_slice(&own);
    sum(&ip[12..20]) + pseudo(length)
}

#[inline]
fn fill_v6(bytes: &mut [u8], length: u16, source: &[u8], destination: &[u8]) -> u64 {
    bytes[..2].copy_from_slice(&[0x86, 0xdd]);
    let ip = &mut bytes[2..42];
    ip[0] = 0x60;
    ip[4..6].copy_from_slice(&length.to_be_bytes());
    (ip[6], ip[7]) = (TCP, HOP_LIMIT);
    ip[8..24].copy_from_slice(source);
    ip[24..40].copy_from_slice(destination);
    sum(&ip[8..40]) + pseudo(length)
}

#[inline]
fn fill_tcp(tcp: &mut [u8], ports: (u16, u16), segment: Segment, mss: u16) {
    tcp[..2].copy_from_slice(&ports.0.to_be_bytes());
    tcp[2..4].copy_from_slice(&ports.1.to_be_bytes());
    tcp[4..8].copy_from_slice(&segment.sequence.to_be_bytes());
    tcp[8..12].copy_from_slice(&segment.acknowledgement.to_be_bytes());
    tcp[12] = (tcp.len() / 4 * 16) as u8;
    tcp[13] = segment.flags;
    let is_syn = segment.flags & SYN != 0;
    let window = if is_syn { SYN_WINDOW } else { WINDOW };
    tcp[14..16].copy_from_slice(&window.to_be_bytes());
    if is_syn {
        // Maximum segment size, selective acknowledgements, windows in units of 2^7.
        tcp[20..32].copy_from_slice(&[2, 4, 0, 0, 4, 2, 1, 3, 3, 7, 1, 1]);
        tcp[22..24].copy_from_slice(&mss.to_be_bytes());
    }
}

fn pseudo(length: u16) -> u64 {
    let [high, low] = length.to_be_bytes();
    sum(&[0, TCP, high, low])
}

/// Of 16-bit words in the order of this machine's bytes, as RFC 1071 allows; not folded. The last
/// byte may be alone.
#[inline]
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let whole: u64 = words
        .by_ref()
        .map(|word| u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]])))
        .sum();
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    whole + u64::from(u32::from_ne_bytes(last))
}

/// Folded and inverted, as it stands in a header.
#[inline]
fn checksum(sum: u64) -> [u8; 2] {
    let mut folded = sum;
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    (!(folded as u16)).to_ne_bytes()
}

/// The 16 bytes and the port of a service.
pub(super) fn service(address: IpAddr, port: u16) -> ([u8; 16], u16) {
    (super::network::octets(address), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_rfc() {
        // The example of RFC 1071, section 3.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(sum(&bytes)), (!0xddf2_u16).to_be_bytes());
        // A byte alone counts as if a 0 followed.
        assert_eq!(checksum(sum(&[0x12])), (!0x1200_u16).to_be_bytes());
        assert_eq!(checksum(sum(&[0xff; 6])), [0, 0]);
    }
}
