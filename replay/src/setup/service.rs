//! Services with their servers, and the checks that the kernel and ipvsadm make on them.

use std::fmt;

use equipoise_core::{
    Address, Endpoint, Family, ForwardingMethod, Persistence, Protocol, ServerConfig,
    ServiceConfig, ServiceKey,
};

use super::{PolicyChoice, Problem, Warning, text};

/// Where a service comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--service`, with its value.
    Given(String),
    /// `--mark`, with its value.
    Mark(String),
    /// A line of a rules file.
    Rule {
        /// The file as the user named it.
        file: String,
        /// Counted from 1.
        line: usize,
    },
    /// The busiest endpoint of the trace.
    Automatic,
}

/// `--service 10.0.0.1:80`, `--mark 7=tcp:10.0.0.1:*`, `rules:3`, `automatic`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(text) => write!(f, "--service {text}"),
            Self::Mark(text) => write!(f, "--mark {text}"),
            Self::Rule { file, line } => write!(f, "{file}:{line}"),
            Self::Automatic => f.write_str("automatic"),
        }
    }
}

/// A virtual service to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// As `ipvsadm -A` would define it.
    pub config: ServiceConfig,
    /// In the order of adding, as `ipvsadm -a` would: the kernel's list is the reverse.
    pub servers: Vec<ServerConfig>,
    /// The scheduler that its rule names; none where options decide.
    pub scheduler: Option<PolicyChoice>,
    /// Where it comes from.
    pub origin: Origin,
    /// Where each of `servers` comes from.
    places: Vec<String>,
}

/// A server as written: its port may be the service's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerSpec {
    pub(crate) address: Address,
    pub(crate) port: Option<u16>,
    pub(crate) weight: u32,
    pub(crate) method: ForwardingMethod,
    pub(crate) upper: u32,
    pub(crate) lower: u32,
}

/// Largest threshold that ipvsadm takes.
pub(crate) const MAX_THRESHOLD: u32 = i32::MAX as u32;

impl Service {
    /// Without servers yet; port 0 without persistence is refused, `needs` names the cure.
    pub(crate) fn new(
        config: ServiceConfig,
        scheduler: Option<PolicyChoice>,
        origin: Origin,
        needs: &'static str,
    ) -> Result<Self, Problem> {
        let zero_port = matches!(config.key, ServiceKey::Address { port: 0, .. });
        if zero_port && config.persistence.is_none() {
            return Err(Problem::ZeroPort { needs });
        }
        Ok(Self {
            config,
            servers: Vec::new(),
            scheduler,
            origin,
            places: Vec::new(),
        })
    }

    /// Adds a server as ipvsadm and the kernel would, or refuses it.
    pub(crate) fn add(
        &mut self,
        spec: &ServerSpec,
        place: &str,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Problem> {
        let config = self.config_of(spec, place, warnings)?;
        let (address, port) = (config.address, config.port);
        let known = |server: &ServerConfig| (server.address, server.port) == (address, port);
        if let Some(index) = self.servers.iter().position(known) {
            return Err(Problem::ServersAlike {
                service: self.config.key,
                server: Endpoint { address, port },
                first: self.places[index].clone(),
            });
        }
        self.places.push(place.to_owned());
        self.servers.push(config);
        Ok(())
    }

    /// A server of this service as `--server` names it, whether it is there or not.
    pub(crate) fn server(&self, text: &str) -> Result<ServerConfig, Problem> {
        self.config_of(&ServerSpec::parse(text)?, text, &mut Vec::new())
    }

    fn config_of(
        &self,
        spec: &ServerSpec,
        place: &str,
        warnings: &mut Vec<Warning>,
    ) -> Result<ServerConfig, Problem> {
        if spec.address.is_v4() != (self.config.key.family() == Family::Ipv4) {
            return Err(Problem::FamilyMismatch {
                server: spec.address,
                service: self.config.key,
            });
        }
        if !text::is_unicast(spec.address) {
            return Err(Problem::NotUnicast {
                address: spec.address,
            });
        }
        if spec.lower > spec.upper {
            return Err(Problem::Thresholds {
                lower: spec.lower,
                upper: spec.upper,
            });
        }
        Ok(ServerConfig {
            address: spec.address,
            port: self.port_of(spec, place, warnings),
            weight: spec.weight,
            method: spec.method,
            upper_threshold: spec.upper,
            lower_threshold: spec.lower,
        })
    }

    /// Four of weight 1, masquerading: 10.1.0.1 to .4, or `fd00:1::a01:1` to `:4`.
    pub(crate) fn add_default_servers(&mut self) -> Result<(), Problem> {
        let base = match self.config.key.family() {
            Family::Ipv4 => Address::v4(0x0a01_0000).0,
            Family::Ipv6 => 0xfd00_0001 << 96 | 0x0a01_0000,
        };
        for host in 1..=4 {
            let spec = ServerSpec::new(Address(base + host), None);
            self.add(&spec, "the default servers", &mut Vec::new())?;
        }
        Ok(())
    }

    /// The port that ipvsadm gives the server: the service's where none is written, and always
    /// with direct routing and tunneling of a service that is no mark.
    fn port_of(&self, spec: &ServerSpec, place: &str, warnings: &mut Vec<Warning>) -> u16 {
        let ServiceKey::Address { port, .. } = self.config.key else {
            return spec.port.unwrap_or(0);
        };
        match spec.port {
            Some(given) if spec.method == ForwardingMethod::Masquerading => given,
            Some(given) if given != port => {
                warnings.push(Warning::PortForced {
                    place: place.to_owned(),
                    server: Endpoint {
                        address: spec.address,
                        port: given,
                    },
                    port,
                });
                port
            }
            _ => port,
        }
    }
}

impl ServerSpec {
    /// Weight 1, masquerading, no thresholds.
    pub(crate) fn new(address: Address, port: Option<u16>) -> Self {
        Self {
            address,
            port,
            weight: 1,
            method: ForwardingMethod::Masquerading,
            upper: 0,
            lower: 0,
        }
    }

