//! What must be true of a model as a whole, however it came about.

use std::net::SocketAddr;

use super::text::NO_HOST;
use super::{Model, Process};
use crate::synth::error::{SynthError, figures};

/// Times of a capture are 32-bit seconds.
const END_S: f64 = u32::MAX as f64;
/// So often a burst may begin or end: counted in seconds, not hours.
const SWITCHES: f64 = 1e9;

impl Model {
    /// Whether a capture can be made of it: it ends, in time and at a size that is allowed, and
    /// whoever is to be told apart can be.
    pub fn check(&self) -> Result<(), SynthError> {
        if self.duration_s.is_none() && self.connections.is_none() {
            return Err(SynthError::Endless);
        }
        if self.http.hosts.is_empty() {
            let what = format!("http.hosts is empty: {NO_HOST}");
            return Err(SynthError::Contradiction(what));
        }
        self.check_addresses()?;
        let end_s = f64::from(self.start_s) + self.expected_s();
        if end_s > END_S {
            return Err(SynthError::TooLong { end_s });
        }
        if let Process::Bursty { on_s, off_s } = self.arrivals.process {
            let switches = 2.0 * self.expected_s() / (on_s.get() + off_s.get());
            if switches > SWITCHES {
                return Err(SynthError::Contradiction(format!(
                    "bursts would begin and end {} times, and {SWITCHES:.0} are the most: make on_s or off_s longer",
                    figures(switches)
                )));
            }
        }
        let expected = self.expected_bytes();
        if expected > self.max_bytes as f64 {
            return Err(SynthError::TooLarge {
                expected,
                allowed: self.max_bytes,
            });
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), SynthError> {
        let contradiction = |what: String| Err(SynthError::Contradiction(what));
        let (clients, service) = (&self.clients, &self.service);
        let (own, own6) = (clients.network.get(), clients.network6.get());
        let flood = self.flood.map(|flood| flood.network.get());
        let ends: [(_, SocketAddr, _); 2] = [
            ("address", service.address.into(), [Some(own), flood]),
            ("address6", service.address6.into(), [Some(own6), None]),
        ];
        for (key, end, networks) in ends {
            let address = end.ip();
            if end.port() == 0 || address.is_unspecified() || address.is_multicast() {
                return contradiction(format!(
                    "service.{key} {end} is nothing to connect to: take a port from 1 and an address that a server can have"
                ));
            }
            let mut networks = networks.into_iter().flatten();
            if networks.any(|network| network.contains(address)) {
                return contradiction(format!(
                    "service.{key} {end} is in the network of its clients or of the flood: take another address or network"
                ));
            }
        }
        if flood.is_some_and(|flood| flood.overlaps(own)) {
            return contradiction(
                "flood.network and clients.network overlap: take networks that do not".to_owned(),
            );
        }
        Ok(())
    }

    /// How long connections begin, as is to be expected.
    fn expected_s(&self) -> f64 {
        let rate = self.arrivals.rate.get();
        let by_count = self.connections.map(|count| count as f64 / rate);
        let by_time = self.duration_s.map(super::Span::get);
        let own = by_count.into_iter().chain(by_time).reduce(f64::min);
        // A first burst may be a long time coming.
        let pause = match self.arrivals.process {
            Process::Bursty { off_s, .. } if self.duration_s.is_none() => off_s.get(),
            _ => 0.0,
        };
        let flood = self.flood.map(|flood| flood.at_s.get() + flood.for_s.get());
        (own.unwrap_or(0.0) + pause).max(flood.unwrap_or(0.0))
    }

    /// Connections, those of the flood not counted, as are to be expected.
    fn expected_connections(&self) -> f64 {
        let in_time = self.duration_s.map(|span| {
            let flash = self.arrivals.flash.map_or(0.0, |flash| {
                let slopes = f64::midpoint(flash.ramp_s.get(), flash.decay_s.get());
                (flash.hold_s.get() + slopes) * (flash.factor.get() - 1.0)
            });
            (span.get() + flash) * self.arrivals.rate.get()
        });
        let in_all = self.connections.map(|count| count as f64);
        let both = in_time.into_iter().chain(in_all);
        both.reduce(f64::min).unwrap_or(0.0)
    }

    /// Bytes of the capture, as are to be expected.
    fn expected_bytes(&self) -> f64 {
        // A record with its frame, without payload, and what the text of a message takes.
        const PACKET: f64 = 80.0;
        const HEAD: f64 = 150.0;
        let http = &self.http;
        let message = |bytes: f64| {
            // Every second segment is acknowledged by a packet.
            let segments = 1.0 + (HEAD + bytes) / f64::from(self.path.mss.get());
            HEAD + bytes + segments * 1.5 * PACKET
        };
        let post = http.post_share.get() * http.post_bytes.mean();
        let request = message(post) + message(http.body_bytes.mean());
        let connection = http.requests.mean().max(1.0) * request + 6.0 * PACKET;
        let flood = self.flood.map_or(0.0, |flood| {
            flood.rate.get() * flood.for_s.get() * 2.0 * PACKET
        });
        self.expected_connections() * connection + flood
    }
}
