//! Random traffic and reconfiguration of one service, with its counters, told through both doors.

#![expect(clippy::expect_used, reason = "a test ends where a scheduler faults")]

use equipoise_core::batch::{self, Kind, LOCAL, NO_DESTINATION};
use equipoise_core::{
    Address, Family, Flow, Load, Needs, Parameter, Protocol, STATUS_OVERLOADED, Scheduler, Server,
    ServerId, ServiceIdentity, Timestamp,
};
use equipoise_schedulers::registry::Entry;
use equipoise_schedulers::sdk::Accepts;
use proptest::prelude::*;

/// The service, and the time at which it begins.
pub(crate) const SERVICE: (ServiceIdentity, Timestamp) = (
    ServiceIdentity {
        family: Family::Ipv4,
        address: Address::v4(0x0a00_0001),
        port: 80,
        protocol: Protocol::Tcp,
        mark: 0,
    },
    Timestamp(5_000_000_000),
);

/// Something that happens to the service.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Add {
        server: u32,
        weight: u32,
    },
    Edit {
        server: usize,
        weight: u32,
    },
    Delete {
        server: usize,
    },
    Flag {
        server: usize,
        set: bool,
    },
    Arrive {
        kind: u8,
        client: u32,
        destination: u32,
    },
    /// From one state to the other.
    Move {
        connection: usize,
    },
    Close {
        connection: usize,
    },
    Wait {
        seconds: u32,
    },
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let weight = prop_oneof![4 => 0_u32..6, 1 => 1_u32..=i32::MAX as u32];
    prop_oneof![
        3 => (0_u32..12, weight.clone()).prop_map(|(server, weight)| Step::Add { server, weight }),
        1 => (0_usize..12, weight).prop_map(|(server, weight)| Step::Edit { server, weight }),
        1 => (0_usize..12).prop_map(|server| Step::Delete { server }),
        2 => (0_usize..12, any::<bool>()).prop_map(|(server, set)| Step::Flag { server, set }),
        20 => (0_u8..3, 0_u32..40, 0_u32..8)
            .prop_map(|(kind, client, destination)| Step::Arrive { kind, client, destination }),
        8 => (0_usize..64).prop_map(|connection| Step::Move { connection }),
        8 => (0_usize..64).prop_map(|connection| Step::Close { connection }),
        1 => (1_u32..4000).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// An instance with every switch on, or with defaults.
pub(crate) fn start(entry: &Entry, switches: bool, seed: u64) -> Box<dyn Scheduler> {
    let value = |accepts| match accepts {
        Accepts::Switch => "true".to_owned(),
        Accepts::Number { min, .. } => min.to_string(),
        Accepts::OneOf(words) => words[words.len() - 1].to_owned(),
    };
    let specs = entry.parameters.iter().filter(|_| switches);
    let parameters: Vec<Parameter> = specs
        .map(|spec| Parameter {
            key: spec.key.to_owned(),
            value: value(spec.accepts),
        })
        .collect();
    let (service, now) = SERVICE;
    let started = entry.native.start(now, &service, &parameters, seed);
    started.expect("parameters are accepted")
}

/// Idle servers with ids in list order.
pub(crate) fn list(weights: &[u32]) -> Vec<Server> {
    let server = |(id, weight): (usize, &u32)| server(id as u32, *weight);
    weights.iter().enumerate().map(server).collect()
}

fn server(id: u32, weight: u32) -> Server {
    Server {
        id: ServerId(id),
        address: Address::v4(0x0a01_0000 + id),
        port: 80,
        weight,
        active: 0,
        inactive: 0,
        status: 0,
    }
}

pub(crate) fn flow(client: u32, destination: u32) -> Flow {
    Flow {
        client: Address::v4(0xc0a8_0000 + client),
        client_port: 1024 + client as u16,
        destination: Address::v4(0x0a00_0001 + destination),
        destination_port: 80,
        protocol: Protocol::Tcp,
        mark: 0,
    }
}

/// The servers, their connections, and what the two doors have yet to hear.
pub(crate) struct Site {
    pub(crate) now: Timestamp,
    pub(crate) list: Vec<Server>,
    gone: Vec<Server>,
    connections: Vec<Connection>,
    changed: Vec<ServerId>,
    keys: Vec<u64>,
    events: Vec<u32>,
    /// Decisions of the pending batch as the typed door took them.
    decided: Vec<Option<ServerId>>,
}

struct Connection {
    server: Option<ServerId>,
    active: bool,
    /// Its number in the pending batch.
    local: Option<u32>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            now: SERVICE.1,
            list: Vec::new(),
            gone: Vec::new(),
            connections: Vec::new(),
            changed: Vec::new(),
            keys: Vec::new(),
            events: Vec::new(),
            decided: Vec::new(),
        }
    }
}

impl Site {
    pub(crate) fn changes_list(&self, step: &Step) -> bool {
        match step {
            Step::Add { server, .. } => !self.list.iter().any(|other| other.id.0 == *server),
            Step::Edit { .. } => true,
            Step::Delete { server } => *server < self.list.len(),
            _ => false,
        }
    }

    pub(crate) fn pending(&self) -> usize {
        self.decided.len()
    }

