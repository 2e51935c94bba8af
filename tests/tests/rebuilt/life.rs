//! Drives several policies through the same random life of a virtual service, by both interfaces,
//! and compares their decisions.
//!
//! The reference's typed decisions lead: connections follow them, and every other instance must
//! give the same.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use equipoise_core::batch::{Kind, LOCAL, NO_DESTINATION, push_keys};
use equipoise_core::{
    Address, Family, Flow, Load, Needs, Parameter, Policy, Protocol, Request, STATUS_OVERLOADED,
    Scheduler, Server, ServerId, ServiceIdentity, Timestamp,
};

const SERVICE: ServiceIdentity = ServiceIdentity {
    family: Family::Ipv4,
    address: Address::v4(0x0a00_0001),
    port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};
const SERVERS_MAX: u32 = 40;
/// Its beginnings are what clients ask for.
const TARGET: &[u8] = b"/catalogue/item?colour=blue";
const BATCH_MAX: usize = 300;

/// Takes `steps` random steps; gives the number of decisions compared.
pub(crate) fn alike(
    reference: &dyn Policy,
    others: &[(&str, &dyn Policy)],
    parameters: &[Parameter],
    seed: u64,
    steps: usize,
) -> Result<usize> {
    let start = |policy: &dyn Policy| policy.start(Timestamp(0), &SERVICE, parameters, seed);
    let leader = start(reference)?;
    // Those that read requests may keep something for each unit of weight.
    let heaviest = if reference.reads_requests() { 20 } else { 1000 };
    let mut life = Life::new(leader.needs(), seed, heaviest);
    let mut instances = vec![Instance::typed("the native twin", leader)];
    for (name, policy) in [("the native twin", reference)].iter().chain(others) {
        let typed = start(*policy)?;
        ensure!(typed.needs() == life.needs, "{name} needs something else");
        if typed.batch_limit() > 0 {
            instances.push(Instance::packed(name, start(*policy)?));
        }
        instances.push(Instance::typed(name, typed));
    }
    life.bind(&mut instances)?;
    for _ in 0..steps {
        life.step(&mut instances)?;
    }
    life.flush(&mut instances)?;
    Ok(life.decisions * (instances.len() - 1))
}

struct Instance {
    name: String,
    scheduler: Box<dyn Scheduler>,
    packed: bool,
}

impl Instance {
    fn typed(name: &str, scheduler: Box<dyn Scheduler>) -> Self {
        Self {
            name: format!("{name}, typed"),
            scheduler,
            packed: false,
        }
    }

    fn packed(name: &str, scheduler: Box<dyn Scheduler>) -> Self {
        Self {
            name: format!("{name}, packed"),
            scheduler,
            packed: true,
        }
    }
}

/// The service as a host keeps it, and the batch that is being filled.
struct Life {
    needs: Needs,
    random: Random,
    now: Timestamp,
    /// Newest first.
    servers: Vec<Server>,
    connections: Vec<Connection>,
    changed: BTreeSet<ServerId>,
    keys: Vec<u64>,
    events: Vec<u32>,
    answers: Vec<u32>,
    batch: usize,
    decisions: usize,
    heaviest: u32,
}

#[derive(Clone, Copy)]
struct Connection {
    server: ServerId,
    active: bool,
    /// The batch that it arrived in, and its number there.
    arrival: (usize, u32),
}

impl Life {
    fn new(needs: Needs, seed: u64, heaviest: u32) -> Self {
        Self {
            needs,
            random: Random(seed),
            now: Timestamp(0),
            servers: Vec::new(),
            connections: Vec::new(),
            changed: BTreeSet::new(),
            keys: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            batch: 0,
            decisions: 0,
            heaviest,
        }
    }

    fn step(&mut self, instances: &mut [Instance]) -> Result<()> {
        match self.random.below(1000) {
            0..150 => self.arrive(Kind::ArriveActive, instances)?,
            150..300 => self.arrive(Kind::ArriveInactive, instances)?,
            300..450 => self.arrive(Kind::ArriveOnePacket, instances)?,
            450..650 => self.change_state(),
            650..850 => self.end(),
            850..960 => self.flip_overload(),
            960..975 => self.pass_time(),
            975..985 => self.add(instances)?,
            985..995 => self.edit(instances)?,
            _ => self.delete(instances)?,
        }
        if self.answers.len() >= BATCH_MAX {
            self.flush(instances)?;
        }
        Ok(())
    }

