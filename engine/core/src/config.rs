//! What a user sets up: services, real servers, kernel switches.

use core::fmt;

use crate::{Address, Family, Protocol};

/// What selects a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceKey {
    /// Protocol, address and port; port 0 takes every port (a persistent service).
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// The address clients connect to.
        address: Address,
        /// The port clients connect to, 0 for every port.
        port: u16,
    },
    /// A firewall mark, of packets of one family.
    Mark {
        /// Family of the packets.
        family: Family,
        /// The mark, not 0.
        mark: u32,
    },
}

impl ServiceKey {
    /// Family of the service.
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } if address.is_v4() => Family::Ipv4,
            Self::Address { .. } => Family::Ipv6,
            Self::Mark { family, .. } => *family,
        }
    }
}

/// `tcp:10.0.0.1:80`, `udp:[2001:db8::1]:53`, `mark 7`, `mark 7 (ipv6)`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address {
                protocol,
                address,
                port,
            } => {
                write!(f, "{protocol}:{}", Endpoint { address, port })
            }
            Self::Mark {
                family: Family::Ipv4,
                mark,
            } => write!(f, "mark {mark}"),
            Self::Mark {
                family: Family::Ipv6,
                mark,
            } => write!(f, "mark {mark} (ipv6)"),
        }
    }
}

/// Address and port, displayed `10.0.0.1:80` or `[2001:db8::1]:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address.
    pub address: Address,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.is_v4() {
            write!(f, "{}:{}", self.address, self.port)
        } else {
            write!(f, "[{}]:{}", self.address, self.port)
        }
    }
}

/// How packets reach the real server (`ipvsadm -m`, `-g`, `-i`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ForwardingMethod {
    /// NAT: both directions pass the director.
    #[default]
    Masquerading,
    /// Direct routing: replies bypass the director.
    DirectRouting,
    /// IP-in-IP and the like: replies bypass the director.
    Tunneling,
}

/// Persistence of a service (`ipvsadm -p`, `-M`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Persistence {
    /// Lifetime of a template after its last new connection, in seconds.
    pub timeout_s: u32,
    /// Ones for the bits of the client's address that count, laid out as in [`Address`]: for IPv4
    /// the upper 96 bits are ones.
    pub netmask: u128,
}

impl Persistence {
    /// Ones for the whole address: every client for itself.
    pub const EVERY_CLIENT: u128 = u128::MAX;

    /// The mask of an IPv4 netmask such as 255.255.255.0.
    pub const fn ipv4_netmask(mask: u32) -> u128 {
        u128::MAX << 32 | mask as u128
    }

    /// The mask of an IPv6 prefix length; beyond 128 as 128.
    pub const fn ipv6_prefix(length: u8) -> u128 {
        match length {
            0 => 0,
            1..=127 => u128::MAX << (128 - length),
            _ => u128::MAX,
        }
    }
}

/// A virtual service as `ipvsadm -A` would define it, its scheduler aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// What selects it.
    pub key: ServiceKey,
    /// Persistence, where it has any.
    pub persistence: Option<Persistence>,
    /// One-packet scheduling (`ipvsadm -o`), of effect for UDP only.
    pub one_packet: bool,
}

impl ServiceConfig {
    /// The port at the real server for a packet to `packet_port`: the server's own, unless it has
    /// none or a persistent service was reached by another port than its own (`ip_vs_schedule`,
    /// `ip_vs_sched_persist`).
    pub const fn real_port(&self, server_port: u16, packet_port: u16) -> u16 {
        let own_port = match self.key {
            ServiceKey::Address { port, .. } => port,
            ServiceKey::Mark { .. } => 0,
        };
        if server_port == 0 || self.persistence.is_some() && packet_port != own_port {
            packet_port
        } else {
            server_port
        }
    }
}

/// A real server as `ipvsadm -a` would define it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Its address.
    pub address: Address,
    /// Its port; 0 for the one the client used.
    pub port: u16,
    /// 0 quiesces it; at most 2^31 − 1.
    pub weight: u32,
    /// How packets reach it.
    pub method: ForwardingMethod,
    /// Connections at which it becomes overloaded; 0 for never.
    pub upper_threshold: u32,
    /// Connections below which it is available again; 0 for three quarters of the upper one.
    pub lower_threshold: u32,
}

/// Which generation of the kernel's counting and threshold code is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KernelProfile {
    /// Up to about mid 2026: overhead 256·active + inactive.
    Classic,
    /// Stable 6.1.183 and later, 6.12.107 and later: overhead 257·active + inactive, thresholds
    /// re-evaluated on edits.
    #[default]
    Current,
}

/// Seconds that `ipvsadm --set` sets; 0 there means to keep, here all are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// TCP in ESTABLISHED.
    pub tcp_s: u32,
    /// TCP in FIN_WAIT.
    pub tcp_fin_s: u32,
    /// UDP.
    pub udp_s: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_s: 900,
            tcp_fin_s: 120,
            udp_s: 300,
        }
    }
}

/// Kernel switches under `net.ipv4.vs` that change decisions, with the kernel's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sysctls {
    /// 0 off; 1 reschedules a SYN on a connection in TIME_WAIT or CLOSE; bit 1 adds FIN_WAIT for
    /// direct routing and tunneling.
    pub conn_reuse_mode: u32,
    /// Drop connections whose server is gone instead of their packets.
    pub expire_nodest_conn: bool,
    /// A template to a quiesced server is not used any more.
    pub expire_quiescent_template: bool,
    /// TCP connections may begin with any segment but RST.
    pub sloppy_tcp: bool,
    /// First unprivileged port, which FTP's passive data lookup uses (`ip_unprivileged_port_start`).
    pub unprivileged_port_start: u16,
}

impl Default for Sysctls {
    fn default() -> Self {
        Self {
            conn_reuse_mode: 1,
            expire_nodest_conn: false,
            expire_quiescent_template: false,
            sloppy_tcp: false,
            unprivileged_port_start: 1024,
        }
    }
}
