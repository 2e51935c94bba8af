//! Captures from a model: who connects when, and what each connection carries.
//!
//! The same model makes the same bytes on every machine. Memory follows the connections that are
//! open at a time, and the number of clients. Knows nothing of IPVS, and replays nothing.

mod arrivals;
mod chance;
mod clients;
mod connection;
mod distribution;
mod error;
#[cfg(test)]
mod fit;
mod frames;
mod http;
mod model;
mod network;
mod number;
mod presets;
mod scripts;
mod zipf;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::Write;
use std::ops::ControlFlow;

pub use connection::Tally;
pub use distribution::{Distribution, Exponential, Lognormal, Pareto, Uniform};
pub use error::SynthError;
pub use model::{
    Arrivals, Clients, Count, Flash, Flood, Host, Http, Model, Mss, Path, Process, Service,
};
pub use network::{Network4, Network6};
pub use number::{
    Amount, Exponent, Factor, OutOfRange, Positive, Rate, Seconds, Shape, Share, Sigma, Span,
};
pub use presets::{PRESETS, Preset};

use arrivals::Times;
use chance::{Purpose, whole};
use clients::Strangers;
use connection::Connection;
use frames::Frames;
use scripts::Scripts;

/// How far the writing has come, and in the end what was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Written {
    /// What happened.
    pub tally: Tally,
    /// Packets of the capture.
    pub packets: u64,
    /// Bytes of the capture.
    pub bytes: u64,
    /// Nanoseconds from the beginning of the model to the last packet.
    pub last_ns: u64,
    /// Part of what is to come, from 0 to 1, as is to be expected.
    pub part: f64,
}

/// Writes the capture that a model makes. `watch` hears of it now and then and may break it off;
/// what was written by then is no whole capture.
pub fn write<W: Write>(
    model: &Model,
    out: W,
    watch: &mut dyn FnMut(&Written) -> ControlFlow<()>,
) -> Result<Written, SynthError> {
    model.check()?;
    Synthesis::new(model, out).run(watch)
}

struct Synthesis<'a, W> {
    model: &'a Model,
    arrivals: Beginnings,
    flood: Beginnings,
    clients: clients::Clients,
    strangers: Option<Strangers>,
    scripts: Scripts,
    connections: Vec<Connection>,
    /// Places of connections that are over.
    free: Vec<u32>,
    /// When each connection goes on, and its place.
    due: BinaryHeap<Reverse<(u64, u32)>>,
    tally: Tally,
    frames: Frames<W>,
}

/// When connections begin, up to an end.
struct Beginnings {
    times: Option<Times>,
    from_s: f64,
    until_s: f64,
    left: u64,
    /// `u64::MAX` when there are no more.
    next_ns: u64,
}

impl<'a, W: Write> Synthesis<'a, W> {
    fn new(model: &'a Model, out: W) -> Self {
        let (seed, service) = (model.seed, &model.service);
        let services = [
            frames::service((*service.address.ip()).into(), service.address.port()),
            frames::service((*service.address6.ip()).into(), service.address6.port()),
        ];
        let mss = model.path.mss.get();
        Self {
            arrivals: Beginnings::of_connections(model),
            flood: Beginnings::of_flood(model),
            clients: clients::Clients::new(model.clients, seed),
            strangers: model.flood.map(|flood| Strangers::new(&flood, seed)),
            scripts: Scripts::new(model.http.clone(), model.path, seed),
            connections: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            tally: Tally::default(),
            frames: Frames::new(out, model.start_s, services, mss, model.max_bytes),
            model,
        }
    }

    fn run(
        mut self,
        watch: &mut dyn FnMut(&Written) -> ControlFlow<()>,
    ) -> Result<Written, SynthError> {
        let mut now = 0;
        loop {
            let begins = self.arrivals.next_ns.min(self.flood.next_ns);
            let Some(mut first) = self.due.peek_mut().filter(|due| due.0.0 <= begins) else {
                if begins == u64::MAX {
                    break;
                }
                self.begin(begins)?;
                continue;
            };
            let Reverse((at, place)) = *first;
            now = at;
            let connection = &mut self.connections[place as usize];
            let (scripts, tally) = (&mut self.scripts, &mut self.tally);
            let next = connection.step(now, scripts, tally, &mut self.frames)?;
            if let Some(next) = next {
                first.0.0 = next;
                drop(first);
            } else {
                PeekMut::pop(first);
                self.free.push(place);
                if let Some(rank) = connection.rank {
                    self.clients.is_over(rank, &connection.client);
                }
            }
            if self.frames.are_gone() && watch(&self.written(now)).is_break() {
                return Err(SynthError::Interrupted);
            }
        }
        self.frames.flush()?;
        Ok(Written {
            part: 1.0,
            ..self.written(now)
        })
    }

    /// Begins whatever begins now.
    fn begin(&mut self, now: u64) -> Result<(), SynthError> {
        let connection = if self.arrivals.next_ns == now {
            self.arrivals.go_on();
            let (rank, client) = self.clients.next(now as f64 / 1e9)?;
            self.tally.connections += 1;
            self.tally.ipv6_connections += u64::from(client.is_v6);
            Connection::new(client, Some(rank), &mut self.scripts)
        } else {
            self.flood.go_on();
            let Some(strangers) = &mut self.strangers else {
                return Ok(());
            };
            self.tally.flood += 1;
            Connection::new(strangers.next(), None, &mut self.scripts)
        };
        let place = if let Some(place) = self.free.pop() {
            self.connections[place as usize] = connection;
            place
        } else {
            self.connections.push(connection);
            self.connections.len() as u32 - 1
        };
        self.due.push(Reverse((now, place)));
        Ok(())
    }

    fn written(&self, now: u64) -> Written {
        let by_count = self.model.connections.map_or(0.0, |count| {
            self.tally.connections as f64 / count.max(1) as f64
        });
        let by_time = self
            .model
            .duration_s
            .map_or(0.0, |span| now as f64 / 1e9 / span.get());
        Written {
            tally: self.tally,
            packets: self.frames.packets,
            bytes: self.frames.bytes,
            last_ns: now,
            part: by_count.max(by_time).min(1.0),
        }
    }
}

impl Beginnings {
    fn of_connections(model: &Model) -> Self {
        let times = Times::new(&model.arrivals, model.seed, Purpose::Arrivals);
        let until_s = model.duration_s.map_or(f64::INFINITY, Span::get);
        Self::new(
            Some(times),
            0.0,
            until_s,
            model.connections.unwrap_or(u64::MAX),
        )
    }

    fn of_flood(model: &Model) -> Self {
        let Some(flood) = model.flood else {
            return Self::new(None, 0.0, 0.0, 0);
        };
        let arrivals = Arrivals {
            rate: flood.rate,
            process: Process::Poisson,
            flash: None,
        };
        let times = Times::new(&arrivals, model.seed, Purpose::Flood);
        Self::new(Some(times), flood.at_s.get(), flood.for_s.get(), u64::MAX)
    }

    fn new(times: Option<Times>, from_s: f64, until_s: f64, left: u64) -> Self {
        let mut this = Self {
            times,
            from_s,
            until_s,
            left,
            next_ns: u64::MAX,
        };
        this.go_on();
        this
    }

    fn go_on(&mut self) {
        self.next_ns = u64::MAX;
        if let Some(times) = self.times.as_mut().filter(|_| self.left > 0) {
            self.left -= 1;
            let next = times.next();
            if next < self.until_s {
                self.next_ns = whole((self.from_s + next) * 1e9);
            } else {
                self.left = 0;
            }
        }
    }
}
