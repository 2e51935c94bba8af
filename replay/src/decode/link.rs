//! Link layers: where the IP packet begins and which IP it is.

use super::Skipped;

/// Tags that are followed; provider networks stack two or three.
const MOST_TAGS: usize = 8;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN_TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];

#[derive(Clone, Copy)]
pub(super) enum Network {
    Ipv4,
    Ipv6,
}

/// What the frame carries and where that begins, within `bytes`.
#[inline]
pub(super) fn network(link_type: u16, bytes: &[u8]) -> Result<(Network, usize), Skipped> {
    match link_type {
        // Ethernet
        1 => after_type(bytes, 12),
        // BSD null; OpenBSD loopback is the same in network order.
        0 | 108 => Ok((address_family(bytes)?, 4)),
        // Raw IP: the registered number and the ones BSD and OpenBSD wrote.
        101 | 12 | 14 => match bytes.first() {
            None => Err(Skipped::TruncatedHeader),
            Some(first) if first >> 4 == 4 => Ok((Network::Ipv4, 0)),
            Some(first) if first >> 4 == 6 => Ok((Network::Ipv6, 0)),
            Some(_) => Err(Skipped::NotIp),
        },
        228 => Ok((Network::Ipv4, 0)),
        229 => Ok((Network::Ipv6, 0)),
        // Linux cooked, version 1: the protocol ends the header.
        113 => after_type(bytes, 14),
        // Version 2: the protocol begins it.
        276 => match ether_type(bytes, 0)? {
            tag if VLAN_TAGS.contains(&tag) => after_tags(bytes, 20),
            found => Ok((ip(found)?, 20)),
        }
        .and_then(|(network, start)| within(bytes, network, start)),
        other => Err(Skipped::UnsupportedLinkType(other)),
    }
}

/// An Ethernet type at `place`, then tags, if any, then IP.
#[inline]
fn after_type(bytes: &[u8], place: usize) -> Result<(Network, usize), Skipped> {
    match ether_type(bytes, place)? {
        tag if VLAN_TAGS.contains(&tag) => after_tags(bytes, place + 2),
        found => Ok((ip(found)?, place + 2)),
    }
}

/// The content of a tag (control word, Ethernet type) at `place`, then more tags, if any, then IP.
fn after_tags(bytes: &[u8], place: usize) -> Result<(Network, usize), Skipped> {
    for tag in 0..MOST_TAGS {
        let next = place + tag * 4 + 2;
        let found = ether_type(bytes, next)?;
        if !VLAN_TAGS.contains(&found) {
            return Ok((ip(found)?, next + 2));
        }
    }
    Err(Skipped::TooManyTags)
}

fn within(bytes: &[u8], network: Network, start: usize) -> Result<(Network, usize), Skipped> {
    if start > bytes.len() {
        return Err(Skipped::TruncatedHeader);
    }
    Ok((network, start))
}

fn ip(ether_type: u16) -> Result<Network, Skipped> {
    match ether_type {
        IPV4 => Ok(Network::Ipv4),
        IPV6 => Ok(Network::Ipv6),
        _ => Err(Skipped::NotIp),
    }
}

fn ether_type(bytes: &[u8], place: usize) -> Result<u16, Skipped> {
    match bytes.get(place..place + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Skipped::TruncatedHeader),
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
