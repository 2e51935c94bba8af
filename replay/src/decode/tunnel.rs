//! Tunnels: the packet within a packet.
//!
//! Recognises what it can be sure of: what has the port or the protocol of a tunnel but not its
//! header is left to be a packet of its own.

use etherparse::{IpNumber, ip_number};

use super::link::{self, Network};
use super::network::Ip;
use super::{Rest, Skipped, TunnelPorts, UdpTunnel};

const UDP_HEADER: usize = 8;
/// No tunnel over UDP has less behind the UDP header: eight bytes of header, or four and an IP
/// packet.
const LEAST_CONTENT: u32 = 8;

/// GRE's flags for fields of four bytes each: checksum, key, sequence number.
const GRE_FIELDS: u16 = 0xb000;
/// A source route, which nobody sends since RFC 2784, and the version, 1 for PPTP.
const GRE_OTHER: u16 = 0x4007;
const TRANSPARENT_ETHERNET: u16 = 0x6558;

/// Which IP the packet inside is, or `None` where there is no tunnel.
type Inside = Result<Option<Network>, Skipped>;

/// Looks behind the IP headers of `packet`; where there is a tunnel, leaves all before the packet
/// inside behind.
pub(super) fn inside(ip: &Ip, packet: &mut Rest<'_>, ports: &TunnelPorts) -> Inside {
    let mut content = *packet;
    content.cut(ip.length);
    let found = behind(ip, &mut content, ports).map_err(Skipped::in_tunnel)?;
    if found.is_some() {
        *packet = content;
    }
    Ok(found)
}

fn behind(ip: &Ip, rest: &mut Rest<'_>, ports: &TunnelPorts) -> Inside {
    match ip.protocol {
        ip_number::IPV4 | ip_number::IPV6 | ip_number::GRE => {
            if ip.later_fragment {
                return Err(Skipped::FragmentWithoutPorts);
            }
            rest.skip(ip.start)?;
            by_protocol(ip.protocol, rest)
        }
        ip_number::UDP if !ip.later_fragment => {
            let port = rest.number(ip.start + 2).ok();
            let Some(tunnel) = port.and_then(|port| ports.tunnel(port)) else {
                return Ok(None);
            };
            rest.skip(ip.start)?;
            if rest.on_wire < UDP_HEADER as u32 + LEAST_CONTENT {
                return Ok(None);
            }
            rest.skip(UDP_HEADER)?;
            match tunnel {
                UdpTunnel::Gue => gue(rest),
                UdpTunnel::Vxlan => vxlan(rest),
                UdpTunnel::Geneve => geneve(rest),
            }
        }
        _ => Ok(None),
    }
}

fn by_protocol(protocol: IpNumber, rest: &mut Rest<'_>) -> Inside {
    match protocol {
        ip_number::IPV4 => Ok(Some(Network::Ipv4)),
        ip_number::IPV6 => Ok(Some(Network::Ipv6)),
        ip_number::GRE => gre(rest),
        _ => Ok(None),
    }
}

/// What a header of `length` bytes with an Ethernet type at its third introduces.
fn typed(rest: &mut Rest<'_>, length: usize) -> Inside {
    match rest.number(2)? {
        TRANSPARENT_ETHERNET => {
            rest.skip(length)?;
            link::ethernet(rest)
        }
        _ => link::typed(rest, 2, length),
    }
    .map(Some)
}

/// Flags and version, type, then the fields that the flags tell of (RFC 2784, RFC 2890).
fn gre(rest: &mut Rest<'_>) -> Inside {
    let flags = rest.number(0)?;
    if flags & GRE_OTHER != 0 {
        return Ok(None);
    }
    let fields = (flags & GRE_FIELDS).count_ones() as usize;
    typed(rest, 4 + 4 * fields)
}

/// Variant 0: control flag and length of options, protocol, flags, options. Variant 1: no header,
/// for the first two bits of IP read 1 (draft-ietf-intarea-gue 3 and 4).
fn gue(rest: &mut Rest<'_>) -> Inside {
    let first = rest.byte(0)?;
    match first >> 4 {
        0 | 1 => {
            let protocol = IpNumber(rest.byte(1)?);
            rest.skip(4 + 4 * usize::from(first & 0x1f))?;
            by_protocol(protocol, rest)
        }
        4 => Ok(Some(Network::Ipv4)),
        6 => Ok(Some(Network::Ipv6)),
        _ => Ok(None),
    }
}

/// A flag that says that a network number follows, the number, then Ethernet (RFC 7348 section 5).
fn vxlan(rest: &mut Rest<'_>) -> Inside {
    if rest.byte(0)? & 0x08 == 0 {
        return Ok(None);
    }
    rest.skip(8)?;
    link::ethernet(rest).map(Some)
}

/// Version 0 and length of options, control flag, type, network number, options (RFC 8926 3.4).
fn geneve(rest: &mut Rest<'_>) -> Inside {
    let [first, second] = rest.pair(0)?;
    if first >> 6 != 0 || second & 0x80 != 0 {
        return Ok(None);
    }
    typed(rest, 8 + 4 * usize::from(first & 0x3f))
}
