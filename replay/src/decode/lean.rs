//! The short way for plain packets: TCP or UDP right behind a plain IP header, in the common link
//! layers.
//!
//! Decides nothing on its own: it answers what the full way answers, or `None` where anything is
//! out of the ordinary. Each header is read as one block, so that its bounds are checked once.

use equipoise_core::{Address, Packet, Protocol, TcpFlags};

use super::link::{IPV4, IPV6, VLAN_TAG};
use super::{Decoded, Decoder};

const TCP: u8 = 6;
const UDP: u8 = 17;

#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Decoder::decode`")]
pub(super) fn decode(decoder: &Decoder, link_type: u16, frame: &[u8]) -> Option<Decoded> {
    let (ether_type, start) = network(link_type, frame)?;
    match ether_type {
        IPV4 => ipv4(decoder, frame.get(start..)?.first_chunk()?),
        IPV6 => ipv6(decoder, frame.get(start..)?.first_chunk()?),
        _ => None,
    }
}

/// What [`decode`] answers for most frames of most captures: TCP over IPv4 over Ethernet. So much is
/// known of them that whatever is done with the answer takes fewer steps.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Decoder::decode`")]
pub(super) fn commonest(link_type: u16, frame: &[u8]) -> Option<Decoded> {
    let frame = frame.first_chunk::<48>()?;
    if link_type != 1 || number(frame, 12) != IPV4 {
        return None;
    }
    let packet = frame.last_chunk()?;
    let ip = header_of_ipv4(packet)?;
    match ip.protocol {
        TCP => tcp(&ip, packet.last_chunk()?),
        _ => None,
    }
}

/// Where the IP packet of a plain frame begins, and the Ethernet type that says which IP it is.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Decoder::decode`")]
fn network(link_type: u16, frame: &[u8]) -> Option<(u16, usize)> {
    let found = match link_type {
        1 => match number(frame.first_chunk::<14>()?, 12) {
            VLAN_TAG => (number(frame.first_chunk::<18>()?, 16), 18),
            found => (found, 14),
        },
        113 => (number(frame.first_chunk::<16>()?, 14), 16),
        276 => (number(frame.first_chunk::<20>()?, 0), 20),
        101 if frame.first()? >> 4 == 4 => (IPV4, 0),
        101 => (IPV6, 0),
        _ => return None,
    };
    Some(found)
}

/// What follows the ports' header in a frame that is plain.
#[inline]
pub(super) fn payload(link_type: u16, frame: &[u8], protocol: Protocol) -> Option<&[u8]> {
    let (ether_type, start) = network(link_type, frame)?;
    let ports = start + if ether_type == IPV4 { 20 } else { 40 };
    let header = match protocol {
        Protocol::Tcp => usize::from(frame.get(ports + 12)? >> 4) * 4,
        _ => 8,
    };
    frame.get(ports + header..)
}

#[inline]
fn ipv4(decoder: &Decoder, packet: &[u8; 34]) -> Option<Decoded> {
    ports(decoder, &header_of_ipv4(packet)?, packet.last_chunk()?)
}

/// Without options, of a stated length, whole.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Decoder::decode`")]
fn header_of_ipv4(packet: &[u8; 34]) -> Option<Ip> {
    let length = number(packet, 2);
    let fragment = number(packet, 6) & 0x3fff;
    if packet[0] != 0x45 || fragment != 0 {
        return None;
    }
    Some(Ip {
        addresses: [long(packet, 12), long(packet, 16)].map(Address::v4),
        protocol: packet[9],
        length: u32::from(length),
        content: u32::from(length).checked_sub(20)?,
        identification: number(packet, 4),
    })
}

/// Of a stated length, between addresses that are none of IPv4.
#[inline]
fn ipv6(decoder: &Decoder, packet: &[u8; 54]) -> Option<Decoded> {
    let content = u32::from(number(packet, 4));
    let addresses = [
        Address(u128::from_be_bytes(*packet[8..].first_chunk()?)),
        Address(u128::from_be_bytes(*packet[24..].first_chunk()?)),
    ];
    if packet[0] >> 4 != 6 || addresses[0].is_v4() || addresses[1].is_v4() {
        return None;
    }
    let ip = Ip {
        addresses,
        protocol: packet[6],
        length: 40 + content,
        content,
        identification: 0,
    };
    ports(decoder, &ip, packet.last_chunk()?)
}

