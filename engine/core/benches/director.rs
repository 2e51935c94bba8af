//! What a run costs beside its policy: a million connections at once, each with eight packets
//! passed and its data told in sums, from SYN to expiry.
//!
//! Prints nanoseconds and bytes for a connection.

#![expect(
    clippy::disallowed_types,
    clippy::expect_used,
    reason = "a bench reads the clock, and ends where what it needs is not there"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use equipoise_core::batch::Kind;
use equipoise_core::{
    Address, Director, Fault, Flow, FlowId, ForwardingMethod, Load, Needs, Packet, Parameter,
    Policy, Protocol, Quiet, QuietSide, Scheduler, Scheduling, Server, ServerConfig, ServerId,
    ServiceConfig, ServiceIdentity, ServiceKey, Settings, Tag, TcpFlags, Timestamp,
};

const CONCURRENT: u64 = 1_000_000;
const STARTED: u64 = 3 * CONCURRENT;
const BATCH: usize = 4096;
const SERVERS: u32 = 16;
/// A connection's packets come at these times: SYN, SYN-ACK, ACK, one of data each way, its sums,
/// FIN, FIN, ACK.
const STEPS_MS: [u64; 9] = [0, 20, 40, 60, 80, 4_000, 4_020, 4_040, 4_060];
/// After the last packet an entry lingers for two minutes in TIME_WAIT.
const LIFE_MS: u64 = 124_060;
const VIP: Address = Address::v4(0x0a00_0001);

/// Counts bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe; this one only counts")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(in_use, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Servers in turn, packed.
struct Turns {
    servers: u32,
    next: u32,
}

impl Policy for Turns {
    fn start(
        &self,
        _: Timestamp,
        _: &ServiceIdentity,
        _: &[Parameter],
        _: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        Ok(Box::new(Self { ..*self }))
    }
}

impl Scheduler for Turns {
    fn needs(&self) -> Needs {
        Needs::empty()
    }

    fn set_servers(&mut self, servers: &[Server]) -> Result<(), Fault> {
        self.servers = servers.len() as u32;
        Ok(())
    }

    fn schedule(
        &mut self,
        _: Timestamp,
        _: &Flow,
        _: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        Ok(None)
    }

    fn batch_limit(&self) -> usize {
        1024
    }

    fn run(&mut self, _: &[u64], events: &[u32], answers: &mut Vec<u32>) -> Result<(), Fault> {
        for event in events {
            if Kind::of(*event).is_some_and(Kind::is_arrival) {
                answers.push(self.next);
                self.next = (self.next + 1) % self.servers;
            }
        }
        Ok(())
    }
}

fn main() {
    let mut director = director();
    let mut lives = Lives::default();
    let (mut created, mut freed) = (Vec::new(), Vec::new());
    let mut batch = Vec::new();
    let mut unused: Vec<u32> = (0..CONCURRENT as u32 * 11 / 10).rev().collect();
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let (mut most, mut spent, mut full_from) = (0, Duration::ZERO, 0);
    while lives.fill(&mut batch, &mut unused) {
        let begun = Instant::now();
        for event in &batch {
            match event {
                Event::Packet(now, flow, packet, tag) => {
                    director.packet_of_flow(*now, *flow, packet, *tag);
                }
                Event::Quiet(flow, sample, quiet) => {
                    director.quiet(*flow, sample, quiet);
                }
            }
        }
        director.take_flow_changes(&mut created, &mut freed);
        spent += begun.elapsed();
        created.clear();
        unused.extend(freed.drain(..).map(|FlowId(flow)| flow));
        most = most.max(director.connection_count());
        if full_from == 0 && lives.next[0] >= CONCURRENT {
            // The table is full: from here on slots are used again.
            (full_from, spent) = (lives.next[0], Duration::ZERO);
        }
    }
    let ns = spent.as_nanos() as u64 / (STARTED - full_from);
    let bytes = (PEAK.load(Relaxed) - before) / most;
    println!("{ns} ns per connection, {bytes} bytes per entry, {most} entries at most");
}

