//! A model of traffic as users write it, in TOML. docs/synth.md describes the keys.

mod checks;
mod defaults;
mod text;

use std::net::{SocketAddrV4, SocketAddrV6};

use serde::Deserialize;

use super::distribution::Distribution;
use super::network::{Network4, Network6};
use super::number::{Exponent, Factor, Rate, Seconds, Share, Span};

pub use text::{Count, Host, Mss};

/// What traffic is like.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Everything random follows from it.
    pub seed: u64,
    /// Seconds since 1970 at which it begins.
    pub start_s: u32,
    /// For how long connections begin; the capture ends with the last of them.
    pub duration_s: Option<Span>,
    /// How many connections there are at most, those of the flood not counted.
    pub connections: Option<u64>,
    /// The most bytes that the capture may have.
    #[serde(deserialize_with = "text::most_bytes")]
    pub max_bytes: u64,
    /// When connections begin.
    pub arrivals: Arrivals,
    /// Who connects.
    pub clients: Clients,
    /// What is connected to.
    pub service: Service,
    /// What is asked for in a connection, and what comes back.
    pub http: Http,
    /// What is between client and service.
    pub path: Path,
    /// SYNs that nobody goes on with.
    pub flood: Option<Flood>,
}

/// When connections begin.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arrivals {
    /// Connections a second, on average and without the flash crowd.
    pub rate: Rate,
    /// How the rate changes.
    pub process: Process,
    /// A flash crowd.
    pub flash: Option<Flash>,
}

/// How the rate of arrivals changes. At a given rate they are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Process {
    /// Not at all.
    Poisson,
    /// All of them come in bursts: on and off in turn, each for an exponential time.
    Bursty {
        /// How long a burst lasts on average.
        on_s: Span,
        /// How long a pause lasts on average.
        off_s: Span,
    },
    /// As a sine.
    Diurnal {
        /// From one peak to the next.
        period_s: Span,
        /// How far it goes above and below the mean, as a share of that.
        amplitude: Share,
        /// When the first peak is.
        #[serde(default)]
        peak_s: Seconds,
    },
}

/// A flash crowd: the rate grows by a factor, stays, and falls back.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    /// When it begins.
    pub at_s: Seconds,
    /// How long the rate grows.
    pub ramp_s: Seconds,
    /// How long it stays.
    pub hold_s: Seconds,
    /// How long it falls.
    pub decay_s: Seconds,
    /// By how much.
    pub factor: Factor,
}

/// Who connects. Each client has an address of either family.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "text::ClientKeys")]
pub struct Clients {
    /// How many.
    pub count: Count,
    /// How unlike they are in how often they connect.
    pub zipf: Exponent,
    /// Where their IPv4 addresses are.
    pub network: Network4,
    /// Where their IPv6 addresses are.
    pub network6: Network6,
    /// Connections by IPv6.
    pub ipv6_share: Share,
}

/// What is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// By IPv4.
    #[serde(deserialize_with = "text::endpoint")]
    pub address: SocketAddrV4,
    /// By IPv6.
    #[serde(deserialize_with = "text::endpoint")]
    pub address6: SocketAddrV6,
}

/// HTTP/1.1: what is asked for in a connection, and what comes back.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Names of virtual hosts, at least one; the URLs are dealt out among them.
    #[serde(deserialize_with = "text::hosts")]
    pub hosts: Vec<Host>,
    /// How many URLs.
    pub urls: Count,
    /// How unlike they are in how often they are asked for.
    pub zipf: Exponent,
    /// Requests of a connection, rounded, at least one.
    pub requests: Distribution,
    /// Requests that bring something.
    pub post_share: Share,
    /// How much they bring.
    pub post_bytes: Distribution,
    /// How much is answered, headers not counted.
    pub body_bytes: Distribution,
    /// From a request to its answer.
    pub service_s: Distribution,
    /// From an answer to the next request.
    pub think_s: Distribution,
    /// From the last answer to the end of the connection.
    pub linger_s: Distribution,
    /// Connections that the client ends by a reset.
    pub reset_share: Share,
}

/// What is between client and service.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Path {
    /// From where the capture is taken, which is beside the service, to the client and back.
    pub rtt_s: Distribution,
    /// The most bytes of payload in a segment.
    pub mss: Mss,
}

/// SYNs from everywhere, answered, and never heard of again.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// SYNs a second.
    pub rate: Rate,
    /// When it begins.
    pub at_s: Seconds,
    /// How long it lasts.
    pub for_s: Span,
    /// Where they come from.
    #[serde(default = "defaults::flood_network")]
    pub network: Network4,
}
