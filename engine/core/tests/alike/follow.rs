//! Directors that follow one that leads do what each does by itself.

use equipoise_core::{
    Director, Flow, ForwardingMethod, Outcome, Protocol, Script, ServerConfig, ServiceIndex,
    Settings, Timestamp, Traffic,
};
use proptest::prelude::*;

use super::lives::{
    End, Event, POLICIES, Service, Told, Turns, address, director, events, settings, step,
};

/// Masquerading, direct routing, without states, and by every port, of which none is its own.
const SERVICES: [Service; 4] = [
    Service::plain(1),
    Service {
        method: ForwardingMethod::DirectRouting,
        ..Service::plain(2)
    },
    Service {
        protocol: Protocol::Udp,
        ..Service::plain(3)
    },
    Service {
        end: (address(4), 0),
        ..Service::plain(4)
    },
];

/// Clients of each service, services as others' clients, and one that is its own.
fn ends(flow: usize) -> (Protocol, [End; 2]) {
    match flow {
        0..9 => {
            let service = SERVICES[flow % 3];
            let client = (address(100), 4000 + flow as u16 / 3);
            (service.protocol, [client, service.end])
        }
        // Port 0 is its own, any other is not.
        9 => (Protocol::Tcp, [(address(100), 4000), SERVICES[3].end]),
        10 => (Protocol::Tcp, [SERVICES[0].end, SERVICES[1].end]),
        11 => (Protocol::Tcp, [SERVICES[1].end, SERVICES[0].end]),
        12 => (Protocol::Tcp, [SERVICES[0].end, SERVICES[0].end]),
        _ => (Protocol::Tcp, [(address(100), 4000), (address(4), 80)]),
    }
}

/// Each by itself, until a failure ends it.
fn alone(mut director: Director<Told>, events: &[Event]) -> (Told, Timestamp) {
    for event in events {
        if director.is_stopped() {
            break;
        }
        if let Event::Packet(now, packet, tag) = event {
            director.packet(*now, packet, *tag);
            director.first_response(packet, now.0);
        }
    }
    director.finish();
    let now = director.now();
    (director.observer, now)
}

/// One that leads, and the others, which follow whenever `part` events or more are written down.
fn together(
    mut directors: Vec<Director<Told>>,
    events: &[Event],
    part: usize,
) -> Vec<(Told, Timestamp)> {
    let mut leader = directors[0].leader().expect("they are fit");
    let mut is_done = vec![false; directors.len()];
    let mut packets = events.iter().filter_map(|event| match event {
        Event::Packet(now, packet, tag) => Some((now, packet, tag)),
        Event::Weight(_) => None,
    });
    loop {
        let next = packets.next();
        if let Some((now, packet, tag)) = next {
            while !leader.advance_a_step(*now, part) {
                follow(&mut directors, &mut leader, &mut is_done);
            }
            let outcome = leader.packet(*now, packet, *tag);
            assert_ne!(outcome, Outcome::Stopped);
            leader.first_response(packet, now.0);
        }
        if leader.observer.len() >= part || next.is_none() {
            follow(&mut directors, &mut leader, &mut is_done);
        }
        if next.is_none() {
            break;
        }
    }
    for (director, is_done) in directors.iter_mut().zip(is_done) {
        if !is_done {
            director.finish_following(leader.leader_table());
        }
    }
    let ends = directors.into_iter().map(|director| {
        let now = director.now();
        (director.observer, now)
    });
    ends.collect()
}

fn follow(directors: &mut [Director<Told>], leader: &mut Director<Script>, is_done: &mut [bool]) {
    for (director, is_done) in directors.iter_mut().zip(is_done) {
        if !*is_done {
            director.follow(&leader.observer, leader.now());
            if director.is_stopped() {
                director.finish_following(leader.leader_table());
                *is_done = true;
            }
        }
    }
    leader.observer.clear();
}

/// What is told of connections, without the place between counters: those that end with the trace
/// come in the order of another table.
fn closed(told: &mut Told) -> Vec<(u32, u32, Flow, Traffic)> {
    let closed = std::mem::take(&mut told.closed);
    let mut closed: Vec<_> = closed
        .into_iter()
        .map(|(_, service, server, flow, traffic)| (service.0, server, flow, traffic))
        .collect();
    closed.sort_by_key(|(service, server, flow, _)| {
        (*service, *server, flow.client, flow.client_port)
    });
    closed
}

fn assert_alike(
    settings: Settings,
    policies: &[(Turns, Option<Turns>)],
    events: &[Event],
    part: usize,
) {
    let make = |&(policy, fallback): &(Turns, Option<Turns>)| {
        director(settings, &SERVICES, policy, fallback)
    };
    let together = together(policies.iter().map(make).collect(), events, part);
    for (policy, (mut told, now)) in policies.iter().zip(together) {
        let (mut own, end) = alone(make(policy), events);
        assert_eq!(now, end, "{policy:?}");
        assert_eq!(closed(&mut told), closed(&mut own), "{policy:?}");
        // Those of different services wait for each other here.
        told.decisions.sort_by_key(|decision| decision.service);
        own.decisions.sort_by_key(|decision| decision.service);
        told.counted.sort_by_key(|(_, service, ..)| *service);
        own.counted.sort_by_key(|(_, service, ..)| *service);
        assert_eq!(told, own, "{policy:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn those_that_follow_do_as_they_would_alone(
        steps in proptest::collection::vec(step(), 1..150),
        settings in settings(),
        fails_at in 0..20u32,
        part in prop_oneof![Just(1), Just(10), Just(1_000)],
    ) {
        let failing = Turns { fails_at: Some(fails_at), ..Turns::TYPED };
        let mut policies = vec![(failing, Some(Turns::TYPED))];
        policies.extend(POLICIES.map(|policy| (policy, None)));
        if part == 1 {
            policies.push((failing, None));
        }
        assert_alike(settings, &policies, &events(&steps, ends), part);
    }
}

#[test]
fn none_leads_where_a_decision_could_change_more_than_a_server() {
    const PLAIN: Service = Service::plain(1);
    let leads = |service: Service, first: ServerConfig| {
        let mut director = director(Settings::default(), &[service], Turns::TYPED, None);
        if service.servers > 0 {
            let edited = director.edit_server(ServiceIndex(0), first);
            edited.expect("an edit");
        }
        director.leader().is_some()
    };
    let first = PLAIN.server(0, 1);
    assert!(leads(PLAIN, first));
    assert!(!leads(PLAIN, ServerConfig { weight: 0, ..first }));
    let upper_threshold = 1;
    assert!(!leads(
        PLAIN,
        ServerConfig {
            upper_threshold,
            ..first
        }
    ));
    let method = ForwardingMethod::Tunneling;
    assert!(!leads(PLAIN, ServerConfig { method, ..first }));
    assert!(!leads(
        Service {
            servers: 0,
            ..PLAIN
        },
        first
    ));
    assert!(!leads(
        Service {
            is_persistent: true,
            ..PLAIN
        },
        first
    ));
    let mut director = director(Settings::default(), &[PLAIN], Turns::TYPED, None);
    director
        .delete_server(ServiceIndex(0), first.address, first.port)
        .expect("a deletion");
    assert!(director.leader().is_none());
}
