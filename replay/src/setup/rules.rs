//! `--rules`: what `ipvsadm -S` and `ipvsadm -S -n` print, and what people keep for
//! ipvsadm-restore, read in the order of the lines.
//!
//! Lines are those of ipvsadm: `-A` and `-a` with their options in any order, long and short,
//! `--option=value` and attached values. Besides, as ipvsadm-restore and scripts have them: empty
//! lines, comments (a line whose first character is `#`), a leading word `ipvsadm`, `-C` before
//! anything is defined, and `--set TCP FIN UDP`. Edits and deletions are refused, since the final
//! state is what is replayed. Unlike ipvsadm, which prints a kernel error and goes on, the first
//! error ends the reading. SCTP services are left out with a warning. Names of hosts are not
//! looked up.

mod line;
mod names;
mod scheduler;

use std::collections::BTreeSet;

use equipoise_core::{
    Address, Family, ForwardingMethod, Persistence, Protocol, ServiceConfig, ServiceKey, Timeouts,
};

use self::line::{Command, Key, Line};
use super::service::{MAX_THRESHOLD, ServerSpec};
use super::{Origin, Problem, Service, SetupError, Warning, kernel, text};

/// Lifetime of a template with a bare `-p`.
const DEFAULT_PERSISTENCE_S: u32 = 360;

/// Longest line that is read, in bytes; the longest that ipvsadm prints is far shorter.
const MAX_LINE: usize = 1024;

/// A rules file as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// In the order of their lines, servers likewise.
    pub services: Vec<Service>,
    /// What `--set` lines set, if there was one.
    pub timeouts: Option<Timeouts>,
    /// What was accepted with a word.
    pub warnings: Vec<Warning>,
    /// Services left out.
    skipped: BTreeSet<ServiceKey>,
}

impl Rules {
    /// Reads a whole file; `file` names it in messages.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, SetupError> {
        let mut rules = Self::default();
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line_number = index + 1;
            let origin = Origin::Rule {
                file: file.to_owned(),
                line: line_number,
            };
            rules
                .read_line(line, origin)
                .map_err(|problem| SetupError::Rule {
                    file: file.to_owned(),
                    line: line_number,
                    problem: Box::new(problem),
                })?;
        }
        Ok(rules)
    }

    fn read_line(&mut self, line: &[u8], origin: Origin) -> Result<(), Problem> {
        let line = std::str::from_utf8(line).map_err(|_| Problem::NotText)?;
        // Neither a binary file nor a terminal's escapes may reach a message.
        let control = |letter: char| letter.is_control() && letter != '\t' && letter != '\r';
        if line.contains(control) || line.len() > MAX_LINE {
            return Err(Problem::NotText);
        }
        let Some(line) = Line::parse(line)? else {
            return Ok(());
        };
        match line.command {
            Command::AddService => self.add_service(&line, origin),
            Command::AddServer => self.add_server(&line, &origin),
            Command::SetTimeouts => self.set_timeouts(&line),
            Command::Clear if self.services.is_empty() && self.skipped.is_empty() => Ok(()),
            Command::Clear => Err(Problem::ClearTooLate {
                word: "-C".to_owned(),
            }),
        }
    }

    fn add_service(&mut self, line: &Line<'_>, origin: Origin) -> Result<(), Problem> {
        let (key, service_word) = service_key(line)?;
        if let Some(known) = self.services.iter().find(|known| known.config.key == key) {
            return Err(Problem::ServicesAlike {
                service: key,
                first: known.origin.to_string(),
            });
        }
        if let Some(what) = unreplayed(line, key) {
            self.warnings.push(Warning::ServiceSkipped {
                place: origin.to_string(),
                service: service_word.to_owned(),
                what,
            });
            self.skipped.insert(key);
            return Ok(());
        }
        let one_packet = line.has(Key::OnePacket);
        if one_packet && !line.has(Key::Udp) && !line.has(Key::Mark) {
            return Err(Problem::OnePacket);
        }
        let config = ServiceConfig {
            key,
            persistence: self.persistence(line, key.family(), &origin)?,
            one_packet,
        };
        let service = Service::new(config, Some(scheduler::choice(line)?), origin, "-p")?;
        self.services.push(service);
        Ok(())
    }

    fn add_server(&mut self, line: &Line<'_>, origin: &Origin) -> Result<(), Problem> {
        let (key, _) = service_key(line)?;
        if self.skipped.contains(&key) {
            return Ok(());
        }
        let service = self.services.iter_mut();
        let service = service
            .rev()
            .find(|service| service.config.key == key)
            .ok_or(Problem::NoSuchService { service: key })?;
        let server = line.value(Key::Server).ok_or(Problem::MissingOption {
            option: "real-server",
            command: Command::AddServer.name(),
        })?;
        let (address, port) = endpoint(server, protocol_of(key))?;
        let number = |key, what, default, maximum| {
            line.value(key)
                .map_or(Ok(default), |word| text::number(what, word, 0, maximum))
        };
        let spec = ServerSpec {
            address,
            port,
            weight: number(Key::Weight, "weight", 1, u16::MAX.into())?,
            method: forwarding(line)?,
            upper: number(Key::Upper, "u-threshold", 0, MAX_THRESHOLD)?,
            lower: number(Key::Lower, "l-threshold", 0, MAX_THRESHOLD)?,
        };
        check_tunnel(line, spec.method)?;
        service.add(&spec, &origin.to_string(), &mut self.warnings)
    }

    fn set_timeouts(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        let Ok(words) = <[&str; 3]>::try_from(&line.arguments[..]) else {
            return Err(Problem::Form {
                form: "--set TCP FIN UDP (--set option requires 3 timeout values)",
            });
        };
        let base = self.timeouts.unwrap_or_default();
        self.timeouts = Some(kernel::set_timeouts(base, words)?);
        Ok(())
    }

    /// `-p` and `-M`. A mask before an IPv6 service is lost, as in ipvsadm.
    fn persistence(
        &mut self,
        line: &Line<'_>,
        family: Family,
        origin: &Origin,
    ) -> Result<Option<Persistence>, Problem> {
        let mut netmask = Persistence::EVERY_CLIENT;
        if let Some(word) = line.value(Key::Netmask) {
            let service = [Key::Tcp, Key::Udp, Key::Mark, Key::Ipv6]
                .into_iter()
                .filter_map(|key| line.position(key))
                .max();
            if family == Family::Ipv6 && line.position(Key::Netmask) < service {
                self.warnings.push(Warning::NetmaskReset {
                    place: origin.to_string(),
                });
            } else {
                netmask = parse_netmask(family, word)?;
            }
        }
        if !line.has(Key::Persistent) {
            return Ok(None);
        }
        let timeout_s = match line.value(Key::Persistent) {
            None => DEFAULT_PERSISTENCE_S,
            Some(word) => text::number("persistent", word, 1, text::MAX_TIMEOUT_S)?,
        };
        Ok(Some(Persistence { timeout_s, netmask }))
    }
}

