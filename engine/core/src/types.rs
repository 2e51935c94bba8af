//! Plain data that hosts, policies and the wire share: the contract's records.

use alloc::string::String;
use core::fmt;

use crate::Address;

/// Nanoseconds since an origin that the caller chooses; in replay the Unix epoch of the capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// One second.
    pub const SECOND: u64 = 1_000_000_000;

    /// Whole microseconds, the contract's `now-us`.
    pub const fn micros(self) -> u64 {
        self.0 / 1_000
    }

    /// This time plus whole seconds; stays at the end of time rather than wrap.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds as u64 * Self::SECOND))
    }
}

/// Transport protocols that IPVS schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp = 0,
    /// User Datagram Protocol.
    Udp = 1,
    /// Stream Control Transmission Protocol.
    Sctp = 2,
}

/// `tcp`, `udp`, `sctp`.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// Address families of services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Names a real server within its virtual service: dense, from 0, and the same again when the
/// same address and port is deleted and added once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub u32);

/// What a policy is told of its virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceIdentity {
    /// Family of the service and of its clients.
    pub family: Family,
    /// The address clients connect to; all zero with a mark.
    pub address: Address,
    /// 0 for every port.
    pub port: u16,
    /// Of no meaning with a mark.
    pub protocol: Protocol,
    /// Firewall mark, 0 for a service selected by address.
    pub mark: u32,
}

/// One `key=value` given with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name of the parameter.
    pub key: String,
    /// Its value; `true` where the user gave none.
    pub value: String,
}

/// Bit of `status`: at or above the upper threshold (`IP_VS_DEST_F_OVERLOAD`).
pub const STATUS_OVERLOADED: u32 = 1;

/// A real server as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name within the service.
    pub id: ServerId,
    /// Its address.
    pub address: Address,
    /// Its port, 0 for the one the client used.
    pub port: u16,
    /// 0 is quiesced.
    pub weight: u32,
    /// Connections in an active state.
    pub active: u32,
    /// All other connections.
    pub inactive: u32,
    /// Bit 0 is [`STATUS_OVERLOADED`].
    pub status: u32,
}

/// New absolute values for one real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Which server.
    pub server: ServerId,
    /// Connections in an active state.
    pub active: u32,
    /// All other connections.
    pub inactive: u32,
    /// Bit 0 is [`STATUS_OVERLOADED`].
    pub status: u32,
    /// Smoothed time to the first response byte, 0 while there is none.
    pub latency_us: u32,
}

/// A connection to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who connects.
    pub client: Address,
    /// From which port.
    pub client_port: u16,
    /// Where to, as the client wrote it.
    pub destination: Address,
    /// To which port.
    pub destination_port: u16,
    /// Over what.
    pub protocol: Protocol,
    /// Firewall mark of the packet, 0 without one.
    pub mark: u32,
}

bitflags::bitflags! {
    /// What a policy reads. The host sends nothing else.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Needs: u8 {
        /// Active and inactive counts.
        const LOADS = 1;
        /// Latency in [`Load`].
        const LATENCY = 2;
        /// The time.
        const TIME = 4;
        /// Client address and port.
        const CLIENT = 8;
        /// Destination address and port.
        const DESTINATION = 16;
    }
}
