//! What a model says where its text is silent.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use super::{Arrivals, Clients, Count, Host, Http, Model, Mss, Path, Process, Service};
use crate::synth::distribution::Distribution;
use crate::synth::network::{Network4, Network6};
use crate::synth::number::{Amount, Exponent, Rate, Seconds, Share};

impl Default for Model {
    fn default() -> Self {
        Self {
            seed: 0,
            // 2026 begins.
            start_s: 1_767_225_600,
            duration_s: None,
            connections: None,
            max_bytes: 100_000_000_000,
            arrivals: Arrivals::default(),
            clients: Clients::default(),
            service: Service::default(),
            http: Http::default(),
            path: Path::default(),
            flood: None,
        }
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Self {
            rate: Rate::known(100.0),
            process: Process::Poisson,
            flash: None,
        }
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            count: Count::known(10_000),
            zipf: Exponent::known(1.0),
            network: Network4::CLIENTS,
            network6: Network6::CLIENTS,
            ipv6_share: Share::known(0.0),
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        let address6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        Self {
            address: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 80),
            address6: SocketAddrV6::new(address6, 80, 0, 0),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        let fixed = |amount| Distribution::Fixed(Amount::known(amount));
        Self {
            hosts: vec![Host::known("shop.example")],
            urls: Count::known(1_000),
            zipf: Exponent::known(1.0),
            requests: fixed(1.0),
            post_share: Share::known(0.0),
            post_bytes: fixed(1_000.0),
            body_bytes: fixed(1_000.0),
            service_s: fixed(0.005),
            think_s: fixed(1.0),
            linger_s: fixed(0.0),
            reset_share: Share::known(0.0),
        }
    }
}

impl Default for Path {
    fn default() -> Self {
        Self {
            rtt_s: Distribution::Fixed(Amount::known(0.03)),
            mss: Mss::known(1_460),
        }
    }
}

impl Default for Seconds {
    fn default() -> Self {
        Self::known(0.0)
    }
}

pub(super) fn flood_network() -> Network4 {
    Network4::FLOOD
}
