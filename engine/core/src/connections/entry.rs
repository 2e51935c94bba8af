//! One entry of the connection table, laid out to be small: a million of them are to fit into
//! little more than 120 MB, and what a packet touches stands together.

use super::{Key, NO_SLOT, Slot};
use crate::tcp::{State, View};
use crate::{Address, Packet, Protocol, Timestamp};

/// In [`Entry::found_by`]: the hash index.
pub(super) const INDEX: u32 = u32::MAX - 1;
/// In [`Entry::found_by`]: nothing; its timer runs on.
pub(super) const NOTHING: u32 = u32::MAX;
/// In [`Entry::queued`]: no timer waits for it.
pub(super) const NOT_QUEUED: u32 = u32::MAX;
/// In [`Entry::binding`]: the rest is the number of an arrival.
const PENDING: u32 = 1 << 31;
/// In [`Entry::timeout_s`] of a connection: another director told of it.
const COPIED: u32 = 1 << 8;
/// Packets from a client after which others are told of a connection (`sync_threshold`, as it is by
/// default): after so many, and again after so many more each time.
const TOLD_AT: u64 = 3;
const TOLD_EVERY: u64 = 50;
/// In [`Entry::first_response_ns`]: none was observed.
const NEVER: u64 = u64::MAX;

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

impl Binding {
    pub(super) const fn word(self) -> u32 {
        match self {
            Self::Server(id) => id,
            Self::Pending(number) => number | PENDING,
        }
    }

