//! Plays the notation of the recorded scheduler vectors against any scheduler.
//!
//! `+N:W[:IP:PORT]` adds server N at the head of the list, `-N` deletes it, `=N:W` edits its weight,
//! `oN` and `uN` set and clear its overload flag, `aN:V` and `tN:V` set its active and its total
//! connections, `rK` asks K times and counts each pick as one active connection, `kIP:PORT` asks
//! once for this client and destination and counts nothing, `I` binds a fresh instance to the list,
//! `wS` lets S seconds pass. A server that comes back keeps its counters and its flag.

#![expect(
    clippy::expect_used,
    reason = "a test ends where its input is malformed"
)]

use std::fmt::Write as _;

use equipoise_core::batch::{self, Kind};
use equipoise_core::{
    Address, Flow, Load, Needs, Protocol, STATUS_OVERLOADED, Scheduler, Server, ServerId, Timestamp,
};

/// Which of the contract's two doors is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// One call for each decision, counters in `changed`.
    Typed,
    /// Packed events, cut as seldom as the notation allows.
    Batch,
}

/// Plays `ops` and returns what was chosen, in the vectors' own notation.
///
/// # Panics
/// On a malformed op and when the scheduler faults.
pub(crate) fn play(
    start: &dyn Fn(Timestamp) -> Box<dyn Scheduler>,
    door: Door,
    ops: &str,
) -> String {
    let now = Timestamp(0);
    let mut player = Player {
        scheduler: start(now),
        door,
        now,
        list: Vec::new(),
        gone: Vec::new(),
        ids: Vec::new(),
        changed: Vec::new(),
        keys: Vec::new(),
        events: Vec::new(),
        asked: Vec::new(),
        output: String::new(),
    };
    player.publish();
    for op in ops.split_whitespace() {
        player.step(op, start);
    }
    player.flush();
    player.output.trim_start().to_owned()
}

struct Player {
    scheduler: Box<dyn Scheduler>,
    door: Door,
    now: Timestamp,
    list: Vec<Server>,
    gone: Vec<Server>,
    /// Letters by id.
    ids: Vec<char>,
    changed: Vec<ServerId>,
    keys: Vec<u64>,
    events: Vec<u32>,
    /// What to write before each pending answer, and whether it counts.
    asked: Vec<(String, bool)>,
    output: String,
}

impl Player {
    fn step(&mut self, op: &str, start: &dyn Fn(Timestamp) -> Box<dyn Scheduler>) {
        let (verb, rest) = op.split_at(1);
        match verb {
            "r" => {
                let flow = flow(Address::v4(0x0102_0304), 1000);
                for turn in 0..rest.parse().expect("a count") {
                    let lead = if turn == 0 { " " } else { "" };
                    self.ask(lead.to_owned(), &flow, true);
                }
                return;
            }
            "k" => {
                let (ip, port) = rest.rsplit_once(':').expect("an endpoint");
                let ip: std::net::IpAddr = ip.parse().expect("an address");
                let flow = flow(ip.into(), port.parse().expect("a port"));
                self.ask(format!(" {rest}->"), &flow, false);
                return;
            }
            "w" => {
                let seconds = rest.parse().expect("seconds");
                self.now = self.now.plus_seconds(seconds);
                if self.scheduler.needs().contains(Needs::TIME) && self.door == Door::Batch {
                    self.events.push(Kind::Time.word(0));
                    self.keys.push(self.now.micros());
                }
                return;
            }
            _ => self.flush(),
        }
        let mut fields = rest.split(':');
        let letter = fields.next().and_then(|name| name.chars().next());
        let mut number = || {
            fields
                .next()
                .expect("a value")
                .parse::<u32>()
                .expect("a number")
        };
        match verb {
            "I" => {
                self.scheduler = start(self.now);
                self.publish();
            }
            "+" => {
                let weight = number();
                let id = self.id(letter.expect("a name"));
                let mut server = self.revive(id);
                server.weight = weight;
                if let Some(ip) = fields.next() {
                    server.address = ip.parse::<std::net::IpAddr>().expect("an address").into();
                    server.port = fields
                        .next()
                        .map_or(80, |port| port.parse().expect("a port"));
                }
                self.list.insert(0, server);
                self.publish();
            }
            "-" => {
                let place = self
                    .place(letter.expect("a name"))
                    .expect("a listed server");
                let server = self.list.remove(place);
                self.gone.push(server);
                self.publish();
            }
            "=" => {
                let weight = number();
                let place = self
                    .place(letter.expect("a name"))
                    .expect("a listed server");
                self.list[place].weight = weight;
                self.publish();
            }
            "o" | "u" => {
                let status = if verb == "o" { STATUS_OVERLOADED } else { 0 };
                self.set(letter.expect("a name"), |server| server.status = status);
            }
            "a" => {
                let active = number();
                self.set(letter.expect("a name"), |server| {
                    let total = server.active.wrapping_add(server.inactive);
                    server.active = active;
                    server.inactive = total.wrapping_sub(active);
                });
            }
            "t" => {
                let total = number();
                self.set(letter.expect("a name"), |server| {
                    server.inactive = total.wrapping_sub(server.active);
                });
            }
            _ => panic!("unknown op {op}"),
        }
    }