    /// Reads `ADDR[:PORT][,weight=N,method=nat|dr|tun,upper=N,lower=N]`; without a port it takes
    /// the service's. Methods may also be named as ipvsadm names them.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        const EXAMPLE: &str = "weight=1,method=nat,upper=0,lower=0";
        let mut items = text.split(',');
        let (address, port) = text::endpoint(items.next().unwrap_or_default())?;
        let mut spec = Self::new(address, port);
        let mut seen = Vec::new();
        for item in items {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            if seen.contains(&key) {
                return Err(Problem::Twice {
                    word: key.to_owned(),
                });
            }
            seen.push(key);
            match key {
                "weight" | "method" | "upper" | "lower" if value.is_empty() => {
                    return Err(Problem::MissingValue {
                        word: key.to_owned(),
                        example: EXAMPLE,
                    });
                }
                "weight" => spec.weight = text::number("weight", value, 0, u16::MAX.into())?,
                "method" => spec.method = parse_method(value)?,
                "upper" => spec.upper = text::number("upper", value, 0, MAX_THRESHOLD)?,
                "lower" => spec.lower = text::number("lower", value, 0, MAX_THRESHOLD)?,
                _ => {
                    return Err(Problem::UnknownKey {
                        word: key.to_owned(),
                        known: "weight, method, upper, lower",
                    });
                }
            }
        }
        Ok(spec)
    }
}

/// Reads `[tcp:|udp:]ADDR[:PORT]`; without a protocol it is tcp, without a port 0.
pub(crate) fn parse_key(text: &str) -> Result<ServiceKey, Problem> {
    let (protocol, rest) = match text.split_once(':') {
        Some((word @ ("tcp" | "udp" | "sctp"), rest)) => (text::protocol(word)?, rest),
        _ => (Protocol::Tcp, text),
    };
    let (address, port) = text::endpoint(rest)?;
    Ok(ServiceKey::Address {
        protocol,
        address,
        port: port.unwrap_or(0),
    })
}

/// `--persistent`, not yet bound to a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersistentOption {
    timeout_s: u32,
    mask: Option<String>,
}

impl PersistentOption {
    /// Reads `SECS[/MASK]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let (seconds, mask) = match text.split_once('/') {
            Some((seconds, mask)) => (seconds, Some(mask.to_owned())),
            None => (text, None),
        };
        let option = Self {
            timeout_s: text::number("persistence", seconds, 1, text::MAX_TIMEOUT_S)?,
            mask,
        };
        // A mask that fits no family is wrong whatever the services are.
        option
            .for_family(Family::Ipv4)
            .or_else(|problem| option.for_family(Family::Ipv6).map_err(|_| problem))?;
        Ok(option)
    }

    /// The persistence of a service of `family`: masks are dotted or prefix lengths for IPv4,
    /// prefix lengths for IPv6.
    pub(crate) fn for_family(&self, family: Family) -> Result<Persistence, Problem> {
        let netmask = match &self.mask {
            None => Some(Persistence::EVERY_CLIENT),
            Some(word) if family == Family::Ipv4 && word.contains('.') => text::dotted_mask(word),
            Some(word) => text::prefix_mask(family, word),
        };
        let netmask = netmask.ok_or_else(|| Problem::Mask {
            word: self.mask.clone().unwrap_or_default(),
            family: super::error::family_name(family),
            forms: match family {
                Family::Ipv4 => "255.255.255.0, or a prefix length of 0 to 32",
                Family::Ipv6 => "a prefix length of 1 to 128",
            },
        })?;
        Ok(Persistence {
            timeout_s: self.timeout_s,
            netmask,
        })
    }
}

fn parse_method(word: &str) -> Result<ForwardingMethod, Problem> {
    match word {
        "nat" | "masq" => Ok(ForwardingMethod::Masquerading),
        "dr" | "gatewaying" => Ok(ForwardingMethod::DirectRouting),
        "tun" | "ipip" => Ok(ForwardingMethod::Tunneling),
        _ => Err(Problem::UnknownWord {
            what: "method",
            word: word.to_owned(),
            known: "nat (masq), dr (gatewaying), tun (ipip)",
        }),
    }
}
