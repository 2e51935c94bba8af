//! What a decision costs: native twin and component, typed and packed, in one run.
//!
//! `cargo bench -p equipoise-wasm`. Whole connections with all their events: arrive active, became
//! inactive, gone. Medians; ratios are taken within one run, absolute figures are the machine's.
#![expect(clippy::unwrap_used, reason = "a failed step fails the bench")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use std::{env, fs};

use equipoise_core::batch::{Kind, LOCAL, NO_DESTINATION, PLACE_MASK};
use equipoise_core::{
    Address, Family, Flow, Load, Needs, Policy, Protocol, Scheduler, Server, ServerId,
    ServiceIdentity, Timestamp,
};
use equipoise_schedulers::registry;
use equipoise_wasm::{CodeCache, ComponentPolicy, Engine, Limits};

const BATCH: usize = 1024;
const ROUNDS: usize = 201;
const SERVICE: ServiceIdentity = ServiceIdentity {
    family: Family::Ipv4,
    address: Address::v4(0x0a00_0001),
    port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};
const FLOW: Flow = Flow {
    client: Address::v4(0xc000_0201),
    client_port: 40_000,
    destination: Address::v4(0x0a00_0001),
    destination_port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};

fn main() {
    let engine = Engine::new(Limits::default()).unwrap();
    println!("ns per connection, batches of {BATCH} events (median of {ROUNDS})");
    println!(
        "{:>6} {:>7} {:>11} {:>11} {:>11} {:>11} | {:>15} {:>15}",
        "policy",
        "servers",
        "native each",
        "native run",
        "typed",
        "batch",
        "batch/each",
        "batch/run"
    );
    for name in ["rr", "wlc"] {
        let component = ComponentPolicy::load(&engine, &bytes(name), name).unwrap();
        let native = registry::find(name).unwrap().native;
        for count in [4, 16, 64, 256] {
            table_row(name, native, &component, count);
        }
    }
    println!();
    for name in ["rr", "wlc"] {
        decisions_alone(&engine, name);
    }
    println!();
    for name in ["rr", "wlc"] {
        loading(&engine, name);
    }
}

fn table_row(name: &str, native: &'static dyn Policy, component: &ComponentPolicy, count: u32) {
    let events = interleaved();
    let connections = events.iter().filter(|event| arrives(**event)).count();
    // All ways within each round, so that whatever slows the machine slows all of them.
    let mut ways = [
        one_by_one(native, count, events.clone()),
        packed(native, count, events.clone()),
        Typed::new(component, count).into_way(events.clone()),
        packed(component, count, events),
    ];
    let [each, run, typed, batch] = medians(&mut ways).map(|ns| ns / connections as f64);
    println!(
        "{name:>6} {count:>7} {each:>11.1} {run:>11.1} {typed:>11.1} {batch:>11.1} | {:>15.2} {:>15.2}",
        batch / each,
        batch / run
    );
}

/// The decision without its connection's events: arrivals only, in batches, and typed calls with
/// nothing and with four servers changed.
fn decisions_alone(engine: &Engine, name: &str) {
    let component = ComponentPolicy::load(engine, &bytes(name), name).unwrap();
    let native = registry::find(name).unwrap().native;
    let arrivals = vec![Kind::ArriveOnePacket.word(0); BATCH];
    let typed = |changed: usize| -> Way {
        let mut scheduler = started(&component, 16);
        let loads: Vec<Load> = (0..changed as u32).map(|id| load(id * 4, 1, 0)).collect();
        Box::new(move || {
            let changed = (!loads.is_empty()).then_some(loads.as_slice());
            for _ in 0..BATCH {
                black_box(
                    scheduler
                        .schedule(Timestamp(1_000), &FLOW, changed)
                        .unwrap(),
                );
            }
        })
    };
    let mut ways = [
        packed(native, 16, arrivals.clone()),
        packed(&component, 16, arrivals),
        typed(0),
        typed(4),
    ];
    let [run, batch, nothing, four] = medians(&mut ways).map(|ns| ns / BATCH as f64);
    println!(
        "{name}, 16 servers, ns per decision: native run {run:.1}, batch {batch:.1}, \
         typed with nothing changed {nothing:.0}, with four servers changed {four:.0}"
    );
}

fn loading(engine: &Engine, name: &str) {
    let bytes = bytes(name);
    let folder = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(&folder.path().join("code")).unwrap();
    ComponentPolicy::load_cached(engine, &cache, &bytes, name).unwrap();
    let milliseconds = |rounds: usize, load: &dyn Fn()| {
        let mut samples: Vec<f64> = (0..rounds).map(|_| nanoseconds(load)).collect();
        median(&mut samples) / 1e6
    };
    let compiled = milliseconds(15, &|| {
        black_box(ComponentPolicy::load(engine, &bytes, name).unwrap());
    });
    let cached = milliseconds(101, &|| {
        black_box(ComponentPolicy::load_cached(engine, &cache, &bytes, name).unwrap());
    });
    println!(
        "{name}, {} bytes: loaded from bytes in {compiled:.1} ms, from cached code in {cached:.3} ms",
        bytes.len()
    );
}

type Way = Box<dyn FnMut()>;

