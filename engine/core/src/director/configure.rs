//! Services and real servers come, change and go, as `ipvsadm` would have them.

use alloc::vec::Vec;

use super::{Director, SERVERS_LIMIT};
use crate::connections::{Binding, EntryKind, Slot};
use crate::observer::{Observer, ServiceIndex};
use crate::server::{DELETED, ServerEntry};
use crate::service::{Scheduling, Service};
use crate::{
    Address, Endpoint, Fault, Protocol, ServerConfig, ServiceConfig, ServiceIdentity, ServiceKey,
    Sysctls,
};

/// A change that the kernel, too, would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `EEXIST` of a service.
    #[error("service {key} is there already")]
    ServiceExists {
        /// The service.
        key: ServiceKey,
    },
    /// `ESRCH`.
    #[error("there is no service number {index}")]
    NoSuchService {
        /// What was asked for.
        index: u32,
    },
    /// `EEXIST` of a server.
    #[error("real server {server} is in the service already")]
    ServerExists {
        /// The server.
        server: Endpoint,
    },
    /// `ENOENT`.
    #[error("real server {server} is not in the service")]
    NoSuchServer {
        /// The server.
        server: Endpoint,
    },
    /// `ERANGE`.
    #[error("weight {weight} is out of range; accepted are 0 to 2147483647")]
    WeightOutOfRange {
        /// The weight.
        weight: u32,
    },
    /// `ERANGE`, or `EINVAL` beyond 2^31 − 1.
    #[error(
        "thresholds {upper} and {lower} are out of range; the lower one must not be above the upper, the upper one at most 2147483647"
    )]
    ThresholdsOutOfRange {
        /// The upper threshold.
        upper: u32,
        /// The lower threshold.
        lower: u32,
    },
    /// More servers than a place can number.
    #[error("a service takes at most {SERVERS_LIMIT} real servers")]
    TooManyServers,
    /// The policy did not start.
    #[error(transparent)]
    Policy(#[from] Fault),
}

impl<O: Observer> Director<O> {
    /// `ipvsadm -A`: a service without servers, its policy bound to an empty list.
    pub fn add_service(
        &mut self,
        config: ServiceConfig,
        scheduling: Scheduling,
    ) -> Result<ServiceIndex, ConfigError> {
        let index = ServiceIndex(self.services.len() as u32);
        if !self.table.insert(config.key, index) {
            return Err(ConfigError::ServiceExists { key: config.key });
        }
        let identity = identity_of(&config.key);
        let batching = self.settings.batching;
        match Service::start(index, config, identity, scheduling, self.now, batching) {
            Ok(service) => {
                self.services.push(service);
                Ok(index)
            }
            Err(fault) => {
                self.table.remove(&config.key);
                Err(fault.into())
            }
        }
    }

    /// `ipvsadm -E -s`: another policy, bound to the servers as they stand. Connections stay.
    pub fn set_scheduling(
        &mut self,
        service: ServiceIndex,
        scheduling: Scheduling,
    ) -> Result<(), ConfigError> {
        self.settle();
        let now = self.now;
        Ok(self.service_mut(service)?.swap(scheduling, now)?)
    }

    /// `ipvsadm -a`: the server goes to the head of the list. One that was deleted comes back with
    /// its counters, its connections and its id.
    pub fn add_server(
        &mut self,
        service: ServiceIndex,
        config: ServerConfig,
    ) -> Result<u32, ConfigError> {
        check(&config)?;
        self.settle();
        let profile = self.settings.profile;
        let endpoint = Endpoint {
            address: config.address,
            port: config.port,
        };
        let target = self.service_mut(service)?;
        let known = target.find(&endpoint);
        if known.is_some_and(|id| target.servers[id as usize].is_listed()) {
            return Err(ConfigError::ServerExists { server: endpoint });
        }
        if target.servers.len() >= SERVERS_LIMIT {
            return Err(ConfigError::TooManyServers);
        }
        let id = if let Some(id) = known {
            target.servers[id as usize].reconfigure(config, profile);
            id
        } else {
            target.servers.push(ServerEntry::new(config));
            target.servers.len() as u32 - 1
        };
        target.list.insert(0, id);
        self.publish(service);
        Ok(id)
    }