    fn ask(&mut self, lead: String, flow: &Flow, counts: bool) {
        if self.door == Door::Batch {
            let kind = if counts {
                Kind::ArriveActive
            } else {
                Kind::ArriveOnePacket
            };
            self.events.push(kind.word(flow.protocol as u32));
            batch::push_keys(&mut self.keys, self.scheduler.needs(), flow);
            self.asked.push((lead, counts));
            return;
        }
        let loads: Vec<Load> = self
            .changed
            .drain(..)
            .filter_map(|id| load(&self.list, id))
            .collect();
        let changed = (!loads.is_empty()).then_some(loads.as_slice());
        let chosen = self
            .scheduler
            .schedule(self.now, flow, changed)
            .expect("no fault");
        let place = chosen.map(|id| {
            let listed = self.list.iter().position(|server| server.id == id);
            listed.expect("a listed server")
        });
        self.take(&lead, place, counts);
        if let (Some(id), true) = (chosen, self.scheduler.needs().contains(Needs::LOADS)) {
            self.changed.push(id);
        }
    }

    /// Runs the pending batch.
    fn flush(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let mut answers = Vec::new();
        self.scheduler
            .run(&self.keys, &self.events, &mut answers)
            .expect("no fault");
        assert_eq!(
            answers.len(),
            self.asked.len(),
            "one answer for each arrival"
        );
        self.keys.clear();
        self.events.clear();
        for ((lead, counts), answer) in std::mem::take(&mut self.asked).into_iter().zip(answers) {
            let place = (answer != batch::NO_DESTINATION).then_some(answer as usize);
            self.take(&lead, place, counts);
        }
    }

    /// Writes one answer and counts it.
    fn take(&mut self, lead: &str, place: Option<usize>, counts: bool) {
        let letter = place.map_or('-', |place| self.ids[self.list[place].id.0 as usize]);
        write!(self.output, "{lead}{letter}").expect("a string");
        if let (Some(place), true) = (place, counts) {
            self.list[place].active += 1;
        }
    }

    /// Changes counters or the flag of a server and tells the scheduler as the door demands.
    fn set(&mut self, letter: char, change: impl FnOnce(&mut Server)) {
        let Some(place) = self.place(letter) else {
            let id = self.id(letter);
            let mut server = self.revive(id);
            change(&mut server);
            self.gone.push(server);
            return;
        };
        let old = self.list[place];
        change(&mut self.list[place]);
        let new = self.list[place];
        let loads = self.scheduler.needs().contains(Needs::LOADS);
        if self.door == Door::Typed {
            if loads || old.status != new.status {
                self.changed.push(new.id);
            }
            return;
        }
        let mut tell = |kind: Kind, times: u32| {
            let word = kind.word(place as u32);
            self.events
                .extend(std::iter::repeat_n(word, times as usize));
        };
        if new.status != old.status {
            let set = new.status & STATUS_OVERLOADED != 0;
            tell(
                if set {
                    Kind::Overloaded
                } else {
                    Kind::Available
                },
                1,
            );
        }
        if loads {
            let mut count = |from: u32, to: u32, more: Kind, fewer: Kind| {
                let difference = to.wrapping_sub(from).cast_signed();
                tell(
                    if difference > 0 { more } else { fewer },
                    difference.unsigned_abs(),
                );
            };
            count(old.active, new.active, Kind::PlacedActive, Kind::GoneActive);
            count(
                old.inactive,
                new.inactive,
                Kind::PlacedInactive,
                Kind::GoneInactive,
            );
        }
    }

    fn publish(&mut self) {
        self.changed.clear();
        self.scheduler.set_servers(&self.list).expect("no fault");
    }

    fn id(&mut self, letter: char) -> ServerId {
        let known = self.ids.iter().position(|other| *other == letter);
        ServerId(known.unwrap_or_else(|| {
            self.ids.push(letter);
            self.ids.len() - 1
        }) as u32)
    }

    fn place(&self, letter: char) -> Option<usize> {
        let mut list = self.list.iter();
        list.position(|server| self.ids[server.id.0 as usize] == letter)
    }

    fn revive(&mut self, id: ServerId) -> Server {
        if let Some(index) = self.gone.iter().position(|server| server.id == id) {
            return self.gone.swap_remove(index);
        }
        Server {
            id,
            address: Address::v4(0x0a00_0001 + id.0),
            port: 80,
            weight: 0,
            active: 0,
            inactive: 0,
            status: 0,
        }
    }
}

fn load(list: &[Server], id: ServerId) -> Option<Load> {
    let server = list.iter().find(|server| server.id == id)?;
    Some(Load {
        server: id,
        active: server.active,
        inactive: server.inactive,
        status: server.status,
        latency_us: 0,
    })
}

fn flow(address: Address, port: u16) -> Flow {
    Flow {
        client: address,
        client_port: port,
        destination: address,
        destination_port: 80,
        protocol: Protocol::Tcp,
        mark: 0,
    }
}