/// What a service has that is legal and not replayed, with its verb.
fn unreplayed(line: &Line<'_>, key: ServiceKey) -> Option<String> {
    if protocol_of(key) == Protocol::Sctp {
        Some("sctp is".to_owned())
    } else if let Some(name) = line.value(Key::Engine) {
        Some(format!("persistence engine `{name}` is"))
    } else if line.value(Key::Scheduler) == Some("none") {
        Some("a service without a scheduler is".to_owned())
    } else {
        None
    }
}

/// The service that a line names, and the word that names it.
fn service_key<'a>(line: &Line<'a>) -> Result<(ServiceKey, &'a str), Problem> {
    let given = [
        (Key::Tcp, Protocol::Tcp),
        (Key::Udp, Protocol::Udp),
        (Key::Sctp, Protocol::Sctp),
        (Key::Mark, Protocol::Tcp),
    ]
    .into_iter()
    .filter_map(|(key, protocol)| Some((key, protocol, line.value(key)?)))
    .collect::<Vec<_>>();
    let (key, protocol, word) = match given[..] {
        [one] => one,
        [] => {
            return Err(Problem::MissingOption {
                option: "service-address",
                command: line.command.name(),
            });
        }
        _ => {
            return Err(Problem::Twice {
                word: "service-address".to_owned(),
            });
        }
    };
    if line.position(Key::Ipv6) < line.position(Key::Mark) && line.has(Key::Ipv6) {
        return Err(Problem::Ipv6BeforeMark);
    }
    if key == Key::Mark {
        let family = if line.has(Key::Ipv6) {
            Family::Ipv6
        } else {
            Family::Ipv4
        };
        let mark = text::number("fwmark-service", word, 1, u32::MAX)?;
        return Ok((ServiceKey::Mark { family, mark }, word));
    }
    if line.has(Key::Ipv6) {
        return Err(Problem::Ipv6BeforeMark);
    }
    let (address, port) = endpoint(word, protocol)?;
    let port = port.unwrap_or(0);
    Ok((
        ServiceKey::Address {
            protocol,
            address,
            port,
        },
        word,
    ))
}

