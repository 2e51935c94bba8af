//! Several directors behind a router: what they know, what breaks, and how far they agree.

use super::restart::{ALL, shop_with};
use super::scenario::{events, in_order, long_lived, run_alone, scenario};
use super::*;
use equipoise_reports::model::{Directors, ServiceRun};

const SERVERS: [&str; 4] = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80", "10.1.0.4:80"];

fn service(report: &Report) -> &ServiceRun {
    &report.runs[0].services[0]
}

fn directors(report: &Report) -> &Directors {
    service(report).directors.as_ref().unwrap()
}

/// Connections of four packets of the client's, well before 100 s and again after.
fn steady(clients: u16) -> Source {
    let one = |client: u16| {
        let at = u64::from(client % 60);
        long_lived(client, &[at, at + 1, at + 2, at + 3, 100 + at, 170 + at])
    };
    in_order((0..clients).map(one))
}

fn change(remap: &str, sync: bool, event: &str) -> String {
    format!(
        "[directors]\ncount = 4\nremap = '{remap}'\nsync = {sync}\n\
         [[event]]\nat = '90s'\naction = {event}\n"
    )
}

const LEAVE: &str = "'leave'\ndirector = 'd2'";
const JOIN: &str = "'join'\ndirector = 'd5'";

fn printed_without_directors(text: &str, persistent: bool) -> String {
    let mut report = shop_with(&ALL, persistent, text);
    for run in &mut report.runs {
        run.services[0].directors = None;
    }
    report.to_json(Costs::Omitted).unwrap()
}

