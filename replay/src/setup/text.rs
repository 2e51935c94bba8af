//! The pieces that options and rules share: addresses, ports, numbers, netmasks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use equipoise_core::{Address, Family, Persistence, Protocol};

use super::Problem;

/// Longest timeout that ipvsadm takes, in seconds: 31 days.
pub(crate) const MAX_TIMEOUT_S: u32 = 31 * 86_400;

/// A decimal number within bounds.
pub(crate) fn number(
    what: &'static str,
    word: &str,
    minimum: u32,
    maximum: u32,
) -> Result<u32, Problem> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let value = if digits {
        word.parse::<u32>().ok()
    } else {
        None
    };
    value
        .filter(|value| (minimum..=maximum).contains(value))
        .ok_or_else(|| Problem::OutOfRange {
            what,
            word: word.to_owned(),
            minimum: minimum.into(),
            maximum: maximum.into(),
        })
}

/// A numeric port.
pub(crate) fn port(word: &str) -> Result<u16, Problem> {
    number("port", word, 0, u16::MAX.into())
        .map(|port| port as u16)
        .map_err(|_| Problem::NotAPort {
            word: word.to_owned(),
        })
}

/// Splits `a.b.c.d[:port]`, `[v6][:port]` or a bare `v6` into the address and the port's word.
pub(crate) fn split_endpoint(text: &str) -> Result<(&str, Option<&str>), Problem> {
    let malformed = || Problem::NotAnAddress {
        word: text.to_owned(),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or_else(malformed)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if after.is_empty() => Ok((address, None)),
            None => Err(malformed()),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((address, port)) => Ok((address, Some(port))),
        None => Ok((text, None)),
    }
}

/// An address of either family; IPv4-mapped ones are refused, since no IPv6 packet bears them.
pub(crate) fn address(word: &str) -> Result<Address, Problem> {
    match word.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => Err(Problem::MappedAddress {
            word: word.to_owned(),
            address: Address(v6.to_bits()),
        }),
        Ok(address) => Ok(address.into()),
        Err(_) => Err(Problem::NotAnAddress {
            word: word.to_owned(),
        }),
    }
}

/// Address and port, 0 where there is none.
pub(crate) fn endpoint(text: &str) -> Result<(Address, Option<u16>), Problem> {
    let (host, port_word) = split_endpoint(text)?;
    Ok((address(host)?, port_word.map(port).transpose()?))
}

/// `tcp` or `udp`; sctp has its own answer.
pub(crate) fn protocol(word: &str) -> Result<Protocol, Problem> {
    match word {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Err(Problem::Sctp),
        _ => Err(Problem::UnknownWord {
            what: "protocol",
            word: word.to_owned(),
            known: "tcp, udp",
        }),
    }
}

/// A dotted IPv4 netmask, as ipvsadm takes it: any bits.
pub(crate) fn dotted_mask(word: &str) -> Option<u128> {
    let mask: Ipv4Addr = word.parse().ok()?;
    Some(Persistence::ipv4_netmask(mask.to_bits()))
}

/// A prefix length as a mask over an address of `family`: 1 to 128 for IPv6 as the kernel has
/// it, 0 to 32 for IPv4.
pub(crate) fn prefix_mask(family: Family, word: &str) -> Option<u128> {
    let (minimum, maximum) = match family {
        Family::Ipv4 => (0, 32),
        Family::Ipv6 => (1, 128),
    };
    let length = number("prefix", word, minimum, maximum).ok()? as u8;
    Some(match family {
        Family::Ipv4 => Persistence::ipv6_prefix(96 + length),
        Family::Ipv6 => Persistence::ipv6_prefix(length),
    })
}

/// Whether a real server can have the address: what the kernel's EINVAL asks of it.
pub(crate) fn is_unicast(address: Address) -> bool {
    match IpAddr::from(address) {
        IpAddr::V4(v4) => !(v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0),
        IpAddr::V6(v6) => is_unicast_v6(v6),
    }
}

fn is_unicast_v6(v6: Ipv6Addr) -> bool {
    !(v6.is_multicast() || v6.is_unspecified() || v6.is_unicast_link_local())
}
