//! Directors that start again, and what they tell each other of connections.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

use std::sync::Arc;

use equipoise_core::{
    Address, Counters, Director, Fault, Flow, FlowId, ForwardingMethod, Load, Needs, Packet,
    Parameter, Persistence, Policy, Protocol, Scheduler, Scheduling, Server, ServerConfig,
    ServerId, ServiceConfig, ServiceIdentity, ServiceIndex, ServiceKey, Settings, Table, Tag,
    TcpFlags, Timestamp,
};

/// Gives the server that was added last.
struct Newest;

struct NewestScheduler(Vec<Server>);

impl Policy for Newest {
    fn start(
        &self,
        _: Timestamp,
        _: &ServiceIdentity,
        _: &[Parameter],
        _: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        Ok(Box::new(NewestScheduler(Vec::new())))
    }
}

impl Scheduler for NewestScheduler {
    fn needs(&self) -> Needs {
        Needs::empty()
    }

    fn set_servers(&mut self, servers: &[Server]) -> Result<(), Fault> {
        self.0 = servers.to_vec();
        Ok(())
    }

    fn schedule(
        &mut self,
        _: Timestamp,
        _: &Flow,
        _: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        Ok(self.0.first().map(|server| server.id))
    }
}

const SERVICE: ServiceIndex = ServiceIndex(0);
const FLOW: FlowId = FlowId(7);