/// Protocol by which ports of the service are named.
fn protocol_of(key: ServiceKey) -> Protocol {
    match key {
        ServiceKey::Address { protocol, .. } => protocol,
        ServiceKey::Mark { .. } => Protocol::Tcp,
    }
}

/// Address and port, the port by number or name.
fn endpoint(word: &str, protocol: Protocol) -> Result<(Address, Option<u16>), Problem> {
    let (host, port) = text::split_endpoint(word)?;
    let address = text::address(host).map_err(|problem| match problem {
        Problem::NotAnAddress { .. } if is_host_name(host) => Problem::HostName {
            word: host.to_owned(),
        },
        Problem::NotAnAddress { .. } => Problem::NotAnAddress {
            word: word.to_owned(),
        },
        other => other,
    })?;
    let port = port.map(|word| named_port(word, protocol)).transpose()?;
    Ok((address, port))
}

fn named_port(word: &str, protocol: Protocol) -> Result<u16, Problem> {
    // Services of SCTP are left out, so its names need not be known.
    if protocol == Protocol::Sctp && !word.is_empty() {
        return Ok(text::port(word).unwrap_or(0));
    }
    if word.starts_with(|first: char| first.is_ascii_digit()) || word.is_empty() {
        return text::port(word);
    }
    names::port(word, protocol).ok_or_else(|| Problem::UnknownServiceName {
        word: word.to_owned(),
        protocol,
    })
}

fn is_host_name(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_alphabetic())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

fn parse_netmask(family: Family, word: &str) -> Result<u128, Problem> {
    let (netmask, family, forms) = match family {
        Family::Ipv4 => (text::dotted_mask(word), "IPv4", "255.255.255.0"),
        Family::Ipv6 => (
            text::prefix_mask(family, word),
            "IPv6",
            "a prefix length of 1 to 128",
        ),
    };
    netmask.ok_or_else(|| Problem::Mask {
        word: word.to_owned(),
        family,
        forms,
    })
}

fn forwarding(line: &Line<'_>) -> Result<ForwardingMethod, Problem> {
    let given = [
        (Key::Direct, ForwardingMethod::DirectRouting),
        (Key::Tunnel, ForwardingMethod::Tunneling),
        (Key::Masquerade, ForwardingMethod::Masquerading),
    ];
    let mut methods = given.into_iter().filter(|&(key, _)| line.has(key));
    let method = methods
        .next()
        .map_or(ForwardingMethod::DirectRouting, |(_, method)| method);
    match methods.next() {
        None => Ok(method),
        Some(_) => Err(Problem::Twice {
            word: "forwarding-method".to_owned(),
        }),
    }
}

/// Tunnel options change no decision; they are checked as ipvsadm checks them and dropped.
fn check_tunnel(line: &Line<'_>, method: ForwardingMethod) -> Result<(), Problem> {
    let conflict = |reason| Err(Problem::Tunnel { reason });
    let port = line.value(Key::TunnelPort);
    let checksums = [
        Key::TunnelNoChecksum,
        Key::TunnelChecksum,
        Key::TunnelRemoteChecksum,
    ];
    let checksums = checksums.into_iter().filter(|&key| line.has(key)).count();
    if let Some(word) = port {
        text::number("tun-port", word, 1, u16::MAX.into())?;
    }
    let kind = line.value(Key::TunnelType);
    if method != ForwardingMethod::Tunneling {
        if kind.is_some() || port.is_some() || checksums > 0 {
            return conflict("they need -i");
        }
        return Ok(());
    }
    if checksums > 1 {
        return conflict("one of --tun-nocsum, --tun-csum and --tun-remcsum");
    }
    match kind.unwrap_or("ipip") {
        "ipip" if port.is_some() || checksums > 0 => conflict("type ipip takes no others"),
        "gre" if port.is_some() || line.has(Key::TunnelRemoteChecksum) => {
            conflict("type gre takes neither --tun-port nor --tun-remcsum")
        }
        "gue" if port.is_none() => conflict("type gue needs --tun-port"),
        "ipip" | "gre" | "gue" => Ok(()),
        word => Err(Problem::UnknownWord {
            what: "tun-type",
            word: word.to_owned(),
            known: "ipip, gue, gre",
        }),
    }
}
