//! How many clients move when the servers change, where theory knows: hashes that keep what they can,
//! hashing by the rest of a division, and the kernel's tables, filled here once more.
//!
//! Decisions are compared, and what reports say of events.

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

    fn event(self, at_ms: u32) -> String {
        let what = match self {
            Self::Remove(server) => format!("action = \"remove\"\nserver = \"10.1.0.{server}\""),
            Self::Add(server, weight) => {
                format!("action = \"add\"\nserver = \"10.1.0.{server},weight={weight}\"")
            }
            Self::Weight(server, weight) => {
                format!("action = \"weight\"\nserver = \"10.1.0.{server}\"\nweight = {weight}")
            }
        };
        format!("[[event]]\nat = \"{at_ms}ms\"\n{what}\n")
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
fn packet(
    at: u64,
    sequence: u32,
    client: (u32, u16),
    reply: bool,
    flags: u8,
    body: &str,
) -> Vec<u8> {
    let service = (SERVICE, 80);
    let (from, to) = if reply {
        (service, client)
    } else {
        (client, service)
    };
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
        // CRC-32 is linear: targets that count up would be spread too evenly, or not at all.
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
    let mut list: List = (1..).zip(weights.iter().copied()).collect();
    let server = |(number, weight)| format!("10.1.0.{number}:80,weight={weight}");
    let servers: Vec<String> = list.iter().copied().map(server).collect();
    list.reverse();
    let mut lists = vec![list];
    let mut text = String::new();
    for (round, change) in (1..).zip(changes) {
        // A millisecond for each client.
        text += &change.event(round * CLIENTS);
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
            assert_eq!(
                row[6..8],
                [address.to_string(), (40_000 + round).to_string()]
            );
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

/// The part of all clients that a list gives to a server by weight.
fn share(list: &List, server: u32) -> f64 {
    let sum: u32 = list.iter().map(|&(_, weight)| weight).sum();
    let found = list.iter().find(|&&(other, _)| other == server);
    found.map_or(0.0, |&(_, weight)| f64::from(weight) / f64::from(sum))
}

/// How many clients had another server in the next round.
fn moved(before: &[u32], after: &[u32]) -> u64 {
    let pairs = before.iter().zip(after);
    pairs.filter(|(before, after)| before != after).count() as u64
}

/// What is reported of each event is what the rows and the weights say.
fn assert_facts(lists: &[List], changes: &[Change], played: &Played) {
    assert_eq!(played.events.len(), changes.len());
    for (place, (event, change)) in played.events.iter().zip(changes).enumerate() {
        let label = format!("{}: {}", played.policy, event.event);
        let (before, after) = (&played.rounds[place], &played.rounds[place + 1]);
        let decided = u64::from(CLIENTS) * (place as u64 + 1);
        assert_eq!(event.after_connections, Some(decided), "{label}");
        assert_eq!(event.at_ns, Some(time(place + 1, 0)), "{label}");

        let mut ways: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for (&before, &after) in before.iter().zip(after) {
            if before != after {
                *ways.entry((before, after)).or_default() += 1;
            }
        }
        let way = |((from, to), clients)| Way {
            from: format!("10.1.0.{from}:80"),
            to: format!("10.1.0.{to}:80"),
            clients,
        };
        let ways: Vec<Way> = ways.into_iter().map(way).collect();
        assert_eq!(event.moves.ways, ways, "{label}");
        assert_eq!(event.moves.clients, u64::from(CLIENTS), "{label}");
        assert_eq!(event.moves.moved, moved(before, after), "{label}");

        // What the others gain is what one loses, or the other way round.
        let subject = change.server();
        let least = share(&lists[place + 1], subject) - share(&lists[place], subject);
        let least = least.abs() * f64::from(CLIENTS);
        assert!((event.moves.least - least).abs() < 1e-6, "{label}");

        // Connections stay open, and a server that comes back has those of before (as in the kernel).
        let rounds = played.rounds[..=place].iter().flatten();
        let of_subject = rounds.filter(|&&server| server == subject);
        let broken = match change {
            Change::Remove(_) => of_subject.count(),
            Change::Add(..) | Change::Weight(..) => 0,
        };
        assert_eq!((event.broken, event.lost), (broken as u64, 0), "{label}");
    }
    assert_eq!(played.churn, Churn::default(), "{}", played.policy);
}

/// A number of clients, each of which moves with this probability, within four standard deviations
/// of its binomial distribution and of the probability itself: by chance one of 15,000 is not.
fn assert_within(label: &str, found: u64, probability: f64, deviation: f64) {
    let clients = f64::from(CLIENTS);
    let drawn = clients * probability * (1.0 - probability);
    let bound = 4.0 * (drawn + (clients * deviation).powi(2)).sqrt();
    let expected = clients * probability;
    println!("{label}: {found} moved, {expected:.0} expected within {bound:.0}");
    assert!(
        (found as f64 - expected).abs() < bound,
        "{label}: {found} moved"
    );
}

/// Of the part of a ring that belongs to a server. Points at random cut it into arcs that are
/// Dirichlet distributed, so with a of n points its part is Beta(a, n - a) distributed.
fn ring_deviation(list: &List, server: u32) -> f64 {
    let sum: u32 = list.iter().map(|&(_, weight)| weight).sum();
    let share = share(list, server);
    (share * (1.0 - share) / (POINTS * f64::from(sum) + 1.0)).sqrt()
}

/// Of the rests of a number by the sums of the weights before and after, where these have no common
/// divisor, each pair is as likely (the Chinese remainder theorem). So a server is hit both times
/// with the product of its shares, and when one of N equal servers goes or comes, 1/N stay.
fn modulo_probability(before: &List, after: &List) -> f64 {
    let sum = |list: &List| list.iter().map(|&(_, weight)| weight).sum();
    assert_eq!(gcd(sum(before), sum(after)), 1);
    let stay = before
        .iter()
        .map(|&(server, _)| share(before, server) * share(after, server));
    1.0 - stay.sum::<f64>()
}

fn gcd(one: u32, other: u32) -> u32 {
    if other == 0 {
        one
    } else {
        gcd(other, one % other)
    }
}

/// The server of each client by the table that `sh` has of a list: 256 buckets.
fn by_sh(list: &List) -> Vec<u32> {
    let turns = list.iter().cycle();
    let table: Vec<u32> = turns
        .flat_map(|&(server, weight)| std::iter::repeat_n(server, weight as usize))
        .take(256)
        .collect();
    let bucket = |client: u32| (CLIENT + client).wrapping_mul(0x61c8_8647) >> 24;
    (0..CLIENTS)
        .map(|client| table[bucket(client) as usize])
        .collect()
}

const SLOTS: u32 = 4_093;
/// Both halves of the two keys.
const PRIMARY: u64 = 2_654_435_761;
const SECONDARY: u64 = 2_654_446_892;

/// SipHash-1-3 of four bytes, its lower half.
fn sip(key: u64, value: u32) -> u32 {
    let mut v = [
        key ^ 0x736f_6d65_7073_6575,
        key ^ 0x646f_7261_6e64_6f6d,
        key ^ 0x6c79_6765_6e65_7261,
        key ^ 0x7465_6462_7974_6573,
    ];
    let round = |v: &mut [u64; 4]| {
        for (to, from, turn) in [(0, 1, 13), (2, 3, 16), (0, 3, 21), (2, 1, 17)] {
            v[to] = v[to].wrapping_add(v[from]);
            v[from] = v[from].rotate_left(turn) ^ v[to];
            if from == 1 {
                v[to] = v[to].rotate_left(32);
            }
        }
    };
    let word = 4 << 56 | u64::from(value);
    v[3] ^= word;
    round(&mut v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for _ in 0..3 {
        round(&mut v);
    }
    (v[0] ^ v[1] ^ v[2] ^ v[3]) as u32
}

/// The slots that `mh` has of a list: servers in turn take the next of their permutation that are
/// free, as many at once as they have turns.
fn mh_table(list: &List) -> Vec<u32> {
    let divisor = list
        .iter()
        .fold(0, |divisor, &(_, weight)| gcd(divisor, weight));
    let heaviest = list.iter().map(|&(_, weight)| weight).max().unwrap() / divisor;
    let shift = (u32::BITS - heaviest.leading_zeros()).saturating_sub(6);
    let mut takers: Vec<(u32, u32, u32, u32)> = list
        .iter()
        .map(|&(server, weight)| {
            let end = 0x0a01_0000 + server + 80;
            let skip = sip(SECONDARY, end) % (SLOTS - 1) + 1;
            let turns = ((weight / divisor) >> shift).max(1);
            (server, sip(PRIMARY, end) % SLOTS, skip, turns)
        })
        .collect();
    let mut table = vec![None; SLOTS as usize];
    let mut free = SLOTS;
    while free > 0 {
        for (server, slot, skip, turns) in &mut takers {
            for _ in 0..(*turns).min(free) {
                while table[*slot as usize].is_some() {
                    *slot = (*slot + *skip) % SLOTS;
                }
                table[*slot as usize] = Some(*server);
                free -= 1;
            }
        }
    }
    table.into_iter().map(Option::unwrap).collect()
}

/// The server of each client by that table.
fn by_mh(list: &List) -> Vec<u32> {
    let table = mh_table(list);
    let slot = |client: u32| sip(PRIMARY, CLIENT + client) % SLOTS;
    (0..CLIENTS)
        .map(|client| table[slot(client) as usize])
        .collect()
}

/// One server goes, it comes back, and another gets more weight.
fn changes(weights: &[u32]) -> [Change; 3] {
    [
        Change::Remove(3),
        Change::Add(3, weights[2]),
        Change::Weight(1, weights[0] + 3),
    ]
}

const SETS: [&[u32]; 3] = [&[1; 4], &[1; 10], &[1, 2, 3, 4]];

#[test]
fn ring_and_rendezvous_move_the_share_of_the_changed_server_only() {
    for weights in SETS {
        let changes = changes(weights);
        let policies = ["url_hash:consistent", "rendezvous"];
        let (lists, played) = play(weights, &changes, &policies);
        for played in played {
            assert_facts(&lists, &changes, &played);
            for (place, change) in changes.iter().enumerate() {
                let (before, after) = (&played.rounds[place], &played.rounds[place + 1]);
                let subject = change.server();
                let is_leaving = matches!(change, Change::Remove(_));
                for (&before, &after) in before.iter().zip(after) {
                    let one = if is_leaving { before } else { after };
                    assert!(before == after || one == subject, "{}", played.policy);
                }
                let share = |place: usize| share(&lists[place], subject);
                // The difference of two shares deviates by the sum of what they do, at most.
                let deviation = match played.policy {
                    "rendezvous" => 0.0,
                    _ => [place, place + 1]
                        .iter()
                        .map(|&place| ring_deviation(&lists[place], subject))
                        .sum(),
                };
                assert_within(
                    &format!(
                        "{} of {weights:?}: {}",
                        played.policy, played.events[place].event
                    ),
                    moved(before, after),
                    (share(place) - share(place + 1)).abs(),
                    deviation,
                );
            }
            // Nobody is left at a server that is gone, and all its clients return with it.
            assert!(!played.rounds[1].contains(&3));
            assert!(played.rounds[0].contains(&3));
            assert_eq!(played.rounds[2], played.rounds[0]);
        }
    }
}

#[test]
fn hashing_by_the_rest_of_a_division_moves_nearly_all() {
    for weights in SETS {
        let changes = changes(weights);
        let (lists, played) = play(weights, &changes, &["url_hash"]);
        assert_facts(&lists, &changes, &played[0]);
        let count = weights.len() as f64;
        for (place, event) in played[0].events.iter().enumerate() {
            let probability = modulo_probability(&lists[place], &lists[place + 1]);
            if weights.iter().all(|&weight| weight == 1) && place < 2 {
                assert!((probability - (count - 1.0) / count).abs() < 1e-9);
            }
            assert_within(
                &format!("url_hash of {weights:?}: {}", event.event),
                moved(&played[0].rounds[place], &played[0].rounds[place + 1]),
                probability,
                0.0,
            );
        }
    }
}

/// Weights of a common divisor, of more turns than a server takes at once, and of more than there
/// are buckets, too.
#[test]
fn sh_and_mh_move_what_their_tables_say() {
    for weights in [SETS[0], SETS[1], SETS[2], &[10, 20, 30, 1_000]] {
        let mut changes = changes(weights).to_vec();
        changes.extend([
            Change::Remove(weights.len() as u32),
            Change::Remove(3),
            Change::Weight(1, 5),
        ]);
        let (lists, played) = play(weights, &changes, &["sh", "mh"]);
        for (played, oracle) in played.iter().zip([by_sh, by_mh]) {
            let expected: Vec<Vec<u32>> = lists.iter().map(oracle).collect();
            assert!(
                played.rounds == expected,
                "{} of {weights:?}",
                played.policy
            );
            assert_facts(&lists, &changes, played);
            for (place, event) in played.events.iter().enumerate() {
                let predicted = moved(&expected[place], &expected[place + 1]);
                assert_eq!(event.moves.moved, predicted, "{}", event.event);
                println!(
                    "{} of {weights:?}: {}: {predicted} moved, {:.0} had to",
                    played.policy, event.event, event.moves.least
                );
            }
        }
    }
}

/// What was observed of the kernel's own code.
#[test]
fn the_table_of_mh_is_the_kernels() {
    let server = 0x0a00_0001 + 80;
    assert_eq!(sip(PRIMARY, server), 0x439c_0cbe);
    assert_eq!(sip(SECONDARY, server), 0x97b3_dc47);
    // The number of slots does not depend on the addresses.
    let slots = |weights: &[u32]| {
        let list: List = (1..).zip(weights.iter().copied()).collect();
        let table = mh_table(&list.into_iter().rev().collect());
        let count = |server| table.iter().filter(|&&other| other == server).count();
        (1..=weights.len() as u32).map(count).collect::<Vec<_>>()
    };
    assert_eq!(slots(&[1, 1, 1]), [1_364, 1_364, 1_365]);
    assert_eq!(slots(&[1, 2, 3]), [682, 1_364, 2_047]);
    assert_eq!(slots(&[1_000, 1]), [4_028, 65]);
    assert_eq!(slots(&[1, 64]), [124, 3_969]);
    assert_eq!(slots(&[1, 63]), [63, 4_030]);
}

/// A client that comes again between the drain and its end is one client.
#[test]
fn a_drain_with_an_end_counts_each_client_once() {
    let text = r#"
        [[event]]
        at = "4s"
        action = "drain"
        server = "10.1.0.3"
        for = "4s"
    "#;
    let written = Written {
        policies: vec!["rendezvous".to_owned()],
        ..written(&["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"])
    };
    let options = Options {
        scenario: Some(Scenario::parse("scenario.toml", text).unwrap()),
        ..Options::default()
    };
    let (report, _) = run(&[rounds(3)], &written, &options, &mut ()).unwrap();
    let moves = &report.runs[0].services[0].events[0].moves;
    assert_eq!(
        (moves.clients, moves.moved, moves.least.round()),
        (4_000, 1_031, 1_000.0)
    );
}
