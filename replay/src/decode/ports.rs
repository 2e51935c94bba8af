//! UDP ports that tunnels go to.

use std::fmt;
use std::str::FromStr;

/// What tunnels over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UdpTunnel {
    /// Generic UDP Encapsulation, to 6080 unless said otherwise: IPVS sets a port for each server.
    Gue,
    /// To 4789, and to 8472 as Linux has it by default.
    Vxlan,
    /// To 6081.
    Geneve,
}

/// A port that a tunnel goes to besides its own: `vxlan=4790`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TunnelPort {
    /// The tunnel.
    pub tunnel: UdpTunnel,
    /// The port, never 0.
    pub port: u16,
}

/// Why a text or a list names no ports of tunnels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelPortError {
    /// A text of another form.
    #[error("give gue=PORT, vxlan=PORT or geneve=PORT, with a port from 1 to 65535")]
    Form,
    /// One port for two tunnels.
    #[error("port {0} is given for two tunnels")]
    Twice(u16),
    /// More than are kept.
    #[error("at most {MOST} ports can be given")]
    TooMany,
}

/// Ports that can be given: kept in place, since a decoder is handed around for each packet.
const MOST: usize = 8;

/// The ports that are given, which come before those that tunnels have of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelPorts([Option<TunnelPort>; MOST]);

const OWN: [(u16, UdpTunnel); 4] = [
    (6080, UdpTunnel::Gue),
    (4789, UdpTunnel::Vxlan),
    (8472, UdpTunnel::Vxlan),
    (6081, UdpTunnel::Geneve),
];

impl UdpTunnel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gue, Self::Vxlan, Self::Geneve];

    /// `gue`, `vxlan`, `geneve`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gue => "gue",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
        }
    }
}

impl TunnelPorts {
    /// None given.
    pub const NONE: Self = Self([None; MOST]);

    /// In any order; one that is given again counts once.
    pub fn new(given: impl IntoIterator<Item = TunnelPort>) -> Result<Self, TunnelPortError> {
        let mut given: Vec<TunnelPort> = given.into_iter().collect();
        given.sort_by_key(|given| (given.port, given.tunnel));
        given.dedup();
        if let Some([first, _]) = given
            .array_windows()
            .find(|[one, other]| one.port == other.port)
        {
            return Err(TunnelPortError::Twice(first.port));
        }
        let mut ports = Self::default();
        if given.len() > MOST {
            return Err(TunnelPortError::TooMany);
        }
        for (place, given) in ports.0.iter_mut().zip(given) {
            *place = Some(given);
        }
        Ok(ports)
    }

    /// The ports that are given, in their order.
    pub fn given(&self) -> impl Iterator<Item = TunnelPort> + '_ {
        self.0.iter().flatten().copied()
    }

    /// All ports of a tunnel, in their order.
    pub fn of(&self, tunnel: UdpTunnel) -> Vec<u16> {
        let given = self.given().map(|given| given.port);
        let own = OWN.iter().map(|&(port, _)| port);
        let mut ports: Vec<u16> = given.chain(own).collect();
        ports.retain(|&port| self.tunnel(port) == Some(tunnel));
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// What goes to a port.
    #[inline]
    pub(super) fn tunnel(&self, port: u16) -> Option<UdpTunnel> {
        let given = self.0.iter().map_while(|given| *given);
        for given in given {
            if given.port == port {
                return Some(given.tunnel);
            }
        }
        let own = OWN.iter().find(|&&(own, _)| own == port);
        own.map(|&(_, tunnel)| tunnel)
    }
}

impl FromStr for TunnelPort {
    type Err = TunnelPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, port) = text.split_once('=').ok_or(TunnelPortError::Form)?;
        let tunnel = UdpTunnel::ALL.into_iter().find(|own| own.name() == name);
        match (tunnel, port.parse()) {
            (Some(tunnel), Ok(port)) if port > 0 => Ok(Self { tunnel, port }),
            _ => Err(TunnelPortError::Form),
        }
    }
}

impl fmt::Display for TunnelPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.tunnel.name(), self.port)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;

    fn ports(texts: &[&str]) -> Result<TunnelPorts, TunnelPortError> {
        TunnelPorts::new(texts.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn given_ports_come_first() {
        let none = TunnelPorts::default();
        assert_eq!(none.of(UdpTunnel::Vxlan), [4789, 8472]);
        assert_eq!(none.tunnel(1), None);
        let some = ports(&["gue=8472", "gue=5555", "geneve=1", "gue=5555"]).unwrap();
        assert_eq!(some.of(UdpTunnel::Vxlan), [4789]);
        assert_eq!(some.of(UdpTunnel::Gue), [5555, 6080, 8472]);
        assert_eq!(some.of(UdpTunnel::Geneve), [1, 6081]);
        let given: Vec<String> = some.given().map(|given| given.to_string()).collect();
        assert_eq!(given, ["geneve=1", "gue=5555", "gue=8472"]);
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            "gue",
            "gue=",
            "gue=0",
            "gue=65536",
            "gre=1",
            "GUE=1",
            "gue=-1",
        ] {
            assert_eq!(
                text.parse::<TunnelPort>(),
                Err(TunnelPortError::Form),
                "{text}"
            );
        }
        let error = ports(&["gue=7", "vxlan=7"]).unwrap_err();
        assert_eq!(error, TunnelPortError::Twice(7));
        let many: Vec<String> = (1..=9).map(|port| format!("gue={port}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(ports(&many).unwrap_err(), TunnelPortError::TooMany);
        assert!(ports(&many[..8]).is_ok());
    }
}