enum Event {
    Packet(Timestamp, FlowId, Packet, Tag),
    Quiet(FlowId, Packet, Quiet),
}

/// The steps of all lives, in the order of time.
#[derive(Default)]
struct Lives {
    /// For each step, the next life that takes it.
    next: [u64; STEPS_MS.len()],
    /// The flows of lives whose last step is still to come, by their numbers.
    flows: VecDeque<FlowId>,
}

impl Lives {
    /// The next packets; false where there are no more.
    fn fill(&mut self, batch: &mut Vec<Event>, unused: &mut Vec<u32>) -> bool {
        const LAST: usize = STEPS_MS.len() - 1;
        batch.clear();
        while batch.len() < BATCH && self.next[LAST] < STARTED {
            // Lives last LIFE_MS, so one begins every LIFE_MS / CONCURRENT.
            let at = |step: usize| {
                self.next[step] * LIFE_MS * 1_000_000 / CONCURRENT + STEPS_MS[step] * 1_000_000
            };
            let due = (0..=LAST).filter(|&step| self.next[step] < STARTED);
            let step = due.min_by_key(|&step| at(step)).unwrap_or(LAST);
            let (now, number) = (Timestamp(at(step)), self.next[step]);
            if step == 0 {
                let flow = unused.pop().expect("a flow that nobody holds");
                self.flows.push_back(FlowId(flow));
            }
            let flow = self.flows[(number - self.next[LAST]) as usize];
            self.next[step] += 1;
            if step == LAST {
                self.flows.pop_front();
            }
            batch.push(event(now, number, flow, step));
        }
        !batch.is_empty()
    }
}

fn event(now: Timestamp, number: u64, flow: FlowId, step: usize) -> Event {
    let request = Packet {
        source: Address::v4(0x1000_0000 + (number / 40_000) as u32),
        destination: VIP,
        source_port: 20_000 + (number % 40_000) as u16,
        destination_port: 80,
        protocol: Protocol::Tcp,
        flags: TcpFlags::ACK,
        length: 60,
        mark: 0,
    };
    let reply = Packet {
        source: request.destination,
        destination: request.source,
        source_port: request.destination_port,
        destination_port: request.source_port,
        ..request
    };
    let (packet, flags) = match step {
        0 => (request, TcpFlags::SYN),
        1 => (reply, TcpFlags::SYN | TcpFlags::ACK),
        2 | 3 | 8 => (request, TcpFlags::ACK),
        4 => (reply, TcpFlags::ACK),
        5 => {
            let side = QuietSide {
                packets: 10,
                bytes: 8_000,
                last: now,
            };
            let (low, high) = (side, side);
            // The virtual service has the lower address.
            return Event::Quiet(flow, reply, Quiet { low, high });
        }
        6 => (request, TcpFlags::FIN | TcpFlags::ACK),
        _ => (reply, TcpFlags::FIN | TcpFlags::ACK),
    };
    Event::Packet(now, flow, Packet { flags, ..packet }, Tag(number))
}

fn director() -> Director<()> {
    let settings = Settings {
        batching: true,
        ..Settings::default()
    };
    let mut director = Director::new(settings, ());
    let config = ServiceConfig {
        key: ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: VIP,
            port: 80,
        },
        persistence: None,
        one_packet: false,
    };
    let scheduling = Scheduling {
        policy: Arc::new(Turns {
            servers: 0,
            next: 0,
        }),
        parameters: Vec::new(),
        seed: 0,
        fallback: None,
    };
    let service = director.add_service(config, scheduling).expect("a service");
    for number in 0..SERVERS {
        let server = ServerConfig {
            address: Address::v4(0x0a01_0000 + number),
            port: 80,
            weight: 1,
            method: ForwardingMethod::Masquerading,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        director.add_server(service, server).expect("a server");
    }
    director
}
