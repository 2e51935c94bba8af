//! The contract's types as the core's. After inlining most of it is nothing.

use equipoise_core as engine;

use crate::bindings::equipoise::policy::types;

impl From<types::Address> for engine::Address {
    fn from(address: types::Address) -> Self {
        Self::from_words(address.high, address.low)
    }
}

impl From<types::Protocol> for engine::Protocol {
    fn from(protocol: types::Protocol) -> Self {
        match protocol {
            types::Protocol::Tcp => Self::Tcp,
            types::Protocol::Udp => Self::Udp,
            types::Protocol::Sctp => Self::Sctp,
        }
    }
}

impl From<types::Service> for engine::ServiceIdentity {
    fn from(service: types::Service) -> Self {
        Self {
            family: match service.family {
                types::Family::Ipv4 => engine::Family::Ipv4,
                types::Family::Ipv6 => engine::Family::Ipv6,
            },
            address: service.address.into(),
            port: service.port,
            protocol: service.protocol.into(),
            mark: service.mark,
        }
    }
}

impl From<types::Parameter> for engine::Parameter {
    fn from(parameter: types::Parameter) -> Self {
        Self {
            key: parameter.key,
            value: parameter.value,
        }
    }
}

impl From<types::Server> for engine::Server {
    fn from(server: types::Server) -> Self {
        Self {
            id: engine::ServerId(server.id),
            address: server.address.into(),
            port: server.port,
            weight: server.weight,
            active: server.active,
            inactive: server.inactive,
            status: server.status,
        }
    }
}

impl From<types::Load> for engine::Load {
    fn from(load: types::Load) -> Self {
        Self {
            server: engine::ServerId(load.server),
            active: load.active,
            inactive: load.inactive,
            status: load.status,
            latency_us: load.latency_us,
        }
    }
}

impl From<types::Flow> for engine::Flow {
    fn from(flow: types::Flow) -> Self {
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

pub(crate) fn needs(needs: engine::Needs) -> types::Needs {
    [
        (engine::Needs::LOADS, types::Needs::LOADS),
        (engine::Needs::LATENCY, types::Needs::LATENCY),
        (engine::Needs::TIME, types::Needs::TIME),
        (engine::Needs::CLIENT, types::Needs::CLIENT),
        (engine::Needs::DESTINATION, types::Needs::DESTINATION),
    ]
    .into_iter()
    .filter(|(ours, _)| needs.contains(*ours))
    .fold(types::Needs::empty(), |all, (_, theirs)| all | theirs)
}