fn medians<const N: usize>(ways: &mut [Way; N]) -> [f64; N] {
    let mut samples = [const { Vec::new() }; N];
    for round in 0..ROUNDS + 20 {
        for (way, samples) in ways.iter_mut().zip(&mut samples) {
            let ns = nanoseconds(way);
            if round >= 20 {
                samples.push(ns);
            }
        }
    }
    samples.map(|mut samples| median(&mut samples))
}

fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// A batch of whole connections, about a hundred open at a time: arrive active, became inactive,
/// gone. All of its places are local.
fn interleaved() -> Vec<u32> {
    const OPEN: u32 = 100;
    // Whole blocks of eight, which the exchange below stays within: every connection ends.
    let connections = (BATCH / 3 / 8 * 8) as u32;
    let mut events = Vec::new();
    for step in 0..connections + 2 * OPEN {
        if step < connections {
            events.push(Kind::ArriveActive.word(0));
        }
        for (kind, age) in [(Kind::BecameInactive, OPEN), (Kind::GoneInactive, 2 * OPEN)] {
            // Not all live equally long.
            let number = step.wrapping_sub(age) ^ 5;
            if number < connections && step >= age {
                events.push(kind.word(LOCAL | number));
            }
        }
    }
    events
}

/// Each event in a call of its own.
fn one_by_one(policy: &dyn Policy, count: u32, events: Vec<u32>) -> Way {
    let mut scheduler = started(policy, count);
    let mut answers = Vec::new();
    Box::new(move || {
        answers.clear();
        for &event in black_box(&events) {
            let event = match event & LOCAL {
                0 => event,
                _ => (event & !(LOCAL | PLACE_MASK)) | answers[(event & PLACE_MASK) as usize],
            };
            scheduler.run(&[], &[event], &mut answers).unwrap();
        }
        black_box(&answers);
    })
}

fn packed(policy: &dyn Policy, count: u32, events: Vec<u32>) -> Way {
    let mut scheduler = started(policy, count);
    let mut answers = Vec::new();
    Box::new(move || {
        answers.clear();
        scheduler
            .run(&[], black_box(&events), &mut answers)
            .unwrap();
        black_box(&answers);
    })
}

/// A host that calls for each arrival, with the counters that the events since the last one moved.
struct Typed {
    scheduler: Box<dyn Scheduler>,
    loads: Vec<Load>,
    is_changed: Vec<bool>,
    changed: Vec<Load>,
    dirty: Vec<u32>,
    answers: Vec<u32>,
    reads_loads: bool,
}

impl Typed {
    fn new(policy: &dyn Policy, count: u32) -> Self {
        let scheduler = started(policy, count);
        Self {
            reads_loads: scheduler.needs().contains(Needs::LOADS),
            scheduler,
            loads: (0..count).map(|id| load(id, 0, 0)).collect(),
            is_changed: vec![false; count as usize],
            changed: Vec::new(),
            dirty: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn into_way(mut self, events: Vec<u32>) -> Way {
        Box::new(move || self.live(black_box(&events)))
    }

    fn live(&mut self, events: &[u32]) {
        self.answers.clear();
        for &event in events {
            match Kind::of(event) {
                Some(Kind::ArriveActive) => {
                    let server = self.decide();
                    self.answers.push(server);
                    self.count(server, 1, 0);
                }
                Some(Kind::BecameInactive) => self.count(self.server_of(event), u32::MAX, 1),
                Some(Kind::GoneInactive) => self.count(self.server_of(event), 0, u32::MAX),
                _ => unreachable!("the bench sends no others"),
            }
        }
        black_box(&self.answers);
    }

    fn decide(&mut self) -> u32 {
        self.changed.clear();
        for id in self.dirty.drain(..) {
            self.is_changed[id as usize] = false;
            self.changed.push(self.loads[id as usize]);
        }
        let changed = (!self.changed.is_empty()).then_some(self.changed.as_slice());
        let decision = self
            .scheduler
            .schedule(Timestamp(0), &FLOW, changed)
            .unwrap();
        decision.map_or(NO_DESTINATION, |id| id.0)
    }

    fn server_of(&self, event: u32) -> u32 {
        self.answers[(event & PLACE_MASK) as usize]
    }

    fn count(&mut self, server: u32, active: u32, inactive: u32) {
        let load = &mut self.loads[server as usize];
        load.active = load.active.wrapping_add(active);
        load.inactive = load.inactive.wrapping_add(inactive);
        if self.reads_loads && !self.is_changed[server as usize] {
            self.is_changed[server as usize] = true;
            self.dirty.push(server);
        }
    }
}

fn started(policy: &dyn Policy, count: u32) -> Box<dyn Scheduler> {
    let server = |id| Server {
        id: ServerId(id),
        address: Address::v4(0x0a00_0100 + id),
        port: 80,
        weight: 1 + id % 4,
        active: 0,
        inactive: 0,
        status: 0,
    };
    let servers: Vec<Server> = (0..count).map(server).collect();
    let mut scheduler = policy.start(Timestamp(0), &SERVICE, &[], 1).unwrap();
    scheduler.set_servers(&servers).unwrap();
    scheduler
}

fn load(id: u32, active: u32, inactive: u32) -> Load {
    Load {
        server: ServerId(id),
        active,
        inactive,
        status: 0,
        latency_us: 0,
    }
}

fn arrives(event: u32) -> bool {
    Kind::of(event).is_some_and(Kind::is_arrival)
}

fn bytes(name: &str) -> Vec<u8> {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schedulers/components");
    let path = components.join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
