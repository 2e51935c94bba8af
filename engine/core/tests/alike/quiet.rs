//! A director that is told of quiet packets in sums does what one does that sees them all.

use std::collections::BTreeMap;

use equipoise_core::{
    CannotCreate, Director, ForwardingMethod, Outcome, Protocol, ServiceIndex, Settings, TcpFlags,
};
use proptest::prelude::*;

use super::host::Host;
use super::lives::{
    End, Event, POLICIES, Service, Step, Told, Turns, address, director, events, settings, step,
};

/// Masquerading, direct routing, persistent, without servers, with thresholds.
const SERVICES: [Service; 5] = [
    Service::plain(1),
    Service {
        method: ForwardingMethod::DirectRouting,
        ..Service::plain(2)
    },
    Service {
        is_persistent: true,
        ..Service::plain(3)
    },
    Service {
        servers: 0,
        ..Service::plain(4)
    },
    Service {
        upper_threshold: 2,
        ..Service::plain(5)
    },
];

/// What a flow's packets go between: clients of each service, services as others' clients, one
/// that is its own, and one that nobody serves.
fn ends(flow: usize) -> (Protocol, [End; 2]) {
    let ends = match flow {
        0..10 => [
            (address(100), 4000 + flow as u16 / 5),
            SERVICES[flow % 5].end,
        ],
        10 => [SERVICES[0].end, SERVICES[1].end],
        11 => [SERVICES[0].end, SERVICES[3].end],
        12 => [SERVICES[0].end, SERVICES[0].end],
        _ => [(address(100), 4000), (address(9), 80)],
    };
    (Protocol::Tcp, ends)
}

fn edit(director: &mut Director<Told>, weight: u32) {
    director
        .edit_server(ServiceIndex(0), SERVICES[0].server(0, weight))
        .expect("an edit");
}

type Ignored = BTreeMap<(ServiceIndex, CannotCreate), u64>;

/// By address, every packet. What is due at once goes before a change and before the end, as with
/// the host.
fn watch(mut director: Director<Told>, events: &[Event]) -> (Told, Ignored) {
    let mut ignored = Ignored::new();
    for event in events {
        match event {
            Event::Weight(weight) => {
                let now = director.now();
                director.advance(now);
                edit(&mut director, *weight);
            }
            Event::Packet(now, packet, tag) => {
                let outcome = director.packet(*now, packet, *tag);
                if let Outcome::CannotCreate { service, why } = outcome {
                    *ignored.entry((service, why)).or_default() += 1;
                }
                if packet.flags == TcpFlags::SYN | TcpFlags::ACK {
                    director.first_response(packet, now.0);
                }
            }
        }
    }
    let now = director.now();
    director.advance(now);
    director.finish();
    (director.observer, ignored)
}

/// By flow, through a host that holds back within `limit`.
fn host(director: Director<Told>, events: &[Event], limit: u64) -> Host<Told> {
    let mut host = Host::new(director, limit);
    for event in events {
        match event {
            Event::Weight(weight) => edit(host.director_now(), *weight),
            Event::Packet(now, packet, tag) => host.packet(*now, packet, *tag),
        }
    }
    host.finish();
    host
}

/// Packets of refused connections are told by the one way or the other.
fn sum(told: &mut Told, ignored: &Ignored) -> u64 {
    std::mem::take(&mut told.later) + ignored.values().sum::<u64>()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn held_back_packets_change_nothing(
        steps in proptest::collection::vec(step(), 1..150),
        settings in settings(),
        policy in proptest::sample::select(POLICIES.to_vec()),
    ) {
        let events = events(&steps, ends);
        let (mut all, ignored) = watch(director(settings, &SERVICES, policy, None), &events);
        let by_flow = host(director(settings, &SERVICES, policy, None), &events, 0);
        prop_assert_eq!(&by_flow.ignored, &ignored);
        prop_assert_eq!(&by_flow.director.observer, &all);

        let mut holding = host(director(settings, &SERVICES, policy, None), &events, settings.quiet_limit());
        prop_assert_eq!(holding.made, by_flow.made);
        let held_sum = sum(&mut holding.director.observer, &holding.ignored);
        prop_assert_eq!(held_sum, sum(&mut all, &ignored));
        prop_assert_eq!(&holding.director.observer, &all);
    }
}

#[test]
fn the_host_of_these_tests_holds_most_packets_back() {
    let step = |flags, from_client, repeats| Step {
        gap_ms: 1,
        flow: 0,
        from_client,
        flags,
        repeats,
        weight: None,
    };
    let steps = [
        step(TcpFlags::SYN, true, 0),
        step(TcpFlags::SYN | TcpFlags::ACK, false, 0),
        step(TcpFlags::ACK, false, 0),
        step(TcpFlags::ACK, true, 10),
        step(TcpFlags::ACK, false, 10),
        step(TcpFlags::ACK, true, 99),
    ];
    let settings = Settings::default();
    let limit = settings.quiet_limit();
    let host = host(
        director(settings, &SERVICES, Turns::TYPED, None),
        &events(&steps, ends),
        limit,
    );
    // Both ends talk for the first 22; of the client's last hundred only those are held back that
    // come within five seconds of the server's last.
    assert!((20..40).contains(&host.held), "{}", host.held);
    let [(.., traffic)] = &host.director.observer.closed[..] else {
        panic!("one connection")
    };
    assert_eq!((traffic.packets_in, traffic.packets_out), (112, 13));
}
