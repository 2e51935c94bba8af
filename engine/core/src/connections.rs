//! The connection table: entries, the index that finds them by packet, and their timers.
//!
//! Knows nothing of services or rules. Templates live here too, in an index of their own, so that
//! one order of timers covers both.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::tcp::State;
use crate::{Address, Packet, Protocol, Timestamp};

/// Position of an entry in the table.
pub(crate) type Slot = u32;
/// No entry.
pub(crate) const NO_SLOT: Slot = u32::MAX;

/// What finds a connection: the client's side and the virtual side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) client: Address,
    pub(crate) destination: Address,
    pub(crate) client_port: u16,
    pub(crate) destination_port: u16,
    /// None for templates of firewall-mark services, which serve every protocol.
    pub(crate) protocol: Option<Protocol>,
}

impl Key {
    pub(crate) const fn of(packet: &Packet) -> Self {
        Self {
            client: packet.source,
            destination: packet.destination,
            client_port: packet.source_port,
            destination_port: packet.destination_port,
            protocol: Some(packet.protocol),
        }
    }

    const fn reversed(&self) -> Self {
        Self {
            client: self.destination,
            destination: self.client,
            client_port: self.destination_port,
            destination_port: self.client_port,
            protocol: self.protocol,
        }
    }

    /// The same for both directions, so that one probe finds either.
    fn hash(&self, state: &FixedState) -> u64 {
        let one = (self.client, self.client_port);
        let other = (self.destination, self.destination_port);
        let (low, high) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        state.hash_one((low, high, self.protocol))
    }
}

/// Which way a packet of a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// Packets and bytes of one connection, both ways, by IP length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets from the client.
    pub packets_in: u64,
    /// Their IP bytes.
    pub bytes_in: u64,
    /// Packets from the server, seen by the director or not.
    pub packets_out: u64,
    /// Their IP bytes.
    pub bytes_out: u64,
    /// Time from the client's first data to the server's first, where it was observed.
    pub first_response_ns: Option<u64>,
}

