//! How many clients move when the servers change, where theory knows: hashes that keep what they can,
//! hashing by the rest of a division, and the kernel's tables, filled here once more.

use std::collections::BTreeMap;

use super::*;
use equipoise_replay::scenario::Scenario;
use equipoise_reports::model::{Churn, Event, Way};

const CLIENTS: u32 = 4_000;
/// Of one ring, for each unit of weight.
const POINTS: f64 = 160.0;
const MILLISECOND: u64 = 1_000_000;

/// Servers by their numbers with their weights, as the kernel lists them: the newest first.
type List = Vec<(u32, u32)>;

/// What happens to one server.
#[derive(Clone, Copy)]
enum Change {
    Remove(u32),
    Add(u32, u32),
    Weight(u32, u32),
}

impl Change {
    fn server(self) -> u32 {
        match self {
            Self::Remove(server) | Self::Add(server, _) | Self::Weight(server, _) => server,
        }
    }

    fn apply(self, list: &List) -> List {
        let mut list = list.clone();
        match self {
            Self::Remove(server) => list.retain(|&(other, _)| other != server),
            Self::Add(server, weight) => list.insert(0, (server, weight)),
            Self::Weight(server, weight) => {
                let found = list.iter_mut().find(|(other, _)| *other == server);
                found.unwrap().1 = weight;
            }
        }
        list
    }

    fn event(self, after: u32) -> String {
        let what = match self {
            Self::Remove(server) => format!("action = \"remove\"\nserver = \"10.1.0.{server}\""),
            Self::Add(server, weight) => {
                format!("action = \"add\"\nserver = \"10.1.0.{server},weight={weight}\"")
            }
            Self::Weight(server, weight) => {
                format!("action = \"weight\"\nserver = \"10.1.0.{server}\"\nweight = {weight}")
            }
        };
        format!("[[event]]\nafter = {after}\n{what}\n")
    }
}

/// What one policy did.
struct Played {
    policy: &'static str,
    /// The server of each client, before the first change and after each, by the rows of decisions.
    rounds: Vec<Vec<u32>>,
    events: Vec<Event>,
    churn: Churn,
}

/// One packet; only the client's end, the flags and the payload differ.
fn packet(at: u64, sequence: u32, client: (u32, u16), reply: bool, flags: u8, body: &str) -> Vec<u8> {
    let service = (SERVICE, 80);
    let (from, to) = if reply { (service, client) } else { (client, service) };
    let mut packet = vec![0x45, 0];
    packet.extend((40 + body.len() as u16).to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, 6, 0, 0]);
    packet.extend(from.0.to_be_bytes());
    packet.extend(to.0.to_be_bytes());
    packet.extend(from.1.to_be_bytes());
    packet.extend(to.1.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(1_u32.to_be_bytes());
    packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(body.bytes());
    let length = packet.len() as u32;
    let words = [(at / SECOND) as u32, (at % SECOND) as u32, length, length];
    let mut record: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    record.extend(packet);
    record
}

/// When a client connects in a round.
fn time(round: usize, client: u32) -> u64 {
    START + (round as u64 * u64::from(CLIENTS) + u64::from(client)) * MILLISECOND
}

/// In each round every client opens a connection that stays, and asks for a target of its own.
fn rounds(count: usize) -> Source {
    let connections = (0..count).flat_map(|round| (0..CLIENTS).map(move |client| (round, client)));
    let records = connections.flat_map(|(round, client)| {
        let at = time(round, client);
        let end = (CLIENT + client, 40_000 + round as u16);
        // CRC-32 is linear: targets that count up would not fall anywhere alike.
        let target = u64::from(client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let request = format!("GET /{target:016x} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        [
            packet(at, 0, end, false, SYN, ""),
            packet(at + 1, 0, end, true, SYN | ACK, ""),
            packet(at + 2, 1, end, false, ACK, &request),
        ]
    });
    Source::from_bytes("made", file(records))
}

/// The lists before the first change and after each, and what the policies did under them.
fn play(
    weights: &[u32],
    changes: &[Change],
    policies: &[&'static str],
) -> (Vec<List>, Vec<Played>) {
    let oldest_first = (1..).zip(weights.iter().copied());
    let servers: Vec<String> = oldest_first
        .clone()
        .map(|(server, weight)| format!("10.1.0.{server}:80,weight={weight}"))
        .collect();
    let mut lists: Vec<List> = vec![oldest_first.rev_list()];
    let mut text = String::new();
    for (after, change) in (1..).zip(changes) {
        text += &change.event(after * CLIENTS);
        lists.push(change.apply(&lists[lists.len() - 1]));
    }
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    let written = Written {
        policies: policies.iter().map(|&policy| policy.to_owned()).collect(),
        ..written(&servers)
    };
    let options = Options {
        scenario: Some(Scenario::parse("scenario.toml", &text).unwrap()),
        ..Options::default()
    };
    let source = rounds(lists.len());
    let (report, decisions) = run(&[source], &written, &options, &mut ()).unwrap();
    let rows: Vec<Vec<&str>> = decisions
        .lines()
        .skip(1)
        .map(|row| row.split(',').collect())
        .collect();
    let played = policies.iter().zip(&report.runs).map(|(&policy, run)| {
        let mut rounds = vec![Vec::new(); lists.len()];
        let rows = rows.iter().filter(|row| row[1] == policy);
        for (place, row) in rows.enumerate() {
            let (round, client) = (place / CLIENTS as usize, place as u32 % CLIENTS);
            let address = std::net::Ipv4Addr::from(CLIENT + client);
            assert_eq!(row[6..8], [address.to_string(), (40_000 + round).to_string()]);
            let server = row[10].strip_prefix("10.1.0.").unwrap();
            rounds[round].push(server.parse().unwrap());
        }
        assert_eq!(rounds[lists.len() - 1].len(), CLIENTS as usize);
        let service = &run.services[0];
        Played {
            policy,
            rounds,
            events: service.events.clone(),
            churn: service.churn.unwrap(),
        }
    });
    let played = played.collect();
    (lists, played)
}
