//! One address type for both families.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address as 128 bits: IPv6 as it is, IPv4 as `::ffff:a.b.c.d`.
///
/// Genuine IPv6 packets never bear mapped addresses (Linux drops them, RFC 4291 2.5.5.2 gives them
/// to the API), so the family can be read off the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub u128);

const MAPPED: u128 = 0xffff_0000_0000;

impl Address {
    /// The address of 32 host-order bits.
    pub const fn v4(bits: u32) -> Self {
        Self(MAPPED | bits as u128)
    }

    /// From the contract's two words.
    pub const fn from_words(high: u64, low: u64) -> Self {
        Self((high as u128) << 64 | low as u128)
    }

    /// The contract's two words, high first.
    pub const fn words(self) -> (u64, u64) {
        ((self.0 >> 64) as u64, self.0 as u64)
    }

    /// Whether this is an IPv4 address.
    pub const fn is_v4(self) -> bool {
        self.0 >> 32 == MAPPED >> 32
    }

    /// The 32 bits that IPVS hashes: the IPv4 address in host order; of IPv6 the XOR of the four
    /// words (`ip_vs_sh`, `ip_vs_dh`, `ip_vs_mh`).
    pub const fn fold(self) -> u32 {
        if self.is_v4() {
            return self.0 as u32;
        }
        let (high, low) = self.words();
        (high >> 32) as u32 ^ high as u32 ^ (low >> 32) as u32 ^ low as u32
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.to_bits()),
            IpAddr::V6(v6) => Self(v6.to_bits()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() {
            IpAddr::V4(Ipv4Addr::from_bits(address.0 as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(address.0))
        }
    }
}

/// As people write it: `10.0.0.1`, `2001:db8::1`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}
