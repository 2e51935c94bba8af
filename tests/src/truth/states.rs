//! The states of TCP connections that a real kernel told.

use std::sync::Arc;

use equipoise_core::{
    Address, Director, ForwardingMethod, Packet, Policy, Protocol, Scheduling, ServerConfig,
    ServiceConfig, ServiceKey, Settings, Sysctls, Tag, TcpFlags, Timestamp,
};
use serde::Deserialize;

use super::Forward;

/// One line of `tcp-states.jsonl`.
#[derive(Debug, Deserialize)]
pub struct StateSequence {
    forward: Forward,
    conn_reuse_mode: u32,
    sequence: Vec<String>,
    state: String,
    expires: u32,
}

impl StateSequence {
    /// Whether our state and timeout after the sequence are the kernel's; in words where not.
    ///
    /// # Panics
    /// Where the sequence has a step that this module does not know.
    pub fn check(&self, policy: &Arc<dyn Policy>) -> Result<(), String> {
        let sysctls = Sysctls {
            sloppy_tcp: true,
            conn_reuse_mode: self.conn_reuse_mode,
            ..Sysctls::default()
        };
        let settings = Settings {
            sysctls,
            ..Settings::default()
        };
        let mut director = Director::new(settings, ());
        let client = Packet {
            source: Address::v4(0x0b00_0001),
            destination: Address::v4(0x0a00_0001),
            source_port: 1025,
            destination_port: 80,
            protocol: Protocol::Tcp,
            flags: TcpFlags::empty(),
            length: 40,
            mark: 0,
        };
        let key = ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: client.destination,
            port: client.destination_port,
        };
        let scheduling = Scheduling {
            policy: Arc::clone(policy),
            parameters: Vec::new(),
            seed: 1,
            fallback: None,
        };
        let config = ServiceConfig {
            key,
            persistence: None,
            one_packet: false,
        };
        let service = director
            .add_service(config, scheduling)
            .expect("the service");
        let method = match self.forward {
            Forward::Masq => ForwardingMethod::Masquerading,
            Forward::Droute => ForwardingMethod::DirectRouting,
        };
        let server = ServerConfig {
            address: Address::v4(0x0a01_0001),
            port: 80,
            weight: 1,
            method,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        director.add_server(service, server).expect("the server");
        for step in &self.sequence {
            let (side, flags) = step.split_once(':').expect("side:flags");
            let flags = match flags {
                "S" => TcpFlags::SYN,
                "SA" => TcpFlags::SYN | TcpFlags::ACK,
                "A" => TcpFlags::ACK,
                "FA" => TcpFlags::FIN | TcpFlags::ACK,
                "R" => TcpFlags::RST,
                other => panic!("flags {other}"),
            };
            let packet = match side {
                "c" => Packet { flags, ..client },
                "s" => Packet {
                    source: client.destination,
                    destination: client.source,
                    source_port: client.destination_port,
                    destination_port: client.source_port,
                    flags,
                    ..client
                },
                other => panic!("side {other}"),
            };
            director.packet(Timestamp::default(), &packet, Tag(0));
        }
        let ours = director
            .connection(&client)
            .map(|view| (view.state.to_string(), view.timeout_s - 1));
        let theirs = (self.state.clone(), self.expires);
        if ours.as_ref() == Some(&theirs) {
            Ok(())
        } else {
            Err(format!("{self:?}: ours {ours:?}"))
        }
    }
}
