//! Link layers: where the IP packet begins and which IP it is.
//!
//! Layouts are those of the `LINKTYPE_` registry (tcpdump.org/linktypes.html) and of the RFCs that
//! it and the functions below name.

use super::{Rest, Skipped};

/// Tags or labels that are followed; provider networks stack two or three.
const MOST_TAGS: usize = 8;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const VLAN_TAG: u16 = 0x8100;
const OTHER_VLAN_TAGS: [u16; 3] = [0x88a8, 0x9100, 0x9200];
const MPLS: [u16; 2] = [0x8847, 0x8848];
const PPPOE_SESSION: u16 = 0x8864;

/// `NFULA_PAYLOAD`.
const NFLOG_PAYLOAD: u16 = 9;

#[derive(Clone, Copy)]
pub(super) enum Network {
    Ipv4,
    Ipv6,
}

/// Finds the packet in a frame of the given `LINKTYPE_` number: leaves what is before it behind,
/// as all functions below do.
#[inline]
pub(super) fn network(link_type: u16, frame: &mut Rest<'_>) -> Result<Network, Skipped> {
    match link_type {
        1 => ethernet(frame),
        // BSD null; OpenBSD loopback is the same in network order.
        0 | 108 => {
            let network = address_family(frame.bytes)?;
            frame.skip(4)?;
            Ok(network)
        }
        9 => ppp(frame),
        // PPP in HDLC-like framing, by whose number Cisco's framing goes too.
        50 if !matches!(frame.bytes, [0x0f | 0x8f, ..]) => ppp(frame),
        50 | 104 => typed(frame, 2, 4),
        51 => pppoe(frame),
        // Raw IP: the registered number and the ones BSD and OpenBSD wrote.
        101 | 12 | 14 => by_version(frame),
        228 => Ok(Network::Ipv4),
        229 => Ok(Network::Ipv6),
        // Linux cooked, version 1: the protocol ends the header. Version 2: it begins it.
        113 => typed(frame, 14, 16),
        276 => typed(frame, 0, 20),
        239 => nflog(frame),
        other => Err(Skipped::UnsupportedLinkType(other)),
    }
}

/// Finds the packet in an Ethernet frame.
#[inline]
pub(super) fn ethernet(frame: &mut Rest<'_>) -> Result<Network, Skipped> {
    typed(frame, 12, 14)
}

/// Finds the packet behind a header of `length` bytes with an Ethernet type at `place`.
#[inline]
pub(super) fn typed(frame: &mut Rest<'_>, place: usize, length: usize) -> Result<Network, Skipped> {
    let ether_type = frame.number(place)?;
    frame.skip(length)?;
    match ether_type {
        IPV4 => Ok(Network::Ipv4),
        IPV6 => Ok(Network::Ipv6),
        other => by_type(other, frame),
    }
}

/// Finds the packet in what an Ethernet type introduces: tags, if any, then IP.
fn by_type(mut ether_type: u16, rest: &mut Rest<'_>) -> Result<Network, Skipped> {
    for _ in 0..=MOST_TAGS {
        match ether_type {
            IPV4 => return Ok(Network::Ipv4),
            IPV6 => return Ok(Network::Ipv6),
            PPPOE_SESSION => return pppoe(rest),
            found if MPLS.contains(&found) => return mpls(rest),
            found if found == VLAN_TAG || OTHER_VLAN_TAGS.contains(&found) => {
                ether_type = rest.number(2)?;
                rest.skip(4)?;
            }
            _ => return Err(Skipped::NotIp),
        }
    }
    Err(Skipped::TooManyTags)
}

#[inline]
fn by_version(packet: &Rest<'_>) -> Result<Network, Skipped> {
    match packet.byte(0)? >> 4 {
        4 => Ok(Network::Ipv4),
        6 => Ok(Network::Ipv6),
        _ => Err(Skipped::NotIp),
    }
}

/// Labels of four bytes, the last of them marked (RFC 3032 2.1). What they carry is not said, so
/// that a pseudowire's content counts as no IP.
fn mpls(rest: &mut Rest<'_>) -> Result<Network, Skipped> {
    for _ in 0..MOST_TAGS {
        let last = rest.byte(2)? & 1 == 1;
        rest.skip(4)?;
        if last {
            return by_version(rest);
        }
    }
    Err(Skipped::TooManyTags)
}

/// Version and type, code (0 in a session), session, length, then PPP (RFC 2516 section 4).
fn pppoe(rest: &mut Rest<'_>) -> Result<Network, Skipped> {
    let [version, code] = rest.pair(0)?;
    rest.skip(6)?;
    match (version, code) {
        (0x11, 0) => ppp(rest),
        (0x11, _) => Err(Skipped::NotIp),
        _ => Err(Skipped::Malformed),
    }
}

/// Address and control where the peers kept them (RFC 1662 3.1), then the protocol, in one byte
/// where they agreed on that: its last byte alone is odd (RFC 1661 section 2 and 6.5).
fn ppp(rest: &mut Rest<'_>) -> Result<Network, Skipped> {
    if rest.byte(0)? == 0xff && rest.byte(1)? == 0x03 {
        rest.skip(2)?;
    }
    let first = rest.byte(0)?;
    let protocol = if first & 1 == 1 {
        rest.skip(1)?;
        u16::from(first)
    } else {
        let protocol = rest.number(0)?;
        rest.skip(2)?;
        protocol
    };
    match protocol {
        0x0021 => Ok(Network::Ipv4),
        0x0057 => Ok(Network::Ipv6),
        0x0281 | 0x0283 => mpls(rest),
        _ => Err(Skipped::NotIp),
    }
}

/// Family as Linux numbers it, version, resource; then values, each behind its length with this
/// header and its type, padded to four bytes. One of them is the packet.
fn nflog(rest: &mut Rest<'_>) -> Result<Network, Skipped> {
    let network = match rest.byte(0)? {
        2 => Network::Ipv4,
        10 => Network::Ipv6,
        _ => return Err(Skipped::NotIp),
    };
    rest.skip(4)?;
    // Lengths and types are in the order of the capture's numbers, which nobody tells here, but
    // types are below 256, and the first value is none that holds values.
    let number = match rest.pair(2)? {
        [0, _] => u16::from_be_bytes,
        _ => u16::from_le_bytes,
    };
    loop {
        let length = number(rest.pair(0)?);
        let content = length.checked_sub(4).ok_or(Skipped::Malformed)?;
        if number(rest.pair(2)?) == NFLOG_PAYLOAD {
            rest.skip(4)?;
            rest.cut(content.into());
            return Ok(network);
        }
        rest.skip(usize::from(length).next_multiple_of(4))?;
    }
}

/// The capturing host's `AF_` number in its own byte order.
fn address_family(bytes: &[u8]) -> Result<Network, Skipped> {
    let Some(&family) = bytes.first_chunk() else {
        return Err(Skipped::TruncatedHeader);
    };
    let little = u32::from_le_bytes(family);
    let family = little.min(little.swap_bytes());
    match family {
        2 => Ok(Network::Ipv4),
        // Linux 10, Windows 23, NetBSD and OpenBSD 24, FreeBSD 28, Darwin 30.
        10 | 23 | 24 | 28 | 30 => Ok(Network::Ipv6),
        _ => Err(Skipped::NotIp),
    }
}
