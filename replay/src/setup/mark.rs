//! `--mark`: which packets bear which firewall mark.
//!
//! The rules work like iptables' MARK target in their order: every packet passes all of them,
//! and a later match overwrites the mark of an earlier one.

use std::fmt;

use equipoise_core::{Address, Family, Persistence, Protocol};

use super::{Problem, text};

/// The form of the option.
pub(crate) const FORM: &str = "N=PROTO:ADDR[/LEN]:PORTS (7=tcp:10.0.0.1:80,443 7=udp:[2001:db8::]/64:8000-8100 8=tcp:10.0.0.0/8:*)";

/// One `--mark`: packets to these destinations bear this mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkRule {
    /// The mark, not 0.
    pub mark: u32,
    /// Protocol of the packets.
    pub protocol: Protocol,
    /// Destination address, host bits cleared.
    pub network: Address,
    /// Bits of `network` that count, within its family.
    pub prefix: u8,
    /// Destination ports, first and last included.
    pub ports: Vec<(u16, u16)>,
}

/// `7=tcp:10.0.0.0/28:80,443`, as `--mark` takes it.
impl fmt::Display for MarkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mark,
            protocol,
            network,
            prefix,
            ..
        } = self;
        if network.is_v4() {
            write!(f, "{mark}={protocol}:{network}/{prefix}:")?;
        } else {
            write!(f, "{mark}={protocol}:[{network}]/{prefix}:")?;
        }
        if self.ports == [(0, u16::MAX)] {
            return f.write_str("*");
        }
        for (place, (first, last)) in self.ports.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl MarkRule {
    /// Reads `N=PROTO:ADDR[/LEN]:PORTS`. N is decimal or `0x…`; PORTS is `*` or a comma list of
    /// ports and ranges; bits of ADDR beyond LEN are ignored, as iptables does.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let form = || Problem::Form { form: FORM };
        let (mark, rest) = text.split_once('=').ok_or_else(form)?;
        let (protocol, rest) = rest.split_once(':').ok_or_else(form)?;
        let (network, ports) = rest.rsplit_once(':').ok_or_else(form)?;
        let mark = parse_mark(mark)?;
        let protocol = text::protocol(protocol)?;
        let (address, length) = match network.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (network, None),
        };
        let address = match address.strip_prefix('[').and_then(|a| a.strip_suffix(']')) {
            Some(bare) => bare,
            // Without brackets the last group and the port cannot be told apart.
            None if length.is_none() && address.contains(':') => return Err(form()),
            None => address,
        };
        let address = text::address(address)?;
        let longest: u8 = if address.is_v4() { 32 } else { 128 };
        let prefix = match length {
            None => longest,
            Some(word) => text::number("prefix length", word, 0, longest.into())? as u8,
        };
        Ok(Self {
            mark,
            protocol,
            network: Address(address.0 & mask(address, prefix)),
            prefix,
            ports: parse_ports(ports)?,
        })
    }

    /// Family of the packets.
    pub const fn family(&self) -> Family {
        if self.network.is_v4() {
            Family::Ipv4
        } else {
            Family::Ipv6
        }
    }
}

/// All `--mark` options, ready to be asked once per packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkRules {
    rules: Vec<MarkRule>,
    /// One entry for each port range, the last rule first.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    mask: u128,
    value: u128,
    first: u16,
    last: u16,
    protocol: Protocol,
    family: Family,
    mark: u32,
}

impl MarkRules {
    /// Rules in the order of the options.
    pub fn new(rules: Vec<MarkRule>) -> Self {
        let entries = rules.iter().rev().flat_map(entries_of).collect();
        Self { rules, entries }
    }

    /// The rules in the order of the options.
    pub fn rules(&self) -> &[MarkRule] {
        &self.rules
    }

    /// Whether no packet is ever marked.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The mark of a packet to this destination: that of the last rule that matches, 0 without
    /// one.
    #[inline]
    pub fn mark(&self, protocol: Protocol, destination: Address, port: u16) -> u32 {
        self.entries
            .iter()
            .find(|entry| entry.matches(protocol, destination, port))
            .map_or(0, |entry| entry.mark)
    }
}

impl Entry {
    #[inline]
    fn matches(&self, protocol: Protocol, destination: Address, port: u16) -> bool {
        destination.0 & self.mask == self.value
            && (self.first..=self.last).contains(&port)
            && self.protocol == protocol
            // `::/0` would else take IPv4 packets too.
            && (self.family == Family::Ipv4) == destination.is_v4()
    }
}

fn entries_of(rule: &MarkRule) -> impl Iterator<Item = Entry> {
    let mask = mask(rule.network, rule.prefix);
    rule.ports.iter().map(move |&(first, last)| Entry {
        mask,
        value: rule.network.0 & mask,
        first,
        last,
        protocol: rule.protocol,
        family: rule.family(),
        mark: rule.mark,
    })
}

/// Ones for the first `prefix` bits, counted within the address's family.
fn mask(address: Address, prefix: u8) -> u128 {
    Persistence::ipv6_prefix(if address.is_v4() { 96 + prefix } else { prefix })
}

fn parse_mark(word: &str) -> Result<u32, Problem> {
    match word.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u32::from_str_radix(hex, 16)
                .ok()
                .filter(|&mark| mark != 0)
                .ok_or_else(|| Problem::OutOfRange {
                    what: "mark",
                    word: word.to_owned(),
                    minimum: 1,
                    maximum: u32::MAX.into(),
                })
        }
        _ => text::number("mark", word, 1, u32::MAX),
    }
}

fn parse_ports(text: &str) -> Result<Vec<(u16, u16)>, Problem> {
    if text == "*" {
        return Ok(vec![(0, u16::MAX)]);
    }
    text.split(',').map(parse_range).collect()
}

fn parse_range(text: &str) -> Result<(u16, u16), Problem> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (text::port(first)?, text::port(last)?);
    if first > last {
        return Err(Problem::OutOfRange {
            what: "last port of a range",
            word: last.to_string(),
            minimum: first.into(),
            maximum: u16::MAX.into(),
        });
    }
    Ok((first, last))
}
