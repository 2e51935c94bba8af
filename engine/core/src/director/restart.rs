//! A director that starts again, its services configured as they are.

use super::{Director, around};
use crate::connections::EntryKind;
use crate::observer::Observer;
use crate::service::Surroundings;

/// What becomes of the connection table when a director starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Entries, templates and counters live on, as from a backup that was synchronised.
    Kept,
    /// All are gone.
    Lost,
}

impl<O: Observer> Director<O> {
    /// Starts again: every policy is a fresh instance. With the table kept it is bound to the full
    /// list with its counters; without it, servers are added one by one, the oldest first, and
    /// connections are told as closed. A policy that does not start is told of as a fault.
    pub fn restart(&mut self, table: Table) {
        self.settle();
        if table == Table::Lost {
            self.lose_connections();
        }
        for service in &mut self.services {
            match table {
                Table::Kept => service.rebind(self.now, around!(self)),
                Table::Lost => service.begin_anew(self.now, around!(self)),
            }
        }
    }

    pub(super) fn lose_connections(&mut self) {
        for slot in 0..self.connections.end() {
            let Some(entry) = self.connections.remove(slot) else {
                continue;
            };
            if entry.kind() == EntryKind::Connection {
                self.tell_closed(slot, &entry);
            }
        }
    }
}
