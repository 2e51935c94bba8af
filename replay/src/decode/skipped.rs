//! Why a frame is no packet for the engine.

use std::fmt;

use pcap_file::DataLink;
use serde::{Deserialize, Serialize};

/// Why a frame was passed over. Each reason is a counted row of the report.
///
/// Tables bear it as serde writes it: the name, and the number where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Skipped {
    /// A link type that is not decoded, by its `LINKTYPE_` number.
    UnsupportedLinkType(u16),
    /// ARP, LLDP and whatever else is not IP.
    NotIp,
    /// More VLAN tags or MPLS labels than are followed.
    TooManyTags,
    /// More tunnels within each other than are looked through.
    TooManyTunnels,
    /// ICMP or `ICMPv6`.
    Icmp,
    /// SCTP, which this version does not schedule.
    Sctp,
    /// Another protocol over IP, by its number.
    OtherProtocol(u8),
    /// A fragment that is not the first and so has no ports.
    FragmentWithoutPorts,
    /// Captured too short to show addresses, ports and flags.
    TruncatedHeader,
    /// Headers that contradict themselves.
    Malformed,
    /// A tunnel whose header or inner packet is captured too short or contradicts itself.
    DamagedTunnel,
    /// An IPv6 header with an IPv4-mapped address, which Linux drops.
    MappedAddress,
}

impl Skipped {
    /// Stable name of the reason, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnsupportedLinkType(_) => "unsupported_link_type",
            Self::NotIp => "not_ip",
            Self::TooManyTags => "too_many_tags",
            Self::TooManyTunnels => "too_many_tunnels",
            Self::Icmp => "icmp",
            Self::Sctp => "sctp",
            Self::OtherProtocol(_) => "other_protocol",
            Self::FragmentWithoutPorts => "fragment_without_ports",
            Self::TruncatedHeader => "truncated_header",
            Self::Malformed => "malformed",
            Self::DamagedTunnel => "damaged_tunnel",
            Self::MappedAddress => "mapped_address",
        }
    }

    /// The reason where it was found within a tunnel.
    pub(super) fn in_tunnel(self) -> Self {
        match self {
            Self::TruncatedHeader | Self::Malformed => Self::DamagedTunnel,
            other => other,
        }
    }
}

/// The reason for people: `link type 105 (IEEE802_11) is not supported`.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UnsupportedLinkType(number) => match DataLink::from(u32::from(number)) {
                DataLink::Unknown(_) => write!(f, "link type {number} is not supported"),
                link => write!(f, "link type {number} ({link:?}) is not supported"),
            },
            Self::NotIp => f.write_str("not IP"),
            Self::TooManyTags => f.write_str("too many VLAN tags or MPLS labels"),
            Self::TooManyTunnels => f.write_str("too many tunnels within each other"),
            Self::Icmp => f.write_str("ICMP"),
            Self::Sctp => f.write_str("SCTP"),
            Self::OtherProtocol(number) => write!(f, "IP protocol {number}"),
            Self::FragmentWithoutPorts => f.write_str("fragment without ports"),
            Self::TruncatedHeader => f.write_str("header cut short by the capture"),
            Self::Malformed => f.write_str("malformed header"),
            Self::DamagedTunnel => f.write_str("tunnel with an inner packet damaged or cut short"),
            Self::MappedAddress => f.write_str("IPv4-mapped address in an IPv6 header"),
        }
    }
}