    /// `ipvsadm -e`: the server keeps its place.
    pub fn edit_server(
        &mut self,
        service: ServiceIndex,
        config: ServerConfig,
    ) -> Result<(), ConfigError> {
        check(&config)?;
        self.settle();
        let profile = self.settings.profile;
        let endpoint = Endpoint {
            address: config.address,
            port: config.port,
        };
        let target = self.service_mut(service)?;
        let id = target.listed(&endpoint)?;
        target.servers[id as usize].reconfigure(config, profile);
        self.publish(service);
        Ok(())
    }

    /// `ipvsadm -d`: the server leaves the list. Its connections stay, and their packets are
    /// dropped, unless `expire_nodest_conn` is set: then they go at once.
    pub fn delete_server(
        &mut self,
        service: ServiceIndex,
        address: Address,
        port: u16,
    ) -> Result<(), ConfigError> {
        self.settle();
        let target = self.service_mut(service)?;
        let id = target.listed(&Endpoint { address, port })?;
        target.list.retain(|&listed| listed != id);
        target.servers[id as usize].place = DELETED;
        self.publish(service);
        if self.settings.sysctls.expire_nodest_conn {
            self.expire_connections_of(service, id);
        }
        Ok(())
    }

    /// Switches in force from now on.
    pub fn set_sysctls(&mut self, sysctls: Sysctls) {
        self.settle();
        self.settings.sysctls = sysctls;
    }

    /// The switches in force.
    pub const fn sysctls(&self) -> Sysctls {
        self.settings.sysctls
    }

    fn publish(&mut self, service: ServiceIndex) {
        let now = self.now;
        if let Some(target) = self.services.get_mut(service.0 as usize) {
            target.publish_servers(now, &mut self.observer);
        }
    }

    fn expire_connections_of(&mut self, service: ServiceIndex, id: u32) {
        let theirs: Vec<Slot> = self
            .connections
            .slots()
            .filter(|&slot| {
                self.connections.get(slot).is_some_and(|entry| {
                    entry.service == service.0
                        && entry.binding() == Binding::Server(id)
                        && entry.kind() == EntryKind::Connection
                })
            })
            .collect();
        for slot in theirs {
            self.connections.expire_now(slot, self.now);
        }
    }

    fn service_mut(&mut self, service: ServiceIndex) -> Result<&mut Service, ConfigError> {
        self.services
            .get_mut(service.0 as usize)
            .ok_or(ConfigError::NoSuchService { index: service.0 })
    }
}

impl Service {
    fn find(&self, endpoint: &Endpoint) -> Option<u32> {
        self.servers
            .iter()
            .position(|server| {
                server.config.address == endpoint.address && server.config.port == endpoint.port
            })
            .map(|id| id as u32)
    }

    fn listed(&self, endpoint: &Endpoint) -> Result<u32, ConfigError> {
        self.find(endpoint)
            .filter(|&id| self.servers[id as usize].is_listed())
            .ok_or(ConfigError::NoSuchServer { server: *endpoint })
    }
}

fn check(config: &ServerConfig) -> Result<(), ConfigError> {
    const LIMIT: u32 = i32::MAX as u32;
    let ServerConfig {
        weight,
        upper_threshold: upper,
        lower_threshold: lower,
        ..
    } = *config;
    if weight > LIMIT {
        return Err(ConfigError::WeightOutOfRange { weight });
    }
    if upper > LIMIT || lower > upper {
        return Err(ConfigError::ThresholdsOutOfRange { upper, lower });
    }
    Ok(())
}

fn identity_of(key: &ServiceKey) -> ServiceIdentity {
    match *key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => ServiceIdentity {
            family: key.family(),
            address,
            port,
            protocol,
            mark: 0,
        },
        ServiceKey::Mark { family, mark } => ServiceIdentity {
            family,
            address: Address(0),
            port: 0,
            protocol: Protocol::Tcp,
            mark,
        },
    }
}
