//! A service whose director starts again: a fresh instance of its policy, with or without what the
//! old one knew.

use super::{ServerEntry, Service, Surroundings};
use crate::Timestamp;
use crate::observer::{Counters, Observer};

impl Service {
    /// A fresh instance, bound to the full list with its counters.
    pub(crate) fn rebind<O: Observer>(&mut self, now: Timestamp, around: &mut Surroundings<'_, O>) {
        if let Err(fault) = self.swap(self.scheduling.clone(), now) {
            self.fail(fault, None, "starting again", around.observer);
        }
    }

    /// As after a fresh start: counters at zero, and the servers added one by one, the oldest first.
    /// All its entries are gone.
    pub(crate) fn begin_anew<O: Observer>(
        &mut self,
        now: Timestamp,
        around: &mut Surroundings<'_, O>,
    ) {
        for (id, server) in self.servers.iter_mut().enumerate() {
            if server.counters != Counters::default() {
                around
                    .observer
                    .counted(now, self.index, id as u32, Counters::default());
            }
            *server = ServerEntry::new(server.config);
        }
        let list = core::mem::take(&mut self.list);
        self.rebind(now, around);
        for id in list.into_iter().rev() {
            self.list.insert(0, id);
            self.publish_servers(now, around.observer);
        }
    }
}