fn server(last: u32) -> ServerConfig {
    ServerConfig {
        address: Address::v4(0x0a01_0000 + last),
        port: 80,
        weight: 1,
        method: ForwardingMethod::Masquerading,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn director(persistence: Option<Persistence>) -> Director<()> {
    let mut director = Director::new(Settings::default(), ());
    let config = ServiceConfig {
        key: ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: Address::v4(0x0a00_0001),
            port: 80,
        },
        persistence,
        one_packet: false,
    };
    let scheduling = Scheduling {
        policy: Arc::new(Newest),
        parameters: Vec::new(),
        seed: 0,
        fallback: None,
    };
    director
        .add_service(config, scheduling)
        .expect("a new service");
    for last in 1..=2 {
        director
            .add_server(SERVICE, server(last))
            .expect("a new server");
    }
    director
}

fn packet(flags: TcpFlags) -> Packet {
    Packet {
        source: Address::v4(0xc612_0007),
        destination: Address::v4(0x0a00_0001),
        source_port: 4000,
        destination_port: 80,
        protocol: Protocol::Tcp,
        flags,
        length: 40,
        mark: 0,
    }
}

fn reply(flags: TcpFlags) -> Packet {
    let packet = packet(flags);
    Packet {
        source: packet.destination,
        destination: packet.source,
        source_port: packet.destination_port,
        destination_port: packet.source_port,
        ..packet
    }
}

const fn at(second: u64) -> Timestamp {
    Timestamp(second * Timestamp::SECOND)
}

/// A connection that has been opened; the client's second packet was the last.
fn opened(director: &mut Director<()>) {
    let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
    director.packet_of_flow(at(0), FLOW, &packet(TcpFlags::SYN), Tag(0));
    assert!(director.message(FLOW, &packet(TcpFlags::SYN)).is_none());
    director.packet_of_flow(at(0), FLOW, &reply(syn_ack), Tag(1));
    director.packet_of_flow(at(0), FLOW, &packet(TcpFlags::ACK), Tag(2));
    assert!(director.message(FLOW, &packet(TcpFlags::ACK)).is_none());
}

#[test]
fn others_are_told_after_three_packets_and_every_fiftieth_and_of_each_closing() {
    let mut director = director(None);
    opened(&mut director);
    let ack = packet(TcpFlags::ACK);
    let mut told = Vec::new();
    for number in 3..=110 {
        director.packet_of_flow(at(1), FLOW, &ack, Tag(number));
        if director.message(FLOW, &ack).is_some() {
            told.push(number);
        }
        director.packet_of_flow(at(1), FLOW, &reply(TcpFlags::ACK), Tag(number));
        // Only clients' packets bring it about.
        assert!(director.message(FLOW, &reply(TcpFlags::ACK)).is_none());
    }
    assert_eq!(told, [3, 53, 103]);
    let fin = packet(TcpFlags::FIN | TcpFlags::ACK);
    director.packet_of_flow(at(2), FLOW, &fin, Tag(0));
    assert!(director.message(FLOW, &fin).is_some());
    // Of a closing that a reply brought about the next packet of the client's tells.
    director.packet_of_flow(at(2), FLOW, &reply(TcpFlags::FIN | TcpFlags::ACK), Tag(0));
    director.packet_of_flow(at(2), FLOW, &ack, Tag(0));
    assert!(director.message(FLOW, &ack).is_some());
    director.packet_of_flow(at(2), FLOW, &ack, Tag(0));
    assert!(director.message(FLOW, &ack).is_none());
}

#[test]
fn what_was_told_is_an_entry_as_long_as_its_state_lives() {
    let (mut one, mut other) = (director(None), director(None));
    opened(&mut one);
    let ack = packet(TcpFlags::ACK);
    one.packet_of_flow(at(1), FLOW, &ack, Tag(3));
    let message = one.message(FLOW, &ack).expect("the third packet");
    let stranger = Packet {
        source_port: 1,
        ..ack
    };
    let said = (&message, at(1));
    assert!(!other.take_message(at(900), FLOW, &stranger, said));
    // 900 s of silence in an established connection.
    assert!(!director(None).take_message(at(901), FLOW, &ack, said));
    assert!(other.take_message(at(900), FLOW, &ack, said));
    other.packet_of_flow(at(900), FLOW, &ack, Tag(4));
    other.settle();
    let given = other.server(SERVICE, 1).expect("a server").counters;
    assert_eq!((given.active, given.inactive), (1, 0));
    // It goes on from the third packet, so the fiftieth here is told of.
    for number in 2..=50 {
        assert!(other.message(FLOW, &ack).is_none(), "{number}");
        other.packet_of_flow(at(901), FLOW, &ack, Tag(number));
    }
    assert!(other.message(FLOW, &ack).is_some());
    // And what comes later is brought up to date.
    let fin = packet(TcpFlags::FIN | TcpFlags::ACK);
    one.packet_of_flow(at(2), FLOW, &fin, Tag(5));
    let message = one.message(FLOW, &fin).expect("it closes");
    assert!(!other.take_message(at(902), FLOW, &ack, (&message, at(902))));
    other.settle();
    let given = other.server(SERVICE, 1).expect("a server").counters;
    assert_eq!((given.active, given.inactive), (0, 1));
    other.advance(at(902 + 60));
    assert!(!other.knows(FLOW));
}

#[test]
fn a_template_that_was_told_of_is_used() {
    let persistence = Persistence {
        timeout_s: 30,
        netmask: Persistence::ipv4_netmask(u32::MAX),
    };
    let (mut one, mut other) = (director(Some(persistence)), director(Some(persistence)));
    opened(&mut one);
    let ack = packet(TcpFlags::ACK);
    one.packet_of_flow(at(1), FLOW, &ack, Tag(3));
    let message = one.message(FLOW, &ack).expect("the third packet");
    let (key, template) = message.template.expect("it has one");
    let syn = Packet {
        source_port: 4001,
        ..packet(TcpFlags::SYN)
    };
    assert_eq!(other.template_key(&syn), Some(key));
    let said = (&template, at(1));
    assert!(!director(Some(persistence)).take_template(at(31), &key, said));
    assert!(other.take_template(at(30), &key, said));
    assert!(!other.take_template(at(30), &key, said));
    // One that was asked would now choose another.
    other.add_server(SERVICE, server(3)).expect("a new server");
    other.packet_of_flow(at(30), FlowId(8), &syn, Tag(4));
    let connection = other.active_flows().next();
    assert_eq!(connection, Some((FlowId(8), SERVICE)));
    other.settle();
    let given = other.server(SERVICE, 1).expect("a server").counters;
    assert_eq!(given.active, 1);
}

#[test]
fn a_restart_keeps_the_configuration_and_the_table_where_it_is_told_to() {
    for table in [Table::Kept, Table::Lost] {
        let mut director = director(None);
        opened(&mut director);
        director
            .add_server(SERVICE, server(9))
            .expect("a new server");
        director
            .delete_server(SERVICE, server(1).address, 80)
            .expect("it is there");
        let before: Vec<u32> = director.servers(SERVICE).map(|server| server.id).collect();
        director.restart(table);
        let after: Vec<u32> = director.servers(SERVICE).map(|server| server.id).collect();
        assert_eq!((&before, before.as_slice()), (&after, &[2, 1][..]));
        let is_kept = table == Table::Kept;
        assert_eq!(director.knows(FLOW), is_kept);
        let counters = director.server(SERVICE, 1).expect("a server").counters;
        assert_eq!(counters != Counters::default(), is_kept);
        let (mut made, mut gone) = (Vec::new(), Vec::new());
        director.take_flow_changes(&mut made, &mut gone);
        assert_eq!((made.len(), gone.len()), (1, usize::from(!is_kept)));
        // The timer of an entry that is gone ends nobody else's.
        director.packet_of_flow(at(899), FLOW, &packet(TcpFlags::SYN), Tag(9));
        director.advance(at(901));
        assert!(director.knows(FLOW));
        let server = if is_kept { 1 } else { 2 };
        let counters = director.server(SERVICE, server).expect("a server").counters;
        assert_eq!(counters.active, 1);
    }
}
