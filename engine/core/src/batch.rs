//! The packed encoding of `equipoise:policy/batch`: one word an event, keys aside.
//!
//! The layout is documented in `wit/0.1.0/policy.wit`; this module is its only copy in code, for
//! hosts and guests alike.

use alloc::vec::Vec;

use crate::{Flow, Needs};

/// Answer for no destination.
pub const NO_DESTINATION: u32 = u32::MAX;
/// The place names an earlier arrival of the same call.
pub const LOCAL: u32 = 1 << 27;
/// Bits of a place.
pub const PLACE_MASK: u32 = LOCAL - 1;
/// Shift of the kind.
pub const KIND_SHIFT: u32 = 28;

/// What an event says, bits 31 to 28 of its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Decide; the chosen server gains one active.
    ArriveActive = 0,
    /// Decide; the chosen server gains one inactive.
    ArriveInactive = 1,
    /// Decide; no counter changes.
    ArriveOnePacket = 2,
    /// From inactive to active.
    BecameActive = 3,
    /// From active to inactive.
    BecameInactive = 4,
    /// One active less.
    GoneActive = 5,
    /// One inactive less.
    GoneInactive = 6,
    /// The host placed a connection: one active more.
    PlacedActive = 7,
    /// The host placed a connection: one inactive more.
    PlacedInactive = 8,
    /// The overload flag was set.
    Overloaded = 9,
    /// The overload flag was cleared.
    Available = 10,
    /// The next key word is the new time in microseconds.
    Time = 11,
}

impl Kind {
    /// The kind of an event word; none for a reserved one.
    #[inline]
    pub const fn of(event: u32) -> Option<Self> {
        Some(match event >> KIND_SHIFT {
            0 => Self::ArriveActive,
            1 => Self::ArriveInactive,
            2 => Self::ArriveOnePacket,
            3 => Self::BecameActive,
            4 => Self::BecameInactive,
            5 => Self::GoneActive,
            6 => Self::GoneInactive,
            7 => Self::PlacedActive,
            8 => Self::PlacedInactive,
            9 => Self::Overloaded,
            10 => Self::Available,
            11 => Self::Time,
            _ => return None,
        })
    }

    /// Whether the event asks for a decision.
    #[inline]
    pub const fn is_arrival(self) -> bool {
        (self as u8) <= Self::ArriveOnePacket as u8
    }

    /// The event word for a place in the server list, or, with [`LOCAL`] set in `place`, for an
    /// earlier arrival.
    #[inline]
    pub const fn word(self, place: u32) -> u32 {
        (self as u32) << KIND_SHIFT | place
    }
}

/// Appends the key words of one arrival, as `needs` asks.
#[inline]
pub fn push_keys(keys: &mut Vec<u64>, needs: Needs, flow: &Flow) {
    if needs.contains(Needs::CLIENT) {
        let (high, low) = flow.client.words();
        keys.extend([high, low]);
    }
    if needs.contains(Needs::DESTINATION) {
        let (high, low) = flow.destination.words();
        keys.extend([high, low]);
    }
    if needs.intersects(Needs::CLIENT.union(Needs::DESTINATION)) {
        keys.push(
            u64::from(flow.mark) << 32
                | u64::from(flow.destination_port) << 16
                | u64::from(flow.client_port),
        );
    }
}
