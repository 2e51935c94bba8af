//! From a text to a model: what is wrong is told with its line and column.

use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Clients, Model};
use crate::synth::error::SynthError;
use crate::synth::network::{Network4, Network6};
use crate::synth::number::{Exponent, Share};
use crate::toml_text;

/// Each takes two bytes of memory.
const MOST_CLIENTS: u32 = 1 << 26;
/// What a capture takes before its first packet.
const LEAST_BYTES: u64 = 24;
/// What to do where there are none.
pub(super) const NO_HOST: &str = "name at least one host";

/// A number of things that is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Count(u32);

/// The most bytes of payload in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Mss(u16);

/// The name of a host as it stands in a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Host(String);

/// [`Clients`] before it is known whether their networks have room for them.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ClientKeys {
    count: Count,
    zipf: Exponent,
    network: Network4,
    network6: Network6,
    ipv6_share: Share,
}

impl Model {
    /// Reads a model; `name` is what messages call it.
    pub fn parse(name: &str, text: &str) -> Result<Self, SynthError> {
        toml::from_str(text).map_err(|error| {
            let (line, column) = toml_text::place(text, error.span());
            SynthError::Model {
                name: name.to_owned(),
                line,
                column,
                what: toml_text::one_line(error.message()),
            }
        })
    }
}

impl Count {
    pub(super) const fn known(count: u32) -> Self {
        Self(count)
    }

    /// The number itself.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Count {
    type Error = &'static str;

    fn try_from(count: u32) -> Result<Self, &'static str> {
        match count {
            0 => Err("none is too few: give a number from 1"),
            _ => Ok(Self(count)),
        }
    }
}

impl Mss {
    pub(super) const fn known(bytes: u16) -> Self {
        Self(bytes)
    }

    /// The number itself.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u32> for Mss {
    type Error = String;

    fn try_from(bytes: u32) -> Result<Self, String> {
        match u16::try_from(bytes) {
            // Linux takes no less; more is in no Ethernet frame.
            Ok(bytes @ 88..=8_940) => Ok(Self(bytes)),
            _ => Err(format!("mss is a number from 88 to 8940, not {bytes}")),
        }
    }
}

impl Host {
    pub(super) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name itself.
    pub fn get(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        if (1..=253).contains(&name.len()) && name.bytes().all(is_part) {
            Ok(Self(name))
        } else {
            Err(format!(
                "`{}` is no name of a host, such as shop.example",
                name.escape_debug()
            ))
        }
    }
}

pub(super) fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Host>, D::Error> {
    let hosts = Vec::deserialize(deserializer)?;
    if hosts.is_empty() {
        return Err(D::Error::custom(format!("hosts is empty: {NO_HOST}")));
    }
    Ok(hosts)
}

pub(super) fn most_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let bytes = u64::deserialize(deserializer)?;
    if bytes < LEAST_BYTES {
        return Err(D::Error::custom(format!(
            "max_bytes is a number from {LEAST_BYTES}, which the smallest capture has, not {bytes}"
        )));
    }
    Ok(bytes)
}

/// An address of one family with a port.
pub(super) fn endpoint<'de, D: Deserializer<'de>, T: FromStr>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "`{}` is no address with a port: address is like 10.0.0.1:80, address6 like [2001:db8::1]:80",
            text.escape_debug()
        ))
    })
}

impl Default for ClientKeys {
    fn default() -> Self {
        let Clients {
            count,
            zipf,
            network,
            network6,
            ipv6_share,
        } = Clients::default();
        Self {
            count,
            zipf,
            network,
            network6,
            ipv6_share,
        }
    }
}

impl TryFrom<ClientKeys> for Clients {
    type Error = String;

    fn try_from(keys: ClientKeys) -> Result<Self, String> {
        if keys.count.get() > MOST_CLIENTS {
            return Err(format!("clients are {MOST_CLIENTS} at most"));
        }
        let rooms = [
            ("network", keys.network.get()),
            ("network6", keys.network6.get()),
        ];
        for (key, network) in rooms {
            let (count, room) = (keys.count.get(), network.size());
            if u64::from(count) > room {
                return Err(format!(
                    "{count} clients are more than {key} has room for ({room}): take a shorter prefix or fewer clients"
                ));
            }
        }
        Ok(Self {
            count: keys.count,
            zipf: keys.zipf,
            network: keys.network,
            network6: keys.network6,
            ipv6_share: keys.ipv6_share,
        })
    }
}
