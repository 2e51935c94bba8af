//! Laws that every policy keeps, over random traffic and reconfiguration.

#![expect(clippy::expect_used, reason = "a test ends where a scheduler faults")]

#[path = "common/traffic.rs"]
mod traffic;

use equipoise_core::batch::{KIND_SHIFT, Kind, NO_DESTINATION};
use equipoise_core::{Needs, STATUS_OVERLOADED, Server, ServerId};
use equipoise_schedulers::registry::{self, Entry};
use proptest::prelude::*;
use traffic::{SERVICE, Site, Step, list, start};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn doors_agree_and_answers_are_valid(
        steps in proptest::collection::vec(traffic::step(), 1..250),
        switches in any::<bool>(),
        seed in any::<u64>(),
    ) {
        for entry in registry::all() {
            let decisions = play(entry, &steps, switches, seed);
            prop_assert_eq!(decisions, play(entry, &steps, switches, seed), "{}", entry.name);
        }
    }

    #[test]
    fn any_words_are_survived(
        weights in proptest::collection::vec(0_u32..4, 0..20),
        keys in proptest::collection::vec(any::<u64>(), 0..50),
        events in proptest::collection::vec(word(), 0..200),
    ) {
        let arrivals = events.iter().filter(|event| *event >> KIND_SHIFT <= 2).count();
        for entry in registry::all() {
            let mut scheduler = start(entry, false, 0);
            scheduler.set_servers(&list(&weights)).expect("no fault");
            let mut answers = vec![7];
            scheduler.run(&keys, &events, &mut answers).expect("no fault");
            prop_assert_eq!(answers.len(), 1 + arrivals);
            let mut afresh = Vec::new();
            let mut other = start(entry, false, 0);
            other.set_servers(&list(&weights)).expect("no fault");
            other.run(&keys, &events, &mut afresh).expect("no fault");
            prop_assert_eq!(&answers[1..], &afresh[..], "{}: answers are appended", entry.name);
            let listed = |answer: &u32| *answer == NO_DESTINATION || (*answer as usize) < weights.len();
            prop_assert!(answers[1..].iter().all(listed), "{}", entry.name);
        }
    }
}

/// Any word, but with places near the list more often than not.
fn word() -> impl Strategy<Value = u32> {
    let near = (0_u32..16, any::<bool>(), 0_u32..24);
    let near =
        near.prop_map(|(kind, local, place)| kind << KIND_SHIFT | u32::from(local) << 27 | place);
    prop_oneof![4 => near, 1 => any::<u32>()]
}

/// Plays the steps through the typed door, and again in batches of the same connections; checks
/// each answer on the way.
fn play(entry: &Entry, steps: &[Step], switches: bool, seed: u64) -> Vec<Option<ServerId>> {
    let mut site = Site::default();
    let mut typed = start(entry, switches, seed);
    let mut batch = start(entry, switches, seed);
    typed.set_servers(&[]).expect("no fault");
    batch.set_servers(&[]).expect("no fault");
    let mut decisions = Vec::new();
    for step in steps {
        if site.changes_list(step) {
            site.flush(batch.as_mut(), entry.name);
            site.apply(step, entry.needs);
            typed.set_servers(&site.list).expect("no fault");
            batch.set_servers(&site.list).expect("no fault");
            continue;
        }
        let Some((kind, flow)) = site.apply(step, entry.needs) else {
            continue;
        };
        let loads = site.take_changed();
        let changed = (!loads.is_empty()).then_some(loads.as_slice());
        let chosen = typed.schedule(site.now, &flow, changed).expect("no fault");
        check(entry, &site, chosen);
        site.place(entry.needs, kind, &flow, chosen);
        decisions.push(chosen);
        if site.pending() == 40 {
            site.flush(batch.as_mut(), entry.name);
        }
    }
    site.flush(batch.as_mut(), entry.name);
    decisions
}

fn check(entry: &Entry, site: &Site, chosen: Option<ServerId>) {
    let is_usable = |server: &Server| server.weight > 0 && server.status & STATUS_OVERLOADED == 0;
    let Some(id) = chosen else {
        let could_choose = !site.list.is_empty() && site.list.iter().all(is_usable);
        assert!(
            !(entry.always_chooses && could_choose),
            "{}: a refusal",
            entry.name
        );
        return;
    };
    let listed = site.list.iter().find(|server| server.id == id);
    let server = listed.expect("a listed server");
    assert!(server.weight > 0, "{}: a quiesced server", entry.name);
    // lblc's header: a remembered server is given even while it is overloaded.
    let overloaded = server.status & STATUS_OVERLOADED != 0;
    assert!(
        !overloaded || entry.name == "lblc",
        "{}: an overloaded server",
        entry.name
    );
}

#[test]
fn a_lone_usable_server_is_always_found() {
    for entry in registry::all() {
        // Hashing falls back to it with the switches on; dh has none.
        if entry.name == "dh" {
            continue;
        }
        let mut scheduler = start(entry, true, 0);
        let weights = [0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        scheduler.set_servers(&list(&weights)).expect("no fault");
        let flow = traffic::flow(1, 2);
        let chosen = scheduler
            .schedule(SERVICE.1, &flow, None)
            .expect("no fault");
        assert_eq!(chosen, Some(ServerId(2)), "{}", entry.name);
    }
}

#[test]
fn nothing_is_read_that_is_not_named() {
    for entry in registry::all() {
        let blank = |needs: Needs| !entry.needs.contains(needs);
        let answers = [false, true].map(|zero| {
            let mut scheduler = start(entry, false, 9);
            scheduler
                .set_servers(&list(&[3, 1, 2, 5]))
                .expect("no fault");
            let decide = |n: u32| {
                let mut flow = traffic::flow(n * 7, n * 11);
                if zero && blank(Needs::CLIENT) {
                    (flow.client, flow.client_port) = (traffic::flow(0, 0).client, 0);
                }
                if zero && blank(Needs::DESTINATION) {
                    (flow.destination, flow.destination_port) =
                        (traffic::flow(0, 0).destination, 0);
                }
                scheduler
                    .schedule(SERVICE.1, &flow, None)
                    .expect("no fault")
            };
            (0..40).map(decide).collect::<Vec<_>>()
        });
        assert_eq!(answers[0], answers[1], "{}", entry.name);
    }
}

#[test]
fn reserved_kinds_and_places_out_of_range_are_void() {
    for entry in registry::all() {
        let answers = [false, true].map(|noise| {
            let mut scheduler = start(entry, false, 0);
            scheduler.set_servers(&list(&[1, 1, 1])).expect("no fault");
            let mut events = vec![];
            if noise {
                events.extend([
                    15 << KIND_SHIFT,
                    Kind::Overloaded.word(1 << 27),
                    Kind::Overloaded.word(3),
                ]);
            }
            events.push(Kind::ArriveActive.word(0));
            let mut answers = Vec::new();
            scheduler
                .run(&[1; 5], &events, &mut answers)
                .expect("no fault");
            answers
        });
        assert_eq!(answers[0], answers[1], "{}", entry.name);
    }
}