/// Which server an entry is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// By its id within the service.
    Server(u32),
    /// The server that this arrival of the current batch will be given.
    Pending(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Connection,
    /// Freed after its one packet, never in the index.
    OnePacket,
    /// How many connections it controls.
    Template {
        controls: u32,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    hash: u64,
    pub(crate) service: u32,
    pub(crate) binding: Binding,
    pub(crate) kind: EntryKind,
    pub(crate) state: State,
    /// The director sees no replies (`IP_VS_CONN_F_NOOUTPUT`).
    pub(crate) input_only: bool,
    in_index: bool,
    /// The template that controls this connection.
    pub(crate) template: Slot,
    /// The state's timeout as it was at the last packet; a template's own.
    pub(crate) timeout_s: u32,
    deadline: Timestamp,
    /// The deadline of the timer in the queue: at or before the true one.
    queued: Timestamp,
    /// Serial of creation: tells a reused slot, and is the age that orders equal deadlines.
    serial: u64,
    pub(crate) traffic: Traffic,
}

#[derive(Clone, Copy)]
pub(crate) struct NewEntry {
    pub(crate) key: Key,
    pub(crate) service: u32,
    pub(crate) binding: Binding,
    pub(crate) kind: EntryKind,
    pub(crate) state: State,
    pub(crate) input_only: bool,
    pub(crate) template: Slot,
}

/// Entries in slots that are used again, indexed by packet and by deadline.
#[derive(Default)]
pub(crate) struct Connections {
    entries: Vec<Option<Entry>>,
    free: Vec<Slot>,
    index: HashTable<Slot>,
    templates: HashTable<Slot>,
    timers: BinaryHeap<Reverse<(Timestamp, u64, Slot)>>,
    serial: u64,
    /// Fixed: the order of this index never shows.
    hasher: FixedState,
}

impl Connections {
    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    /// The connection a packet belongs to, in either direction.
    pub(crate) fn find(&self, packet: &Packet) -> Option<(Slot, Direction)> {
        let key = Key::of(packet);
        let hash = key.hash(&self.hasher);
        if let Some(&slot) = self.index.find(hash, |&slot| self.has_key(slot, &key)) {
            return Some((slot, Direction::ToServer));
        }
        let reversed = key.reversed();
        self.index
            .find(hash, |&slot| self.has_key(slot, &reversed))
            .map(|&slot| (slot, Direction::ToClient))
    }

    pub(crate) fn find_template(&self, key: &Key) -> Option<Slot> {
        let hash = key.hash(&self.hasher);
        self.templates
            .find(hash, |&slot| self.has_key(slot, key))
            .copied()
    }

    fn has_key(&self, slot: Slot, key: &Key) -> bool {
        self.get(slot).is_some_and(|entry| entry.key == *key)
    }

    /// Adds an entry; its timer runs once [`Connections::restart`] was called.
    pub(crate) fn insert(&mut self, new: NewEntry) -> Slot {
        let hash = new.key.hash(&self.hasher);
        let in_index = new.kind != EntryKind::OnePacket;
        let is_template = matches!(new.kind, EntryKind::Template { .. });
        let entry = Entry {
            key: new.key,
            hash,
            service: new.service,
            binding: new.binding,
            kind: new.kind,
            state: new.state,
            input_only: new.input_only,
            in_index,
            template: new.template,
            timeout_s: 0,
            deadline: Timestamp(u64::MAX),
            queued: Timestamp(u64::MAX),
            serial: self.serial,
            traffic: Traffic::default(),
        };
        self.serial += 1;
        let slot = if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = Some(entry);
            slot
        } else {
            self.entries.push(Some(entry));
            self.entries.len() as Slot - 1
        };
        if in_index {
            let entries = &self.entries;
            let rehash = |&slot: &Slot| entries[slot as usize].as_ref().map_or(0, |e| e.hash);
            let index = if is_template {
                &mut self.templates
            } else {
                &mut self.index
            };
            index.insert_unique(hash, slot, rehash);
        }
        slot
    }

    /// Takes an entry out of the index, so that no packet finds it any more; its timer runs on.
    pub(crate) fn hide(&mut self, slot: Slot) {
        let Some(entry) = self.entries.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        if !core::mem::take(&mut entry.in_index) {
            return;
        }
        let is_template = matches!(entry.kind, EntryKind::Template { .. });
        let hash = entry.hash;
        let index = if is_template {
            &mut self.templates
        } else {
            &mut self.index
        };
        if let Ok(found) = index.find_entry(hash, |&other| other == slot) {
            found.remove();
        }
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Entry> {
        self.hide(slot);
        let entry = self.entries.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(entry)
    }

    /// Sets the deadline to `now` plus `timeout_s`.
    pub(crate) fn restart(&mut self, slot: Slot, now: Timestamp, timeout_s: u32) {
        if let Some(entry) = self.get_mut(slot) {
            entry.timeout_s = timeout_s;
        }
        self.set_deadline(slot, now.plus_seconds(timeout_s));
    }

    /// Makes the entry due; it goes before the next packet, as the kernel's timer would.
    pub(crate) fn expire_now(&mut self, slot: Slot, now: Timestamp) {
        self.hide(slot);
        self.set_deadline(slot, now);
    }

    fn set_deadline(&mut self, slot: Slot, deadline: Timestamp) {
        let Some(entry) = self.entries.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        entry.deadline = deadline;
        // A later deadline waits for the timer in the queue, which then finds it.
        if deadline < entry.queued {
            entry.queued = deadline;
            self.timers.push(Reverse((deadline, entry.serial, slot)));
        }
    }

    /// The next entry whose deadline is at or before `now`, by deadline and then age. The caller
    /// removes it or restarts it.
    pub(crate) fn next_due(&mut self, now: Timestamp) -> Option<(Slot, Timestamp)> {
        while let Some(&Reverse((deadline, serial, slot))) = self.timers.peek() {
            if deadline > now {
                return None;
            }
            self.timers.pop();
            let Some(entry) = self.get_mut(slot) else {
                continue;
            };
            if entry.serial != serial || entry.queued != deadline {
                continue;
            }
            entry.queued = Timestamp(u64::MAX);
            let due = entry.deadline;
            if due > deadline {
                self.set_deadline(slot, due);
                continue;
            }
            return Some((slot, due));
        }
        None
    }

    /// Slots in use, in no meaningful order but a repeatable one.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..self.entries.len() as Slot).filter(|&slot| self.entries[slot as usize].is_some())
    }

    /// Connections, templates not counted.
    pub(crate) fn len(&self) -> usize {
        self.entries
            .iter()
            .flatten()
            .filter(|entry| !matches!(entry.kind, EntryKind::Template { .. }))
            .count()
    }
}