    fn arrive(&mut self, kind: Kind, instances: &mut [Instance]) -> Result<()> {
        let flow = Flow {
            client: Address::v4(0xc000_0200 + self.random.below(200)),
            client_port: 1024 + self.random.below(5000) as u16,
            destination: Address::v4(0x0a00_0001 + self.random.below(50)),
            destination_port: 80,
            protocol: Protocol::Tcp,
            mark: self.random.below(3),
        };
        let changed: Vec<Load> = self
            .changed
            .iter()
            .filter_map(|id| self.load(*id))
            .collect();
        self.changed.clear();
        let changed = (!changed.is_empty()).then_some(changed.as_slice());
        let asked = self.random.below(1000).to_string();
        let request = self.request(&asked);
        let mut decision = None;
        for instance in instances.iter_mut().filter(|instance| !instance.packed) {
            let scheduler = &mut instance.scheduler;
            let answer = scheduler.schedule_request(self.now, &flow, request.as_ref(), changed)?;
            let expected = *decision.get_or_insert(answer);
            ensure!(
                answer == expected,
                "{} answers decision {} with {answer:?} instead of {expected:?}",
                instance.name,
                self.decisions
            );
        }
        self.decisions += 1;
        let number = self.answers.len() as u32;
        push_keys(&mut self.keys, self.needs, &flow);
        self.events.push(kind.word(flow.protocol as u32));
        let server = decision.flatten();
        self.answers.push(
            server
                .and_then(|id| self.place(id))
                .unwrap_or(NO_DESTINATION),
        );
        let Some(server) = server else { return Ok(()) };
        if kind != Kind::ArriveOnePacket {
            let active = kind == Kind::ArriveActive;
            self.connections.push(Connection {
                server,
                active,
                arrival: (self.batch, number),
            });
            self.count(server, |server| *counter(server, active) += 1);
        }
        Ok(())
    }

