//! A scenario of any bytes is refused with one line, or played: its events happen in their order,
//! and what is told of them fits the run.
#![no_main]

use std::cell::RefCell;

use equipoise_fuzz::assert_one_line;
use equipoise_replay::capture::Source;
use equipoise_replay::policy::Policies;
use equipoise_replay::replay::{Options, replay};
use equipoise_replay::scenario::Scenario;
use equipoise_replay::setup::{Item, Options as Written, Setup};
use equipoise_wasm::{Engine, Limits};
use libfuzzer_sys::fuzz_target;

/// The first 600 packets of the capture in the repository: some five seconds.
const CAPTURE: &[u8] = include_bytes!("../../tests/fixtures/capture/shop.pcap");
const PACKETS: usize = 600;

thread_local! {
    static POLICIES: RefCell<Option<Policies>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    let scenario = match Scenario::parse("scenario.toml", bytes) {
        Ok(scenario) => scenario,
        Err(error) => return assert_one_line(&error.to_string()),
    };
    let servers = ["10.1.0.1:80", "10.1.0.2:80,weight=2", "10.1.0.3:80"];
    let mut items = vec![Item::Service("10.0.0.1:80".to_owned())];
    items.extend(servers.map(|server| Item::Server(server.to_owned())));
    let written = Written {
        items,
        policies: vec!["wlc".to_owned(), "rr".to_owned()],
        ..Written::default()
    };
    let setup = Setup::assemble(&written).expect("a sound set-up");
    let options = Options {
        scenario: Some(scenario),
        threads: 1,
        ..Options::default()
    };
    POLICIES.with_borrow_mut(|policies| {
        let policies = policies.get_or_insert_with(|| {
            let engine = Engine::new(Limits::default()).expect("an engine");
            Policies::new(engine, None, setup.kernel, setup.switches)
        });
        let sources = [Source::from_bytes("shop", part())];
        match replay(&sources, setup, policies, &options, &mut ()) {
            Err(error) => assert_one_line(&error.to_string()),
            Ok(outcome) => {
                for run in &outcome.report.runs {
                    let service = &run.services[0];
                    let happened = service
                        .events
                        .iter()
                        .map_while(|event| event.at_ns.zip(event.after_connections));
                    let happened: Vec<(u64, u64)> = happened.collect();
                    assert!(happened.is_sorted_by_key(|&(_, after)| after));
                    let decided: u64 = service.reasons.values().sum();
                    assert!(happened.iter().all(|&(_, after)| after <= decided));
                    let rest = &service.events[happened.len()..];
                    assert!(rest.iter().all(|event| event.at_ns.is_none()));
                    let moves = service.events.iter().map(|event| &event.moves);
                    let churn = service.churn.expect("there is a scenario");
                    let again: u64 =
                        moves.clone().map(|moves| moves.clients).sum::<u64>() + churn.again;
                    assert!(again <= service.connections);
                    assert!(moves.into_iter().all(|moves| moves.moved <= moves.clients));
                    let servers: u64 = service
                        .servers
                        .iter()
                        .map(|server| server.connections)
                        .sum();
                    assert_eq!(servers, service.connections);
                    if let Some(directors) = &service.directors {
                        let each = directors.each.iter();
                        let connections: u64 = each.map(|director| director.connections).sum();
                        assert_eq!(connections, service.connections);
                        let divergence = directors.divergence;
                        assert!(divergence.differed <= divergence.clients);
                    }
                }
            }
        }
    });
});

fn part() -> Vec<u8> {
    let mut end = 24;
    for _ in 0..PACKETS {
        let length = CAPTURE[end + 8..end + 12].try_into().expect("four bytes");
        end += 16 + u32::from_le_bytes(length) as usize;
    }
    CAPTURE[..end].to_vec()
}
