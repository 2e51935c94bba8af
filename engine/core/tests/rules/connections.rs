//! Timers, reuse, datagrams one by one, and replies.

use std::sync::Arc;

use equipoise_core::{
    Address, Outcome, Packet, Protocol, Scheduling, ServiceConfig, ServiceKey, Settings, State,
    Sysctls, TcpFlags, Timestamp,
};

use crate::set::{CLIENT, Set, Turns, VIP, server, syn, tcp};

#[test]
fn timers_fire_before_the_packet_that_comes_at_their_deadline() {
    let mut set = Set::plain(&Turns::default());
    set.send(0, &syn(CLIENT, 1));
    assert_eq!(set.send(59, &syn(CLIENT, 1)), Outcome::Forwarded);
    assert_eq!(set.send(59 + 60, &syn(CLIENT, 1)), Outcome::Decision);
    assert_eq!(set.decisions(), "2 1");
}

#[test]
fn time_never_goes_back() {
    let mut set = Set::plain(&Turns::default());
    set.send(100, &syn(CLIENT, 1));
    set.send(3, &syn(CLIENT, 2));
    assert_eq!(set.director.now(), Timestamp(100 * Timestamp::SECOND));
}

#[test]
fn reuse_of_a_closed_connection_follows_the_switch() {
    let reset = |packet: Packet| Packet {
        flags: TcpFlags::RST,
        ..packet
    };
    for (conn_reuse_mode, wanted) in [(0, "2"), (1, "2 1r"), (2, "2 1r")] {
        let sysctls = Sysctls {
            conn_reuse_mode,
            ..Sysctls::default()
        };
        let config = ServiceConfig {
            key: tcp(80),
            persistence: None,
            one_packet: false,
        };
        let settings = Settings {
            sysctls,
            ..Settings::default()
        };
        let mut set = Set::up(settings, config, &Turns::default(), None);
        let packet = syn(CLIENT, 1);
        set.send(0, &packet);
        set.send(
            0,
            &Packet {
                flags: TcpFlags::ACK,
                ..packet
            },
        );
        set.send(0, &reset(packet));
        set.send(0, &packet);
        assert_eq!(set.decisions(), wanted, "mode {conn_reuse_mode}");
        let state = set.director.connection(&packet).map(|view| view.state);
        assert_eq!(state, Some(State::SynRecv));
    }
}

#[test]
fn one_packet_scheduling_decides_each_datagram_and_keeps_nothing() {
    let key = ServiceKey::Address {
        protocol: Protocol::Udp,
        address: VIP,
        port: 80,
    };
    let config = ServiceConfig {
        key,
        persistence: None,
        one_packet: true,
    };
    let turns = Turns {
        batch_limit: 1024,
        ..Turns::default()
    };
    let settings = Settings {
        batching: true,
        ..Settings::default()
    };
    let mut set = Set::up(settings, config, &turns, None);
    let datagram = Packet {
        protocol: Protocol::Udp,
        flags: TcpFlags::empty(),
        ..syn(CLIENT, 1)
    };
    for _ in 0..4 {
        set.send(0, &datagram);
    }
    assert_eq!(set.decisions(), "2 1 0 2");
    assert_eq!(set.director.connection_count(), 0);
}

#[test]
fn a_reply_to_a_refused_client_that_is_a_service_itself_is_scheduled_there() {
    for batch_limit in [0, 1024] {
        let mut set = Set::plain(&Turns {
            batch_limit,
            ..Turns::default()
        });
        set.delete_servers();
        let other = Address::v4(0x0a00_0002);
        let key = ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: other,
            port: 80,
        };
        let config = ServiceConfig {
            key,
            persistence: None,
            one_packet: false,
        };
        let scheduling = Scheduling {
            policy: Arc::new(Turns::default()),
            parameters: Vec::new(),
            seed: 0,
            fallback: None,
        };
        let second = set.director.add_service(config, scheduling).expect("two");
        set.director
            .add_server(second, server(9))
            .expect("a server");
        let from_service = Packet {
            source: other,
            source_port: 80,
            ..syn(CLIENT, 1)
        };
        let reply = Packet {
            source: VIP,
            destination: other,
            flags: TcpFlags::SYN | TcpFlags::ACK,
            ..from_service
        };
        set.send(0, &from_service);
        assert_eq!(set.send(0, &reply), Outcome::Decision);
        assert_eq!(set.decisions(), "-n 0", "batch {batch_limit}");
    }
}
