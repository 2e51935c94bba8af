//! Version 0.1.0 of the contract: its bindings, and the core's plain types in its terms.

use equipoise_core as core;

use self::equipoise::policy::types;

pub(crate) use self::exports::equipoise::policy::{batch, lifecycle, request_scheduler, scheduler};
pub(crate) use self::types::{Flow, Load, Needs, Parameter, Request, Server, Service};

wasmtime::component::bindgen!({
    path: "../../wit/0.1.0",
    // All that a policy may export: which of it a component has is looked up.
    inline: "
        package equipoise:host;
        world any-policy {
            include equipoise:policy/batch-policy@0.1.0;
            include equipoise:policy/request-policy@0.1.0;
        }
    ",
    world: "equipoise:host/any-policy",
});

/// The version of `equipoise:policy` that this host takes.
pub const VERSION: &str = "0.1.0";

/// An interface of the package, as components export it.
pub(crate) fn export(interface: &str) -> String {
    format!("equipoise:policy/{interface}@{VERSION}")
}

impl From<core::Address> for types::Address {
    #[inline]
    fn from(address: core::Address) -> Self {
        let (high, low) = address.words();
        Self { high, low }
    }
}

impl From<core::Protocol> for types::Protocol {
    #[inline]
    fn from(protocol: core::Protocol) -> Self {
        match protocol {
            core::Protocol::Tcp => Self::Tcp,
            core::Protocol::Udp => Self::Udp,
            core::Protocol::Sctp => Self::Sctp,
        }
    }
}

impl From<&core::ServiceIdentity> for Service {
    fn from(service: &core::ServiceIdentity) -> Self {
        Self {
            family: match service.family {
                core::Family::Ipv4 => types::Family::Ipv4,
                core::Family::Ipv6 => types::Family::Ipv6,
            },
            address: service.address.into(),
            port: service.port,
            protocol: service.protocol.into(),
            mark: service.mark,
        }
    }
}

impl From<&core::Parameter> for Parameter {
    fn from(parameter: &core::Parameter) -> Self {
        Self {
            key: parameter.key.clone(),
            value: parameter.value.clone(),
        }
    }
}

impl From<&core::Server> for Server {
    fn from(server: &core::Server) -> Self {
        Self {
            id: server.id.0,
            address: server.address.into(),
            port: server.port,
            weight: server.weight,
            active: server.active,
            inactive: server.inactive,
            status: server.status,
        }
    }
}

impl From<&core::Load> for Load {
    #[inline]
    fn from(load: &core::Load) -> Self {
        Self {
            server: load.server.0,
            active: load.active,
            inactive: load.inactive,
            status: load.status,
            latency_us: load.latency_us,
        }
    }
}

impl From<&core::Flow> for Flow {
    #[inline]
    fn from(flow: &core::Flow) -> Self {
        Self {
            client: flow.client.into(),
            client_port: flow.client_port,
            destination: flow.destination.into(),
            destination_port: flow.destination_port,
            protocol: flow.protocol.into(),
            mark: flow.mark,
        }
    }
}

impl From<&core::Request<'_>> for Request {
    fn from(request: &core::Request<'_>) -> Self {
        match *request {
            core::Request::Http {
                method,
                target,
                host,
            } => Self::Http(types::HttpRequest {
                method: method.to_owned(),
                target: target.to_owned(),
                host: host.map(<[u8]>::to_vec),
            }),
            core::Request::Tls {
                server_name,
                protocols,
            } => Self::Tls(types::ClientHello {
                server_name: server_name.map(<[u8]>::to_vec),
                protocols: protocols.to_vec(),
            }),
            core::Request::Quic {
                version,
                destination_id,
            } => Self::Quic(types::QuicInitial {
                version,
                destination_id: destination_id.to_owned(),
            }),
        }
    }
}

impl From<Needs> for core::Needs {
    fn from(needs: Needs) -> Self {
        [
            (Needs::LOADS, Self::LOADS),
            (Needs::LATENCY, Self::LATENCY),
            (Needs::TIME, Self::TIME),
            (Needs::CLIENT, Self::CLIENT),
            (Needs::DESTINATION, Self::DESTINATION),
        ]
        .into_iter()
        .filter(|(theirs, _)| needs.contains(*theirs))
        .map(|(_, ours)| ours)
        .collect()
    }
}
