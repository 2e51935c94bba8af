//! Persistence with marks, port 0 and templates.

use std::sync::atomic::Ordering::Relaxed;

use equipoise_core::{
    CannotCreate, Outcome, Packet, Persistence, Protocol, ServiceConfig, ServiceKey, Settings,
    TcpFlags, Timeouts,
};

use crate::set::{CLIENT, Set, Turns, syn, tcp};

fn persistent(key: ServiceKey) -> ServiceConfig {
    let persistence = Some(Persistence {
        timeout_s: 50,
        netmask: Persistence::EVERY_CLIENT,
    });
    ServiceConfig {
        key,
        persistence,
        one_packet: false,
    }
}

#[test]
fn a_mark_keeps_a_client_on_one_server_over_ports_and_protocols() {
    let key = ServiceKey::Mark {
        family: equipoise_core::Family::Ipv4,
        mark: 7,
    };
    let settings = Settings {
        batching: true,
        ..Settings::default()
    };
    let turns = Turns {
        batch_limit: 1024,
        ..Turns::default()
    };
    let mut set = Set::up(settings, persistent(key), &turns, None);
    let marked = |packet: Packet| Packet { mark: 7, ..packet };
    set.send(0, &marked(syn(CLIENT, 1)));
    set.send(
        0,
        &marked(Packet {
            destination_port: 443,
            ..syn(CLIENT, 2)
        }),
    );
    let datagram = Packet {
        protocol: Protocol::Udp,
        flags: TcpFlags::empty(),
        ..syn(CLIENT, 3)
    };
    set.send(0, &marked(datagram));
    set.send(0, &marked(syn(CLIENT + 1, 1)));
    assert_eq!(set.send(0, &syn(CLIENT, 4)), Outcome::NotServed);
    assert_eq!(set.decisions(), "2 2t 2t 1");
}

#[test]
fn a_port_0_service_keeps_a_client_over_ports_of_one_protocol() {
    let mut set = Set::up(
        Settings::default(),
        persistent(tcp(0)),
        &Turns::default(),
        None,
    );
    set.send(0, &syn(CLIENT, 1));
    set.send(
        0,
        &Packet {
            destination_port: 443,
            ..syn(CLIENT, 2)
        },
    );
    assert_eq!(set.decisions(), "2 2t");
}

#[test]
fn a_port_0_service_without_persistence_refuses_every_port() {
    let config = ServiceConfig {
        key: tcp(0),
        persistence: None,
        one_packet: false,
    };
    let mut set = Set::up(Settings::default(), config, &Turns::default(), None);
    set.send(0, &syn(CLIENT, 1));
    assert_eq!(set.decisions(), "-p");
}

#[test]
fn another_port_of_a_persistent_ftp_service_passes_where_there_is_no_destination() {
    for batch_limit in [0, 1024] {
        let settings = Settings {
            batching: true,
            ..Settings::default()
        };
        let policy = Turns {
            batch_limit,
            ..Turns::default()
        };
        let mut set = Set::up(settings, persistent(tcp(21)), &policy, None);
        let to = |client: u32, destination_port: u16| Packet {
            destination_port,
            ..syn(client, 4000 + destination_port)
        };
        // A server there is: the client's commands and data go to the same one.
        assert_eq!(set.send(0, &to(CLIENT, 2000)), Outcome::Decision);
        assert_eq!(set.send(0, &to(CLIENT, 21)), Outcome::Decision);
        set.delete_servers();
        let passes = Outcome::CannotCreate {
            service: set.service,
            why: CannotCreate::FtpData,
        };
        // Refusals of the service's own port stay refusals, also while they wait.
        assert_eq!(set.send(0, &to(CLIENT + 1, 21)), Outcome::Decision);
        assert_eq!(set.send(0, &to(CLIENT + 1, 2001)), passes);
        assert_eq!(set.send(0, &to(CLIENT, 2001)), passes);
        assert_eq!(set.send(0, &to(CLIENT, 21)), Outcome::Dropped);
        assert_eq!(set.decisions(), "2 2t -n", "batch {batch_limit}");
        assert_eq!(set.director.observer.later, 0, "batch {batch_limit}");
        assert_eq!(set.director.connection_count(), 2, "batch {batch_limit}");
        assert_eq!(policy.asked.load(Relaxed), 4, "batch {batch_limit}");
    }
}

#[test]
fn a_template_lives_on_in_steps_of_60_seconds_while_it_controls_connections() {
    let timeouts = Timeouts {
        tcp_s: 1_000,
        ..Timeouts::default()
    };
    let settings = Settings {
        timeouts,
        ..Settings::default()
    };
    let mut set = Set::up(settings, persistent(tcp(80)), &Turns::default(), None);
    set.send(0, &syn(CLIENT, 1));
    set.send(
        1,
        &Packet {
            flags: TcpFlags::ACK,
            ..syn(CLIENT, 1)
        },
    );
    // Due at 50 and again every 60 seconds, until the connection has gone at 1001.
    set.send(990, &syn(CLIENT, 2));
    assert_eq!(set.decisions(), "2 2t");
    // Its own timeout is 60 seconds now, not 50: restarted at 990, due at 1050.
    set.send(1_049, &syn(CLIENT, 3));
    assert_eq!(set.decisions(), "2 2t 2t");
    // Both are due at 1109, the older one first: the template still controls, and goes at 1169.
    set.send(1_169, &syn(CLIENT, 4));
    assert_eq!(set.decisions(), "2 2t 2t 1");
}

#[test]
fn the_real_port_is_the_servers_unless_persistence_was_reached_by_another() {
    let plain = ServiceConfig {
        key: tcp(80),
        persistence: None,
        one_packet: false,
    };
    assert_eq!(plain.real_port(8080, 80), 8080);
    assert_eq!(plain.real_port(0, 80), 80);
    assert_eq!(persistent(tcp(80)).real_port(8080, 80), 8080);
    assert_eq!(persistent(tcp(0)).real_port(8080, 443), 443);
    let mark = ServiceKey::Mark {
        family: equipoise_core::Family::Ipv4,
        mark: 7,
    };
    assert_eq!(persistent(mark).real_port(8080, 443), 443);
}