    /// Lets a step happen; an arrival is handed back to be decided.
    pub(crate) fn apply(&mut self, step: &Step, needs: Needs) -> Option<(Kind, Flow)> {
        match *step {
            Step::Arrive {
                kind,
                client,
                destination,
            } => {
                let kinds = [
                    Kind::ArriveActive,
                    Kind::ArriveInactive,
                    Kind::ArriveOnePacket,
                ];
                return Some((kinds[kind as usize], flow(client, destination)));
            }
            Step::Add { server: id, weight } if self.changes_list(step) => {
                let old = self.gone.iter().position(|server| server.id.0 == id);
                let revived = old.map(|index| self.gone.swap_remove(index));
                let base = revived.unwrap_or_else(|| server(id, weight));
                self.list.insert(0, Server { weight, ..base });
            }
            Step::Edit { server, weight } => {
                if let Some(server) = self.list.get_mut(server) {
                    server.weight = weight;
                }
            }
            Step::Delete { server } if server < self.list.len() => {
                let server = self.list.remove(server);
                self.gone.push(server);
            }
            Step::Flag { server: place, set } => {
                if let Some(server) = self.list.get_mut(place) {
                    server.status = if set { STATUS_OVERLOADED } else { 0 };
                    self.changed.push(server.id);
                    let kind = if set {
                        Kind::Overloaded
                    } else {
                        Kind::Available
                    };
                    self.events.push(kind.word(place as u32));
                }
            }
            Step::Move { connection } if connection < self.connections.len() => {
                let was_active = self.connections[connection].active;
                self.connections[connection].active = !was_active;
                let kind = if was_active {
                    Kind::BecameInactive
                } else {
                    Kind::BecameActive
                };
                self.count(needs, kind, connection);
            }
            Step::Close { connection } if connection < self.connections.len() => {
                let active = self.connections[connection].active;
                let kind = if active {
                    Kind::GoneActive
                } else {
                    Kind::GoneInactive
                };
                self.count(needs, kind, connection);
                self.connections.remove(connection);
            }
            Step::Wait { seconds } => {
                self.now = self.now.plus_seconds(seconds);
                if needs.contains(Needs::TIME) {
                    self.events.push(Kind::Time.word(0));
                    self.keys.push(self.now.micros());
                }
            }
            _ => {}
        }
        None
    }

    /// Counts an event of a connection and tells both doors.
    fn count(&mut self, needs: Needs, kind: Kind, connection: usize) {
        let Connection { server, local, .. } = self.connections[connection];
        let place = self.list.iter().position(|other| Some(other.id) == server);
        let listed = match place {
            Some(place) => Some(&mut self.list[place]),
            None => self.gone.iter_mut().find(|other| Some(other.id) == server),
        };
        if let Some(server) = listed {
            if kind != Kind::BecameActive && kind != Kind::GoneInactive {
                server.active -= 1;
            } else {
                server.inactive -= 1;
            }
            match kind {
                Kind::BecameActive => server.active += 1,
                Kind::BecameInactive => server.inactive += 1,
                _ => {}
            }
        }
        if !needs.contains(Needs::LOADS) {
            return;
        }
        if let Some(place) = place {
            self.changed.push(self.list[place].id);
        }
        if let Some(number) = local {
            self.events.push(kind.word(LOCAL | number));
        } else if let Some(place) = place {
            self.events.push(kind.word(place as u32));
        }
    }

    /// New values for the typed door.
    pub(crate) fn take_changed(&mut self) -> Vec<Load> {
        let ids = std::mem::take(&mut self.changed);
        let listed = self.list.iter().filter(|server| ids.contains(&server.id));
        listed
            .map(|server| Load {
                server: server.id,
                active: server.active,
                inactive: server.inactive,
                status: server.status,
                latency_us: 0,
            })
            .collect()
    }

    /// Takes in a decision of the typed door and queues its arrival for the other.
    pub(crate) fn place(
        &mut self,
        needs: Needs,
        kind: Kind,
        flow: &Flow,
        chosen: Option<ServerId>,
    ) {
        self.events.push(kind.word(flow.protocol as u32));
        batch::push_keys(&mut self.keys, needs, flow);
        let number = self.decided.len() as u32;
        self.decided.push(chosen);
        if kind == Kind::ArriveOnePacket {
            return;
        }
        let active = kind == Kind::ArriveActive;
        if let Some(server) = self
            .list
            .iter_mut()
            .find(|server| Some(server.id) == chosen)
        {
            *(if active {
                &mut server.active
            } else {
                &mut server.inactive
            }) += 1;
            if needs.contains(Needs::LOADS) {
                self.changed.push(server.id);
            }
        }
        self.connections.insert(
            0,
            Connection {
                server: chosen,
                active,
                local: Some(number),
            },
        );
    }

    /// Runs the pending batch and holds its answers to the typed door's.
    pub(crate) fn flush(&mut self, scheduler: &mut dyn Scheduler, policy: &str) {
        let mut answers = Vec::new();
        scheduler
            .run(&self.keys, &self.events, &mut answers)
            .expect("no fault");
        let server =
            |answer: u32| (answer != NO_DESTINATION).then(|| self.list[answer as usize].id);
        let answers: Vec<Option<ServerId>> = answers.into_iter().map(server).collect();
        assert_eq!(answers, self.decided, "{policy}");
        self.keys.clear();
        self.events.clear();
        self.decided.clear();
        self.connections
            .iter_mut()
            .for_each(|connection| connection.local = None);
    }
}