/// What the IP header says.
struct Ip {
    addresses: [Address; 2],
    protocol: u8,
    length: u32,
    /// Length of what follows the header.
    content: u32,
    identification: u16,
}

#[inline]
fn ports(decoder: &Decoder, ip: &Ip, header: &[u8; 14]) -> Option<Decoded> {
    match ip.protocol {
        TCP => tcp(ip, header),
        UDP if !decoder.looks_into(number(header, 2)) => Some(Decoded {
            packet: packet(ip, Protocol::Udp, header),
            payload_length: ip.content.checked_sub(8)?,
            tcp_sequence: 0,
            tcp_acknowledgement: 0,
            first_fragment: false,
            identification: ip.identification,
        }),
        _ => None,
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Decoder::decode`")]
fn tcp(ip: &Ip, header: &[u8; 14]) -> Option<Decoded> {
    let header_length = u32::from(header[12] >> 4) * 4;
    if header_length < 20 || ip.content < header_length {
        return None;
    }
    Some(Decoded {
        packet: Packet {
            flags: TcpFlags::from_bits_retain(header[13]),
            ..packet(ip, Protocol::Tcp, header)
        },
        payload_length: ip.content - header_length,
        tcp_sequence: long(header, 4),
        tcp_acknowledgement: long(header, 8),
        first_fragment: false,
        identification: ip.identification,
    })
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Decoder::decode`")]
fn packet(ip: &Ip, protocol: Protocol, header: &[u8; 14]) -> Packet {
    let [source, destination] = ip.addresses;
    Packet {
        source,
        destination,
        source_port: number(header, 0),
        destination_port: number(header, 2),
        protocol,
        flags: TcpFlags::empty(),
        length: ip.length,
        mark: 0,
    }
}

#[inline]
fn number<const N: usize>(bytes: &[u8; N], place: usize) -> u16 {
    u16::from_be_bytes([bytes[place], bytes[place + 1]])
}

#[inline]
fn long<const N: usize>(bytes: &[u8; N], place: usize) -> u32 {
    u32::from(number(bytes, place)) << 16 | u32::from(number(bytes, place + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment between addresses of zeros, as long as what the short way looks at.
    fn packets() -> [(u16, Vec<u8>); 2] {
        let mut four = vec![0; 40];
        (four[0], four[3], four[9], four[32]) = (0x45, 40, TCP, 0x50);
        let mut six = vec![0; 60];
        (six[0], six[5], six[6], six[52]) = (0x60, 20, TCP, 0x50);
        [(IPV4, four), (IPV6, six)]
    }

    #[test]
    fn plain_packets_go_the_short_way() {
        for (ether_type, packet) in packets() {
            let kind = ether_type.to_be_bytes();
            let frames: [(u16, Vec<u8>); 5] = [
                (1, [&[0; 12][..], &kind].concat()),
                (1, [&[0; 12][..], &[0x81, 0, 0, 7], &kind].concat()),
                (101, vec![]),
                (113, [&[0; 14][..], &kind].concat()),
                (276, [&kind[..], &[0; 18]].concat()),
            ];
            for (link_type, header) in frames {
                let frame = [header, packet.clone()].concat();
                let decoded = decode(&Decoder::default(), link_type, &frame);
                assert!(decoded.is_some(), "link type {link_type}");
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_has_options_does_not() {
        for (_, packet) in packets() {
            for length in 0..packet.len() - 6 {
                assert!(decode(&Decoder::default(), 101, &packet[..length]).is_none());
            }
        }
        let [(_, mut packet), _] = packets();
        packet[0] = 0x46;
        assert!(decode(&Decoder::default(), 101, &packet).is_none());
    }
}
