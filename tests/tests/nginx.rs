//! `url_hash` decides as a real nginx did: every case of `fixtures/nginx/url_hash.txt`, native and
//! as a component.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its input is malformed"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use equipoise_core::{
    Address, Family, Flow, Parameter, Policy, Protocol, Request, STATUS_OVERLOADED, Server,
    ServerId, ServiceIdentity, Timestamp,
};
use equipoise_schedulers::registry;
use equipoise_tests::data;
use equipoise_wasm::{ComponentPolicy, Engine, Limits};

const SERVICE: ServiceIdentity = ServiceIdentity {
    family: Family::Ipv4,
    address: Address::v4(0x0a00_0001),
    port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};
const FLOW: Flow = Flow {
    client: Address::v4(0x0102_0304),
    client_port: 1000,
    destination: SERVICE.address,
    destination_port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};

/// One upstream block and what was chosen of it.
#[derive(Default)]
struct Case<'a> {
    title: &'a str,
    is_consistent: bool,
    /// Where a server refuses, the next is tried: several picks for each URI.
    retries: bool,
    uris: &'a str,
    servers: Vec<Server>,
    /// Some server is not named `address:port`, as the ring of the policy names them all.
    is_spelt: bool,
    /// The number of the server for each URI.
    picks: Vec<Option<u32>>,
}

#[test]
fn url_hash_decides_as_nginx_did() {
    let entry = registry::find("url_hash").expect("a policy of this name");
    let engine = Engine::new(Limits::default()).expect("an engine");
    let bytes = entry.component.expect("it is built");
    let component = ComponentPolicy::load(&engine, bytes, entry.name).expect("a component");
    let text = data::text(&data::repository().join("tests/fixtures/nginx/url_hash.txt"));
    let (uris, cases) = read(&text);
    let mut compared = 0;
    for case in &cases {
        // Their names are of no account to the plain way.
        if case.is_spelt && case.is_consistent {
            continue;
        }
        for policy in [entry.native, &component] {
            compared += compare(case, &uris[case.uris], policy);
        }
    }
    println!("{compared} decisions alike in {} cases", cases.len());
    assert!(compared > 100_000, "{compared}");
}

fn compare(case: &Case<'_>, uris: &[Vec<u8>], policy: &dyn Policy) -> usize {
    let consistent = Parameter {
        key: "consistent".to_owned(),
        value: case.is_consistent.to_string(),
    };
    let mut scheduler = policy
        .start(Timestamp(0), &SERVICE, &[consistent], 0)
        .expect("the parameter is accepted");
    // As they are added one by one, newest first.
    for count in 0..=case.servers.len() {
        let newest_first: Vec<Server> = case.servers[..count].iter().rev().copied().collect();
        scheduler.set_servers(&newest_first).expect("no fault");
    }
    assert_eq!(uris.len(), case.picks.len(), "{}", case.title);
    for (uri, pick) in uris.iter().zip(&case.picks) {
        let request = Request::Http {
            method: "GET",
            target: uri,
            host: None,
        };
        let chosen = scheduler
            .schedule_request(Timestamp(0), &FLOW, Some(&request), None)
            .expect("no fault");
        let uri = String::from_utf8_lossy(uri);
        assert_eq!(chosen.map(|id| id.0), *pick, "{} {uri}", case.title);
    }
    uris.len()
}

#[test]
fn what_is_hashed_of_a_target() {
    let entry = registry::find("url_hash").expect("a policy of this name");
    let text = data::text(&data::repository().join("tests/fixtures/nginx/url_hash.txt"));
    let mut compared = 0;
    for line in text.lines() {
        let Some(line) = line.strip_prefix("request 200|") else {
            continue;
        };
        let (hashed, line) = line.split_once('|').expect("a request line");
        if !hashed.starts_with('/') {
            continue; // No request has such a target to compare with.
        }
        let target = line.split_whitespace().nth(1).expect("a target");
        assert_eq!(
            server_of(entry.native, target),
            server_of(entry.native, hashed),
            "{line}"
        );
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}

/// Among many servers.
fn server_of(policy: &dyn Policy, target: &str) -> Option<ServerId> {
    let mut scheduler = policy
        .start(Timestamp(0), &SERVICE, &[], 0)
        .expect("no parameters are needed");
    let servers: Vec<Server> = (0..1009)
        .map(|id| server(id, 1, SocketAddr::from(([10, 1, 1, 1], 80))))
        .collect();
    scheduler.set_servers(&servers).expect("no fault");
    let target = bytes(target);
    let request = Request::Http {
        method: "GET",
        target: &target,
        host: None,
    };
    scheduler
        .schedule_request(Timestamp(0), &FLOW, Some(&request), None)
        .expect("no fault")
}

fn server(id: u32, weight: u32, address: SocketAddr) -> Server {
    Server {
        id: ServerId(id),
        address: address.ip().into(),
        port: address.port(),
        weight,
        active: 0,
        inactive: 0,
        status: 0,
    }
}

fn read(text: &str) -> (BTreeMap<&str, Vec<Vec<u8>>>, Vec<Case<'_>>) {
    let mut uris: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    let mut list = "";
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "#" | "request" => {}
            "uris" => list = rest,
            "uri" => uris.entry(list).or_default().push(bytes(rest)),
            "case" => cases.push(case(rest)),
            _ => {
                let case = cases.last_mut().expect("a case before its servers");
                match word {
                    "server" => add_server(case, rest),
                    "picks" => add_picks(case, rest),
                    _ => panic!("{line}"),
                }
            }
        }
    }
    (uris, cases)
}

fn case(line: &str) -> Case<'_> {
    let mut words: Vec<&str> = line.split(' ').collect();
    let retries = words[1] == "retry";
    if retries {
        words.remove(1);
    }
    Case {
        title: line,
        is_consistent: words[0] == "consistent",
        retries,
        uris: words[1],
        ..Case::default()
    }
}

/// `10.1.0.1:80 5`, `10.1.0.1:80 5 down`, `shop-a 1 = 10.9.0.1:80`.
fn add_server(case: &mut Case<'_>, line: &str) {
    let (line, spelt) = match line.split_once(" = ") {
        Some((line, address)) => (line, Some(address)),
        None => (line, None),
    };
    let mut words = line.split(' ');
    let name = words.next().expect("a name");
    let weight = words.next().expect("a weight").parse().expect("a number");
    let address: SocketAddr = spelt.unwrap_or(name).parse().expect("an address");
    case.is_spelt |= spelt.is_some();
    let mut server = server(case.servers.len() as u32, weight, address);
    if words.next() == Some("down") {
        server.status = STATUS_OVERLOADED;
    }
    case.servers.push(server);
}

fn add_picks(case: &mut Case<'_>, line: &str) {
    let retries = case.retries;
    let picks = line.split(' ').map(|pick| {
        let first = pick.split(',').next().expect("a pick");
        assert!(retries || first == pick, "{pick}");
        (first != "-").then(|| first.parse().expect("a number"))
    });
    case.picks.extend(picks);
}

/// `\xHH` is a byte.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().expect("the first part").as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}