    pub(super) const fn of_word(word: u32) -> Self {
        if word & PENDING == 0 {
            Self::Server(word)
        } else {
            Self::Pending(word & !PENDING)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// No entry: a slot to use again.
    Free,
    Connection,
    /// Freed after its one packet, never found.
    OnePacket,
    Template,
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

/// The order is the layout: what each packet reads or writes comes first.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Entry {
    client: [u64; 2],
    client_port: u16,
    destination_port: u16,
    pub(super) kind: EntryKind,
    pub(crate) state: State,
    /// The director sees no replies (`IP_VS_CONN_F_NOOUTPUT`).
    pub(crate) input_only: bool,
    protocol: Option<Protocol>,
    pub(crate) deadline: Timestamp,
    pub(crate) service: u32,
    binding: u32,
    /// The place of the bucket of its timer, which is not later than its deadline.
    pub(super) queued: u32,
    /// The flow that finds it, [`INDEX`] or [`NOTHING`].
    pub(super) found_by: u32,
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
    /// Of a connection, the template that controls it; of a template, how many connections it
    /// controls; of a free slot, the next free one.
    link: u32,
    /// A template's own timeout. A connection's is its state's; here stands the state of which other
    /// directors were told last, and whether it is [`COPIED`].
    pub(crate) timeout_s: u32,
    destination: [u64; 2],
    first_response_ns: u64,
    /// Serial of creation: tells a reused slot, and is the age that orders equal deadlines.
    pub(super) serial: u64,
}

impl Entry {
    #[inline]
    pub(super) fn new(new: &NewEntry, found_by: u32, serial: u64) -> Self {
        let Key {
            client,
            destination,
            client_port,
            destination_port,
            protocol,
        } = new.key;
        let link = match new.kind {
            EntryKind::Template => 0,
            _ => new.template,
        };
        Self {
            client: words(client),
            client_port,
            destination_port,
            kind: new.kind,
            state: new.state,
            input_only: new.input_only,
            protocol,
            deadline: Timestamp(u64::MAX),
            service: new.service,
            binding: new.binding.word(),
            queued: NOT_QUEUED,
            found_by,
            packets_in: 0,
            bytes_in: 0,
            packets_out: 0,
            bytes_out: 0,
            link,
            timeout_s: 0,
            destination: words(destination),
            first_response_ns: NEVER,
            serial,
        }
    }

    pub(crate) const fn key(&self) -> Key {
        let [client_high, client_low] = self.client;
        let [high, low] = self.destination;
        Key {
            client: Address::from_words(client_high, client_low),
            destination: Address::from_words(high, low),
            client_port: self.client_port,
            destination_port: self.destination_port,
            protocol: self.protocol,
        }
    }

    /// Which way a packet of this entry's flow goes; to the server where both ends are the same.
    pub(crate) fn direction_of(&self, packet: &Packet) -> Direction {
        if self.client_port == packet.source_port && self.client == words(packet.source) {
            Direction::ToServer
        } else {
            Direction::ToClient
        }
    }

    /// How the director sees this connection's packets to the server.
    pub(crate) const fn input_view(&self) -> View {
        if self.input_only {
            View::InputOnly
        } else {
            View::Input
        }
    }

    pub(crate) const fn kind(&self) -> EntryKind {
        self.kind
    }

    pub(crate) const fn binding(&self) -> Binding {
        Binding::of_word(self.binding)
    }

    pub(crate) const fn bind(&mut self, server: u32) {
        self.binding = Binding::Server(server).word();
    }

    /// The template that controls this connection.
    pub(crate) const fn template(&self) -> Slot {
        match self.kind {
            EntryKind::Template => NO_SLOT,
            _ => self.link,
        }
    }

    /// Of a connection: no template controls it.
    pub(crate) const fn leave_template(&mut self) {
        if !matches!(self.kind, EntryKind::Template) {
            self.link = NO_SLOT;
        }
    }

    /// How many connections a template controls.
    pub(crate) const fn controls(&self) -> u32 {
        match self.kind {
            EntryKind::Template => self.link,
            _ => 0,
        }
    }

    pub(crate) const fn change_controls(&mut self, by: i32) {
        if matches!(self.kind, EntryKind::Template) {
            self.link = self.link.saturating_add_signed(by);
        }
    }

    /// A slot to use again, before `next`.
    pub(super) const fn set_free(&mut self, next: Slot) {
        self.kind = EntryKind::Free;
        self.link = next;
    }

    pub(super) const fn next_free(&self) -> Slot {
        self.link
    }

    /// Of a connection, after a packet from its client: whether others are to be told of it
    /// (`ip_vs_sync_conn_needed`).
    pub(crate) const fn is_to_be_told(&self) -> bool {
        // A copy goes on counting from where it was told of.
        let before = if self.timeout_s & COPIED == 0 {
            0
        } else {
            TOLD_AT
        };
        let is_turn = (before + self.packets_in) % TOLD_EVERY == TOLD_AT;
        match self.state {
            State::Established | State::Udp => is_turn,
            State::FinWait | State::TimeWait | State::Close | State::CloseWait => {
                is_turn || self.timeout_s & !COPIED != self.state as u32
            }
            _ => false,
        }
    }

    pub(crate) const fn note_told(&mut self) {
        self.timeout_s = self.timeout_s & COPIED | self.state as u32;
    }

    pub(crate) const fn note_copied(&mut self) {
        self.timeout_s = COPIED | self.state as u32;
    }

    pub(crate) const fn count_in(&mut self, packets: u64, bytes: u64) {
        self.packets_in += packets;
        self.bytes_in += bytes;
    }

    pub(crate) const fn count_out(&mut self, packets: u64, bytes: u64) {
        self.packets_out += packets;
        self.bytes_out += bytes;
    }

    /// Only the first is kept.
    pub(crate) const fn note_first_response(&mut self, elapsed_ns: u64) {
        if self.first_response_ns == NEVER {
            self.first_response_ns = elapsed_ns;
        }
    }

    pub(crate) const fn traffic(&self) -> Traffic {
        Traffic {
            packets_in: self.packets_in,
            bytes_in: self.bytes_in,
            packets_out: self.packets_out,
            bytes_out: self.bytes_out,
            first_response_ns: match self.first_response_ns {
                NEVER => None,
                elapsed_ns => Some(elapsed_ns),
            },
        }
    }
}

const fn words(address: Address) -> [u64; 2] {
    let (high, low) = address.words();
    [high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 120);
    }
}
