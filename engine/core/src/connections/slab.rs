//! Entries in slots that are used again, in chunks, so that growing copies nothing.

use alloc::vec::Vec;

use super::entry::{Entry, EntryKind};
use super::{NO_SLOT, Slot};

/// Entries of one chunk: half a megabyte.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 12;

pub(super) struct Slab {
    /// All but the last are full.
    chunks: Vec<Vec<Entry>>,
    /// Slots ever used.
    end: Slot,
    /// The slot freed last, which leads to the others.
    free: Slot,
    live: usize,
}

impl Default for Slab {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            end: 0,
            free: NO_SLOT,
            live: 0,
        }
    }
}

impl Slab {
    #[inline]
    pub(super) fn get(&self, slot: Slot) -> Option<&Entry> {
        let entry = self
            .chunks
            .get((slot >> CHUNK_BITS) as usize)?
            .get(slot as usize % CHUNK)?;
        (entry.kind != EntryKind::Free).then_some(entry)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        let entry = self
            .chunks
            .get_mut((slot >> CHUNK_BITS) as usize)?
            .get_mut(slot as usize % CHUNK)?;
        (entry.kind != EntryKind::Free).then_some(entry)
    }

    /// The slot that the entry was put into: the one freed last, or a new one.
    #[inline]
    pub(super) fn insert(&mut self, entry: Entry) -> Slot {
        self.live += 1;
        let slot = self.free;
        if let Some(free) = self
            .chunks
            .get_mut((slot >> CHUNK_BITS) as usize)
            .and_then(|chunk| chunk.get_mut(slot as usize % CHUNK))
        {
            self.free = free.next_free();
            *free = entry;
            return slot;
        }
        let slot = self.end;
        self.end += 1;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(entry),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(entry);
                self.chunks.push(chunk);
            }
        }
        slot
    }

    #[inline]
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Entry> {
        let next = self.free;
        let entry = self.get_mut(slot)?;
        let removed = entry.clone();
        entry.set_free(next);
        self.free = slot;
        self.live -= 1;
        Some(removed)
    }

    /// Entries there are.
    pub(super) const fn len(&self) -> usize {
        self.live
    }

    /// The slots that may hold an entry are those below.
    pub(super) const fn end(&self) -> Slot {
        self.end
    }
}
