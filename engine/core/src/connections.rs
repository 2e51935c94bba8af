//! The connection table: entries, what finds them by packet or by flow, and their timers.
//!
//! Knows nothing of services or rules. Templates live here too, in an index of their own, so that
//! one order of timers covers both.

mod entry;
mod slab;
mod timers;

use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

pub use entry::Traffic;
pub(crate) use entry::{Binding, Direction, Entry, EntryKind, NewEntry};

use crate::{Address, Packet, Protocol, Timestamp};
use entry::{INDEX, NOTHING};
use slab::Slab;
use timers::Timers;

/// Position of an entry in the table.
pub(crate) type Slot = u32;
/// No entry.
pub(crate) const NO_SLOT: Slot = u32::MAX;
/// Of a connection that was refused: no binding has this word.
const NO_SERVER: u32 = u32::MAX;

/// The caller's own number for a protocol and two ends (address and port), whichever of them
/// sends: dense, from 0, and used again once no director holds it
/// ([`crate::Director::take_flow_changes`]). At most 2^32 − 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u32);

/// What finds a connection: the client's side and the virtual side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

    pub(crate) const fn reversed(&self) -> Self {
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

/// Entries, found by flow or by packet, and due by deadline.
#[derive(Default)]
pub(crate) struct Connections {
    slab: Slab,
    timers: Timers,
    /// Entries that packets of flows find.
    by_flow: Vec<Slot>,
    /// Those that packets without a flow find.
    index: HashTable<Slot>,
    templates: HashTable<Slot>,
    template_count: usize,
    serial: u64,
    /// Flows that came to have an entry, and lost it, since the caller last asked.
    created: Vec<FlowId>,
    freed: Vec<FlowId>,
    /// Of a director that follows: what the connections of its leader are bound to, by slot.
    followed: Vec<u32>,
    /// Fixed: the order of these indexes never shows.
    hasher: FixedState,
}

impl Connections {
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.slab.get(slot)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.slab.get_mut(slot)
    }

    /// The leader's connection in `slot` waits for the server of this arrival.
    #[inline]
    pub(crate) fn await_server(&mut self, slot: Slot, number: u32) {
        let place = slot as usize;
        if place >= self.followed.len() {
            self.followed.resize(place + 1, NO_SERVER);
        }
        self.followed[place] = Binding::Pending(number).word();
    }

    /// What the leader's connection in `slot` is bound to.
    #[inline]
    pub(crate) fn followed(&self, slot: Slot) -> Option<Binding> {
        let word = *self.followed.get(slot as usize)?;
        (word != NO_SERVER).then(|| Binding::of_word(word))
    }

    /// Binds the leader's connection, to no server where it is refused; false where nobody leads.
    #[inline]
    pub(crate) fn bind_followed(&mut self, slot: Slot, server: Option<u32>) -> bool {
        let Some(binding) = self.followed.get_mut(slot as usize) else {
            return false;
        };
        *binding = server.map_or(NO_SERVER, |id| Binding::Server(id).word());
        true
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

    /// The connection of a flow.
    #[inline]
    pub(crate) fn find_flow(&self, flow: FlowId) -> Option<Slot> {
        let slot = *self.by_flow.get(flow.0 as usize)?;
        (slot != NO_SLOT).then_some(slot)
    }

    pub(crate) fn find_template(&self, key: &Key) -> Option<Slot> {
        let hash = key.hash(&self.hasher);
        self.templates
            .find(hash, |&slot| self.has_key(slot, key))
            .copied()
    }

    fn has_key(&self, slot: Slot, key: &Key) -> bool {
        self.get(slot).is_some_and(|entry| entry.key() == *key)
    }

    /// Adds an entry, which packets of `flow` find, or without one those that its key names; its
    /// timer runs once [`Connections::restart`] was called.
    pub(crate) fn insert(&mut self, new: &NewEntry, flow: Option<FlowId>) -> Slot {
        let found_by = match (new.kind, flow) {
            (EntryKind::OnePacket, _) => NOTHING,
            (EntryKind::Connection, Some(FlowId(flow))) => flow,
            _ => INDEX,
        };
        let slot = self.slab.insert(Entry::new(new, found_by, self.serial));
        self.serial += 1;
        let is_template = new.kind == EntryKind::Template;
        self.template_count += usize::from(is_template);
        match found_by {
            NOTHING => {}
            INDEX => {
                let (slab, hasher) = (&self.slab, &self.hasher);
                let rehash =
                    |&slot: &Slot| slab.get(slot).map_or(0, |entry| entry.key().hash(hasher));
                let index = if is_template {
                    &mut self.templates
                } else {
                    &mut self.index
                };
                index.insert_unique(new.key.hash(hasher), slot, rehash);
            }
            flow => {
                let place = flow as usize;
                if place >= self.by_flow.capacity() {
                    // By an eighth, not by twice: there may be millions.
                    let more = place + 1 - self.by_flow.len();
                    self.by_flow.reserve_exact(more + place / 8);
                }
                if place >= self.by_flow.len() {
                    self.by_flow.resize(place + 1, NO_SLOT);
                }
                self.by_flow[place] = slot;
                self.created.push(FlowId(flow));
            }
        }
        slot
    }

    /// No packet finds the entry any more; its timer runs on.
    pub(crate) fn hide(&mut self, slot: Slot) {
        let Some(entry) = self.slab.get_mut(slot) else {
            return;
        };
        match core::mem::replace(&mut entry.found_by, NOTHING) {
            NOTHING => {}
            INDEX => {
                let hash = entry.key().hash(&self.hasher);
                let index = if entry.kind() == EntryKind::Template {
                    &mut self.templates
                } else {
                    &mut self.index
                };
                if let Ok(found) = index.find_entry(hash, |&other| other == slot) {
                    found.remove();
                }
            }
            flow => {
                self.by_flow[flow as usize] = NO_SLOT;
                self.freed.push(FlowId(flow));
            }
        }
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Entry> {
        self.hide(slot);
        let entry = self.slab.remove(slot)?;
        self.template_count -= usize::from(entry.kind() == EntryKind::Template);
        Some(entry)
    }

    /// Appends the flows that came to have an entry and those whose entry nothing finds any more.
    pub(crate) fn take_flow_changes(&mut self, created: &mut Vec<FlowId>, freed: &mut Vec<FlowId>) {
        created.append(&mut self.created);
        freed.append(&mut self.freed);
    }

    /// Sets the deadline.
    pub(crate) fn restart(&mut self, slot: Slot, deadline: Timestamp) {
        if let Some(entry) = self.slab.get_mut(slot)
            && !entry.postpone(deadline)
        {
            self.queue(slot);
        }
    }

    /// Queues a timer where [`Entry::postpone`] asked for one.
    pub(crate) fn queue(&mut self, slot: Slot) {
        self.timers.queue(&mut self.slab, slot);
    }

    /// Makes the entry due; it goes before the next packet, as the kernel's timer would.
    pub(crate) fn expire_now(&mut self, slot: Slot, now: Timestamp) {
        self.hide(slot);
        self.restart(slot, now);
    }

    /// False where nothing is due: the short answer for most packets.
    #[inline]
    pub(crate) fn may_have_due(&self, now: Timestamp) -> bool {
        self.timers.may_have_due(now)
    }

    /// The next entry whose deadline is at or before `now`, by deadline and then age. The caller
    /// removes it or restarts it.
    #[inline]
    pub(crate) fn next_due(&mut self, now: Timestamp) -> Option<(Slot, Timestamp)> {
        self.timers.next_due(&mut self.slab, now)
    }

    /// Slots in use, in no meaningful order but a repeatable one.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..self.slab.end()).filter(|&slot| self.slab.get(slot).is_some())
    }

    /// Connections that packets of flows find, by flow.
    pub(crate) fn flows(&self) -> impl Iterator<Item = (FlowId, &Entry)> + '_ {
        let flows = self.by_flow.iter().enumerate();
        flows.filter_map(|(flow, &slot)| Some((FlowId(flow as u32), self.slab.get(slot)?)))
    }

    /// Every slot that was ever used is below.
    pub(crate) const fn end(&self) -> Slot {
        self.slab.end()
    }

    /// Connections, templates not counted.
    pub(crate) const fn len(&self) -> usize {
        self.slab.len() - self.template_count
    }
}
