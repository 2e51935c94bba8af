//! Flows at hand without a look into the index: where the packets of a moment ago went.

use equipoise_core::{Address, Packet, Protocol};

use super::hash::fold;

/// 16 KB of them stay in a core's nearest cache.
const PLACES: usize = 2_048;

/// By what packets of one flow and one direction have in common: where the flow is. What it says is
/// to be compared with the flow.
pub(super) struct Recent {
    /// At the low bits of a [`way`]: its high bits, the last of them replaced by the side that sends,
    /// and the place.
    places: Box<[(u32, u32); PLACES]>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            places: Box::new([(0, u32::MAX); PLACES]),
        }
    }
}

impl Recent {
    #[inline]
    pub(super) fn find(&self, way: u64) -> Option<(u32, usize)> {
        let (mark, place) = self.places[way as usize % PLACES];
        let side = mark ^ (way >> 32) as u32 & !1;
        (side <= 1).then_some((place, side as usize))
    }

    #[inline]
    pub(super) fn put(&mut self, way: u64, place: u32, side: usize) {
        let mark = (way >> 32) as u32 & !1 | side as u32;
        self.places[way as usize % PLACES] = (mark, place);
    }
}

/// A hash of protocol, sender and receiver. The multipliers are fractions of pi.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
pub(super) fn way(packet: &Packet) -> u64 {
    way_of(
        packet.protocol,
        (packet.source, packet.source_port),
        (packet.destination, packet.destination_port),
    )
}

/// [`way`] of what answers the packet.
pub(super) fn way_back(packet: &Packet) -> u64 {
    way_of(
        packet.protocol,
        (packet.destination, packet.destination_port),
        (packet.source, packet.source_port),
    )
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
fn way_of(protocol: Protocol, from: (Address, u16), to: (Address, u16)) -> u64 {
    let protocol = match protocol {
        Protocol::Tcp => 0,
        _ => 1 << 32,
    };
    let ports = u64::from(from.1) << 16 | u64::from(to.1) | protocol;
    let words = |address: Address| {
        let (high, low) = address.words();
        fold(high ^ 0xa409_3822_299f_31d0, low ^ 0x082e_fa98_ec4e_6c89)
    };
    // Of an IPv4 address only the last four bytes differ.
    let addresses = if from.0.is_v4() && to.0.is_v4() {
        from.0.words().1 << 32 ^ to.0.words().1
    } else {
        words(from.0).rotate_left(32) ^ words(to.0)
    };
    fold(
        addresses ^ 0x243f_6a88_85a3_08d3,
        ports ^ 0x1319_8a2e_0370_7344,
    )
}