#[test]
fn one_director_of_a_set_is_a_director() {
    let events = "[[event]]\nat = '9s'\naction = 'down'\nserver = '10.1.0.2'\nnoticed = '2s'\n\
                  [[event]]\nat = '20s'\naction = 'policy'\npolicy = 'wlc'\n";
    for persistent in [false, true] {
        let plain = printed_without_directors(events, persistent);
        for sync in [false, true] {
            let text = format!("[directors]\ncount = 1\nsync = {sync}\n{events}");
            assert_same_lines(&printed_without_directors(&text, persistent), &plain);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the traffic: one of a set is one, several count as much as they decide, and what is
    /// shared out over threads is the same.
    #[test]
    fn several_add_up(
        segments in segments(),
        persistent in any::<bool>(),
        scale in prop_oneof![Just(1.0), Just(0.0)],
        sync in any::<bool>(),
        ecmp in prop_oneof![Just("5-tuple"), Just("client")],
    ) {
        let mut all = vec![Segment { at: 0, client: 9, from_client: true, flags: SYN, payload: 0 }];
        all.extend(segments);
        let sources = [capture(&all)];
        let written = Written {
            persistent: persistent.then(|| "30".to_owned()),
            timeouts: persistent.then(|| "20,5,5".to_owned()),
            ..written(&["10.1.0.1:80", "10.1.0.2:80,weight=3,upper=2"])
        };
        let run_of = |text: &str, threads: usize| {
            let options = Options { time_scale: scale, threads, ..scenario(text) };
            run(&sources, &written, &options, &mut ()).unwrap()
        };
        let set = |count: u32| {
            format!("[directors]\ncount = {count}\nsync = {sync}\necmp = '{ecmp}'\n")
        };
        let (plain, decisions) = run_of("", 1);
        let (one, decisions_of_one) = run_of(&set(1), 1);
        prop_assert_eq!(decisions, decisions_of_one);
        for (plain, one) in plain.runs.iter().zip(&one.runs) {
            let mut one = one.services[0].clone();
            let alone = one.directors.take().unwrap().alone;
            prop_assert!(alone.largest_difference.is_none_or(|difference| difference <= 0.0));
            prop_assert_eq!(&plain.services[0], &one);
        }
        let events = "[[event]]\nat = '20s'\naction = 'leave'\ndirector = 'd1'\n\
            [[event]]\nat = '40s'\naction = 'restart'\ndirector = 'd2'\n\
            [[event]]\nat = '60s'\naction = 'join'\ndirector = 'd1'\n";
        let text = format!("{}{events}", set(3));
        let (several, decided) = run_of(&text, 1);
        prop_assert_eq!((&several.runs, &decided), (&run_of(&text, 2).0.runs, &run_of(&text, 2).1));
        for run in &several.runs {
            let service = &run.services[0];
            let directors = service.directors.as_ref().unwrap();
            let connections: u64 = directors.each.iter().map(|one| one.connections).sum();
            prop_assert_eq!(connections, service.connections);
            let refused: u64 = directors.each.iter().map(|one| one.refused).sum();
            prop_assert_eq!(refused, service.refused_connections());
            prop_assert!(service.events.iter().all(|event| event.broken <= service.connections));
            prop_assert!(sync || directors.each.iter().all(|one| one.taken_over == 0));
        }
    }
}

#[test]
fn what_was_told_survives_a_director() {
    let told = |remap: &str, sync: bool| {
        let (report, _) = run_alone(steady(400), "wlc", &SERVERS, &change(remap, sync, LEAVE));
        let service = service(&report);
        let event = &events(&report)[0];
        let lost = service.ignored_packets.get("mid-stream").copied();
        let taken_over: u64 = directors(&report)
            .each
            .iter()
            .map(|one| one.taken_over)
            .sum();
        assert_eq!(service.connections, 400);
        (event.remapped, event.broken, lost.unwrap_or(0), taken_over)
    };
    // All that were the director's, and nothing else, go elsewhere.
    let (moved, broken, lost, taken_over) = told("resilient", true);
    assert!((70..130).contains(&moved), "{moved}");
    assert_eq!((broken, lost, taken_over), (0, 0, moved));
    let (again, broken, lost, taken_over) = told("resilient", false);
    assert_eq!(
        (again, broken, lost, taken_over),
        (moved, moved, 2 * moved, 0)
    );
    // Modulo 3 in place of 4: one in four stays where it was.
    let (moved, broken, lost, taken_over) = told("modulo", true);
    assert!((270..330).contains(&moved), "{moved}");
    assert_eq!((broken, lost, taken_over), (0, 0, moved));
    let (again, broken, lost, _) = told("modulo", false);
    assert_eq!((again, broken, lost), (moved, moved, 2 * moved));
}

/// The third packet of the client's is the first that others are told of; a closing is told at once.
#[test]
fn what_was_not_told_yet_does_not() {
    let text = "[directors]\ncount = 2\nremap = 'resilient'\nsync = true\n\
                [[event]]\nat = '50s'\naction = 'leave'\ndirector = 'd1'\n\
                [[event]]\nat = '60s'\naction = 'join'\ndirector = 'd1'\n";
    let broken = |times: &[u64]| {
        let source = in_order((0..40).map(|client| long_lived(client, times)));
        let (report, _) = run_alone(source, "rr", &SERVERS, text);
        events(&report)
            .iter()
            .map(|event| (event.remapped, event.broken))
            .collect::<Vec<_>>()
    };
    // One that joins knows nothing that was told before.
    let told = broken(&[0, 1, 2, 55, 70]);
    let (moved, back) = (told[0].0, told[1].0);
    assert!(moved > 10 && moved == back);
    assert_eq!(told, [(moved, 0), (back, back)]);
    assert_eq!(broken(&[0, 1, 55, 70])[0], (moved, moved));
}

#[test]
fn one_that_joins_takes_an_equal_share_and_knows_what_it_listened_to() {
    let told = |remap: &str, event: &str| {
        let (report, _) = run_alone(steady(500), "wlc", &SERVERS, &change(remap, true, event));
        let event = &events(&report)[0];
        (event.remapped, event.broken)
    };
    let (moved, broken) = told("resilient", JOIN);
    assert!((75..125).contains(&moved), "{moved}");
    assert_eq!(broken, moved);
    let listened = format!("{JOIN}\nlistened = '90s'");
    assert_eq!(told("resilient", &listened), (moved, 0));
    // Four in five.
    let (moved, _) = told("modulo", JOIN);
    assert!((370..430).contains(&moved), "{moved}");
}

/// What hashes the client alone agrees wherever it runs; turns do not.
#[test]
fn directors_agree_as_far_as_their_policies_know_nothing_else() {
    let set = "[directors]\ncount = 4\n";
    for policy in ["sh", "mh", "rendezvous", "dh", "fo"] {
        let divergence = directors(&shop_with(&[policy], false, set)).divergence;
        assert!(divergence.clients > 20, "{policy}: {divergence:?}");
        assert_eq!(divergence.differed, 0, "{policy}: {divergence:?}");
    }
    for policy in ["rr", "wlc", "twos", "lblc"] {
        let divergence = directors(&shop_with(&[policy], false, set)).divergence;
        assert!(
            divergence.differed * 4 > divergence.clients,
            "{policy}: {divergence:?}"
        );
    }
    // Whole clients go to one director each.
    let by_client = format!("{set}ecmp = 'client'\n");
    assert_eq!(
        directors(&shop_with(&["rr"], false, &by_client))
            .divergence
            .clients,
        0
    );
    // What they do together is not what one does.
    let alone = |policy: &str| {
        directors(&shop_with(&[policy], false, set))
            .alone
            .largest_difference
    };
    assert_eq!(alone("sh"), Some(0.0));
    assert!(alone("wlc").unwrap() > 0.0);
}

#[test]
fn templates_are_told_of_too() {
    // A client's second connection comes when its first director has gone.
    let clients = (0..60).flat_map(|client: u16| {
        let again = client + 1_024;
        [
            long_lived(client, &[0, 1, 2, 3]),
            long_lived(again, &[95, 96]),
        ]
    });
    let clients: Vec<Vec<Segment>> = clients.collect();
    let differed = |sync: bool| {
        let written = Written {
            policies: vec!["rr".to_owned()],
            persistent: Some("300".to_owned()),
            ..written(&SERVERS)
        };
        let text = format!(
            "[directors]\ncount = 3\nsync = {sync}\necmp = 'client'\n\
             [[event]]\nat = '90s'\naction = 'leave'\ndirector = 'd2'\n"
        );
        let sources = [in_order(clients.clone())];
        let (report, _) = run(&sources, &written, &scenario(&text), &mut ()).unwrap();
        let moves = &events(&report)[0].moves;
        assert_eq!(moves.clients, 60);
        moves.moved
    };
    assert_eq!(differed(true), 0);
    assert!(differed(false) > 10);
}

/// What happens to a director happens to all its services, to each what is its own.
#[test]
fn every_service_of_a_director_is_told_of() {
    let items = [
        Item::Service("10.0.0.1:80".to_owned()),
        Item::Server("10.1.0.1:80".to_owned()),
        Item::Server("10.1.0.2:80".to_owned()),
        Item::Service("10.0.0.2:80".to_owned()),
        Item::Server("10.1.0.7:80".to_owned()),
    ];
    let written = Written {
        items: items.to_vec(),
        policies: vec!["rr".to_owned()],
        ..Written::default()
    };
    let text = "[directors]\ncount = 2\n\
                [[event]]\nat = '50s'\naction = 'restart'\ndirector = 'd1'\n\
                [[event]]\nat = '60s'\naction = 'leave'\ndirector = 'd1'\n\
                [[event]]\nat = '70s'\naction = 'weight'\nservice = '10.0.0.1:80'\n\
                server = '10.1.0.2'\nweight = 7\n";
    let sources = [in_order(
        (0..40).map(|client| long_lived(client, &[0, 1, 2, 80])),
    )];
    let (report, _) = run(&sources, &written, &scenario(text), &mut ()).unwrap();
    let [used, unused] = &report.runs[0].services[..] else {
        panic!("two services")
    };
    let broken = |service: &ServiceRun| -> Vec<u64> {
        service.events.iter().map(|event| event.broken).collect()
    };
    let [restart, leave, weight] = broken(used)[..] else {
        panic!("three events")
    };
    // Whatever the first had is gone when it leaves.
    assert!((10..30).contains(&restart));
    assert_eq!((leave, weight), (0, 0));
    assert_eq!(broken(unused), [0, 0]);
    assert_eq!(used.ignored_packets["mid-stream"], restart);
    let each = &used.directors.as_ref().unwrap().each;
    assert_eq!(
        (each[0].connections, each[1].connections),
        (restart, 40 - restart)
    );
    assert_eq!(unused.directors.as_ref().unwrap().each[0].connections, 0);
}

/// Who listened since when is told by the trace's time, as events are.
#[test]
fn what_one_that_joins_or_restarts_has_heard_is_the_same_at_any_time_scale() {
    let told = |event: &str, time_scale: f64| {
        let options = Options {
            time_scale,
            ..scenario(&change("modulo", true, event))
        };
        let written = Written {
            policies: vec!["rr".to_owned()],
            timeouts: Some("90000,90000,900".to_owned()),
            ..written(&SERVERS)
        };
        let (report, _) = run(&[steady(300)], &written, &options, &mut ()).unwrap();
        let taken_over = directors(&report).each.iter().map(|one| one.taken_over);
        let event = &events(&report)[0];
        (event.remapped, event.broken, taken_over.collect::<Vec<_>>())
    };
    for event in [
        JOIN.to_owned(),
        format!("{JOIN}\nlistened = '60s'"),
        "'restart'\ndirector = 'd2'".to_owned(),
    ] {
        let expected = told(&event, 1.0);
        assert!(expected.1 > 0, "{event}");
        for time_scale in [0.0, 0.5, 2.0] {
            assert_eq!(told(&event, time_scale), expected, "{event} {time_scale}");
        }
    }
}
