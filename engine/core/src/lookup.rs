//! Which virtual service a packet is for.
//!
//! Source: `ip_vs_service_find`: mark, then exact, then FTP's passive data, then port 0.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::Cell;

use crate::observer::ServiceIndex;
use crate::{Address, Family, Packet, Protocol, ServiceKey};

const FTP_PORT: u16 = 21;
const FTP_DATA_PORT: u16 = 20;

#[derive(Default)]
pub(crate) struct ServiceTable {
    by_address: BTreeMap<(Protocol, Address, u16), ServiceIndex>,
    by_mark: BTreeMap<(Family, u32), ServiceIndex>,
    has_ftp: bool,
    has_port_0: bool,
    /// Ports of services, by their lowest six bits: most packets to clients show by theirs that
    /// they are for none.
    port_bits: u64,
    /// What was found last: most packets are for the service of the one before.
    last: Cell<Option<(Protocol, Address, u16, ServiceIndex)>>,
}

const fn port_bit(port: u16) -> u64 {
    1 << (port % 64)
}

impl ServiceTable {
    /// Whether the key was free.
    pub(crate) fn insert(&mut self, key: ServiceKey, index: ServiceIndex) -> bool {
        let old = match key {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => {
                if self.by_address.contains_key(&(protocol, address, port)) {
                    return false;
                }
                self.by_address.insert((protocol, address, port), index)
            }
            ServiceKey::Mark { family, mark } => {
                if self.by_mark.contains_key(&(family, mark)) {
                    return false;
                }
                self.by_mark.insert((family, mark), index)
            }
        };
        self.note_ports();
        old.is_none()
    }

    pub(crate) fn remove(&mut self, key: &ServiceKey) {
        match *key {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => {
                self.by_address.remove(&(protocol, address, port));
            }
            ServiceKey::Mark { family, mark } => {
                self.by_mark.remove(&(family, mark));
            }
        }
        self.note_ports();
    }

    fn note_ports(&mut self) {
        let ports: Vec<u16> = self.by_address.keys().map(|&(_, _, port)| port).collect();
        self.has_ftp = ports.contains(&FTP_PORT);
        self.has_port_0 = ports.contains(&0);
        self.last.set(None);
        self.port_bits = ports.iter().fold(0, |bits, &port| bits | port_bit(port));
    }

    #[inline]
    pub(crate) fn find(&self, packet: &Packet, unprivileged_from: u16) -> Option<ServiceIndex> {
        let is_any_port = self.has_ftp || self.has_port_0 || packet.mark != 0;
        if !is_any_port && self.port_bits & port_bit(packet.destination_port) == 0 {
            return None;
        }
        self.look_up(packet, unprivileged_from)
    }

    fn look_up(&self, packet: &Packet, unprivileged_from: u16) -> Option<ServiceIndex> {
        let Packet {
            protocol,
            destination,
            destination_port: port,
            mark,
            ..
        } = *packet;
        if mark != 0 {
            let family = if destination.is_v4() {
                Family::Ipv4
            } else {
                Family::Ipv6
            };
            if let Some(&index) = self.by_mark.get(&(family, mark)) {
                return Some(index);
            }
        }
        let at = |port| {
            if self.port_bits & port_bit(port) == 0 {
                return None;
            }
            match self.last.get() {
                Some((of, address, at, index))
                    if of == protocol && address == destination && at == port =>
                {
                    return Some(index);
                }
                _ => {}
            }
            let &index = self.by_address.get(&(protocol, destination, port))?;
            self.last.set(Some((protocol, destination, port, index)));
            Some(index)
        };
        let is_ftp_data = protocol == Protocol::Tcp
            && self.has_ftp
            && (port == FTP_DATA_PORT || port >= unprivileged_from);
        at(port)
            .or_else(|| if is_ftp_data { at(FTP_PORT) } else { None })
            .or_else(|| if self.has_port_0 { at(0) } else { None })
    }
}