    /// What a client may ask for first, if anything.
    fn request<'a>(&mut self, asked: &'a str) -> Option<Request<'a>> {
        let bytes = asked.as_bytes();
        match self.random.below(10) {
            0 => None,
            1 => Some(Request::Tls {
                server_name: Some(bytes).filter(|_| self.random.below(2) == 0),
                protocols: &[],
            }),
            2 => Some(Request::Quic {
                version: 1,
                destination_id: bytes,
            }),
            3 => Some(Request::Http {
                method: "OPTIONS",
                target: b"*",
                host: None,
            }),
            _ => Some(Request::Http {
                method: "GET",
                target: &TARGET[..=self.random.below(TARGET.len() as u32) as usize],
                host: Some(bytes),
            }),
        }
    }

    fn change_state(&mut self) {
        let Some(index) = self.random.index(self.connections.len()) else {
            return;
        };
        let active = !self.connections[index].active;
        self.connections[index].active = active;
        let kind = if active {
            Kind::BecameActive
        } else {
            Kind::BecameInactive
        };
        self.say(kind, index);
        self.count(self.connections[index].server, |server| {
            *counter(server, active) += 1;
            *counter(server, !active) -= 1;
        });
    }

    fn end(&mut self) {
        let Some(index) = self.random.index(self.connections.len()) else {
            return;
        };
        let active = self.connections[index].active;
        self.say(
            if active {
                Kind::GoneActive
            } else {
                Kind::GoneInactive
            },
            index,
        );
        let connection = self.connections.swap_remove(index);
        self.count(connection.server, |server| *counter(server, active) -= 1);
    }

    fn flip_overload(&mut self) {
        let Some(index) = self.random.index(self.servers.len()) else {
            return;
        };
        let server = &mut self.servers[index];
        // Mostly available, so that decisions do not dry up.
        let was = server.status & STATUS_OVERLOADED != 0;
        if !was && self.random.below(3) > 0 {
            return;
        }
        server.status ^= STATUS_OVERLOADED;
        self.changed.insert(server.id);
        let kind = if was {
            Kind::Available
        } else {
            Kind::Overloaded
        };
        self.events.push(kind.word(index as u32));
    }

    fn pass_time(&mut self) {
        let seconds = self.random.below(200);
        self.now = self.now.plus_seconds(seconds);
        if self.needs.contains(Needs::TIME) {
            self.events.push(Kind::Time.word(0));
            self.keys.push(self.now.micros());
        }
    }

    /// One of the addresses that is not listed, known before or not.
    fn add(&mut self, instances: &mut [Instance]) -> Result<()> {
        let id = ServerId(self.random.below(SERVERS_MAX));
        if self.place(id).is_some() {
            return Ok(());
        }
        let server = self.server(id);
        self.servers.insert(0, server);
        self.bind(instances)
    }

    fn edit(&mut self, instances: &mut [Instance]) -> Result<()> {
        let weight = self.random.weight(self.heaviest);
        if let Some(index) = self.random.index(self.servers.len()) {
            self.servers[index].weight = weight;
        }
        self.bind(instances)
    }

    /// The decision before it tells typed instances what changed at the server that goes. Without,
    /// only the packed ones would know its last counters, which lblcr remembers.
    fn delete(&mut self, instances: &mut [Instance]) -> Result<()> {
        self.arrive(Kind::ArriveOnePacket, instances)?;
        if let Some(index) = self.random.index(self.servers.len()) {
            self.servers.remove(index);
        }
        self.bind(instances)
    }

    fn bind(&mut self, instances: &mut [Instance]) -> Result<()> {
        self.flush(instances)?;
        if self.servers.is_empty() {
            self.servers = (0..5).map(|id| self.server(ServerId(id))).collect();
        }
        self.changed.clear();
        for instance in instances {
            instance.scheduler.set_servers(&self.servers)?;
        }
        Ok(())
    }

    /// Gives the batch to the packed instances.
    fn flush(&mut self, instances: &mut [Instance]) -> Result<()> {
        for instance in instances.iter_mut().filter(|instance| instance.packed) {
            let mut answers = Vec::new();
            instance
                .scheduler
                .run(&self.keys, &self.events, &mut answers)?;
            let wrong = answers.iter().zip(&self.answers).position(|(a, b)| a != b);
            if let Some(wrong) = wrong {
                anyhow::bail!(
                    "{} answers decision {} with place {} instead of {}",
                    instance.name,
                    self.decisions - self.answers.len() + wrong,
                    answers[wrong],
                    self.answers[wrong]
                );
            }
            ensure!(
                answers.len() == self.answers.len(),
                "{}: answers",
                instance.name
            );
        }
        self.keys.clear();
        self.events.clear();
        self.answers.clear();
        self.batch += 1;
        Ok(())
    }

    /// A server that comes into the list, with the connections it still has.
    fn server(&mut self, id: ServerId) -> Server {
        let count = |active| {
            let connections = self.connections.iter();
            connections
                .filter(|c| c.server == id && c.active == active)
                .count() as u32
        };
        Server {
            id,
            address: Address::v4(0x0a00_0100 + id.0),
            port: 80,
            active: count(true),
            inactive: count(false),
            weight: self.random.weight(self.heaviest),
            status: 0,
        }
    }

    /// Packs an event of a connection, unless nobody wants it.
    fn say(&mut self, kind: Kind, connection: usize) {
        let Connection {
            server, arrival, ..
        } = self.connections[connection];
        let Some(place) = self.place(server) else {
            return;
        };
        if self.needs.contains(Needs::LOADS) {
            let (batch, number) = arrival;
            let place = if batch == self.batch {
                LOCAL | number
            } else {
                place
            };
            self.events.push(kind.word(place));
        }
    }

    fn count(&mut self, id: ServerId, change: impl FnOnce(&mut Server)) {
        let needed = self.needs.contains(Needs::LOADS);
        if let Some(server) = self.servers.iter_mut().find(|server| server.id == id) {
            change(server);
            if needed {
                self.changed.insert(id);
            }
        }
    }

    fn place(&self, id: ServerId) -> Option<u32> {
        let place = self.servers.iter().position(|server| server.id == id)?;
        Some(place as u32)
    }

    fn load(&self, id: ServerId) -> Option<Load> {
        let server = self.servers.iter().find(|server| server.id == id)?;
        Some(Load {
            server: id,
            active: server.active,
            inactive: server.inactive,
            status: server.status,
            latency_us: 0,
        })
    }
}

fn counter(server: &mut Server, active: bool) -> &mut u32 {
    if active {
        &mut server.active
    } else {
        &mut server.inactive
    }
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound)) as u32
    }

    fn index(&mut self, length: usize) -> Option<usize> {
        let length = u32::try_from(length).ok().filter(|length| *length > 0)?;
        Some(self.below(length) as usize)
    }

    /// Quiesced one time in eight.
    fn weight(&mut self, heaviest: u32) -> u32 {
        match self.below(8) {
            0 => 0,
            1..5 => 1 + self.below(4),
            _ => 1 + self.below(heaviest),
        }
    }
}
