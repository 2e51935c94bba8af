//! Addresses of clients: distinct ones, scattered over a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// A network of IPv4 addresses with the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network4(Network);

/// A network of IPv6 addresses with the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network6(Network);

/// Addresses as numbers, IPv4 ones mapped into IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    base: u128,
    host_bits: u32,
}

const MAPPED: u128 = 0xffff_0000_0000;

impl Network {
    fn parse(text: &str) -> Option<(IpAddr, Self)> {
        let (address, length) = text.split_once('/')?;
        let address = IpAddr::from_str(address).ok()?;
        let (base, bits) = match address {
            IpAddr::V4(address) => (MAPPED | u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let length: u32 = length.parse().ok()?;
        let host_bits = u32::checked_sub(bits, length)?;
        let network = Self { base, host_bits };
        (base & network.hosts() == 0).then_some((address, network))
    }

    /// The last address of the network, less the first.
    fn hosts(self) -> u128 {
        u128::MAX.checked_shr(128 - self.host_bits).unwrap_or(0)
    }

    /// How many addresses can be somebody's: neither the network's own nor the last one.
    pub(super) fn size(self) -> u64 {
        // An interface has 64 bits at most.
        let hosts = self.hosts().min(u128::from(u64::MAX)) as u64;
        hosts.saturating_sub(1)
    }

    pub(super) fn contains(self, address: IpAddr) -> bool {
        bits(address) & !self.hosts() == self.base
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        let hosts = self.hosts() | other.hosts();
        self.base & !hosts == other.base & !hosts
    }

    /// The address of a host, from 0 to `size` - 1.
    pub(super) fn host(self, number: u64) -> [u8; 16] {
        (self.base | u128::from(number + 1)).to_be_bytes()
    }
}

macro_rules! network {
    ($name:ident, $family:pat, $example:literal) => {
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                match Network::parse(&text) {
                    Some(($family, network)) if network.size() > 0 => Ok(Self(network)),
                    _ => Err(format!(
                        concat!(
                            "`{}` is no network of clients, such as ",
                            $example,
                            " (no bits set behind the prefix, room for one host or more)"
                        ),
                        text.escape_debug()
                    )),
                }
            }
        }

        impl $name {
            pub(super) const fn get(self) -> Network {
                self.0
            }
        }
    };
}

network!(Network4, IpAddr::V4(_), "198.18.0.0/15");
network!(Network6, IpAddr::V6(_), "2001:db8:1::/64");

impl Network4 {
    /// 198.18.0.0/15: for tests of network devices (RFC 2544).
    pub(super) const CLIENTS: Self = Self(Network {
        base: MAPPED | 0xc612_0000,
        host_bits: 17,
    });
    /// 100.64.0.0/10: shared address space (RFC 6598).
    pub(super) const FLOOD: Self = Self(Network {
        base: MAPPED | 0x6440_0000,
        host_bits: 22,
    });
}

impl Network6 {
    /// `2001:db8:c::/64`: documentation (RFC 3849).
    pub(super) const CLIENTS: Self = Self(Network {
        base: 0x2001_0db8_000c_0000_0000_0000_0000_0000,
        host_bits: 64,
    });
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => MAPPED | u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address that 16 bytes stand for.
pub(super) fn address(bytes: [u8; 16]) -> IpAddr {
    let bits = u128::from_be_bytes(bytes);
    if bits & !u128::from(u32::MAX) == MAPPED {
        IpAddr::V4(Ipv4Addr::from_bits(bits as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }
}

/// The 16 bytes that stand for an address.
pub(super) fn octets(address: IpAddr) -> [u8; 16] {
    bits(address).to_be_bytes()
}

/// Numbers below a size, each once, in an order without a pattern that the eye sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scatter {
    size: u128,
    step: u128,
    first: u128,
}

impl Scatter {
    /// `size` is not 0.
    pub(super) fn new(size: u64, seed: u64) -> Self {
        let mut step = (0x9e37_79b9_7f4a_7c15 % size) | 1;
        // Without a common divisor, its multiples come to every number.
        while common_divisor(step, size) != 1 {
            step += 2;
        }
        Self {
            size: size.into(),
            step: step.into(),
            first: (seed % size).into(),
        }
    }

    /// The number at a place; places repeat after `size`.
    #[inline]
    pub(super) fn at(self, place: u64) -> u64 {
        // Below a u64.
        ((u128::from(place) * self.step + self.first) % self.size) as u64
    }
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once() {
        for size in [1, 2, 3, 4, 6, 97, 1_000, 131_070] {
            let scatter = Scatter::new(size, 12_345);
            let mut seen: Vec<u64> = (0..size).map(|place| scatter.at(place)).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..size), "{size}");
        }
    }

    #[test]
    fn hosts_are_within_their_network() {
        let network = |text: &str| Network::parse(text).map(|(_, network)| network);
        let small = network("192.0.2.0/30").expect("a network");
        assert_eq!(small.size(), 2);
        let hosts = [0, 1].map(|number| address(small.host(number)).to_string());
        assert_eq!(hosts, ["192.0.2.1", "192.0.2.2"]);
        let large = network("2001:db8::/32").expect("a network");
        assert_eq!(large.size(), u64::MAX - 1);
        let last = address(large.host(large.size() - 1));
        assert_eq!(last.to_string(), "2001:db8::ffff:ffff:ffff:fffe");
        assert!(large.contains(last) && !small.contains(last));
        let half = network("192.0.2.0/31").expect("a network");
        assert!(half.overlaps(small) && small.overlaps(half) && !large.overlaps(small));
        for wrong in ["192.0.2.1/24", "192.0.2.0/33", "192.0.2.0", "::/129", "x/8"] {
            assert!(network(wrong).is_none(), "{wrong}");
        }
        assert!(network("0.0.0.0/0").is_some() && network("::/0").is_some());
    }
}
