//! Packets that a mirror port saw twice.
//!
//! Keeps the prints of recent packets in a table of a fixed size, whatever there is of flows: a
//! copy follows within a millisecond, and there are few packets between.

use equipoise_core::{Protocol, TcpFlags, Timestamp};

use super::hash::fold;
use crate::decode::Decoded;

/// How late a copy may come, in units of 2^[`UNIT_BITS`] nanoseconds: a millisecond. The packet
/// passes the switch a second time, or is copied on its way in and on its way out.
const LATEST: u64 = (1_000_000 >> UNIT_BITS) + 1;
const UNIT_BITS: u32 = 10;
/// Of an entry, the time comes first, so that the difference of two entries is that of their times
/// where they are of one packet; the rest is the print. Times repeat after 17 s.
const TIME_BITS: u32 = 24;
const PRINT: u64 = u64::MAX >> TIME_BITS;
/// With two packets in each of them, as much as a thirtieth of a core's second cache.
const PLACES: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 12;

/// The packets of the last millisecond.
pub(super) struct Copies {
    /// By the highest bits of the print, which entries do not have: the latest packet, and the one
    /// before it.
    recent: Box<[[u64; 2]; PLACES]>,
}

impl Default for Copies {
    #[expect(
        clippy::large_stack_arrays,
        reason = "once, and of a known length no place has to be checked"
    )]
    fn default() -> Self {
        Self {
            recent: Box::new([[0; 2]; PLACES]),
        }
    }
}

impl Copies {
    /// Takes in a packet that goes this [`way`](super::way); whether it is the same IP packet as one
    /// that came a moment before. Without an identification nothing but a SYN can be told from a
    /// packet that says the same again: on short ways even lost data is repeated within a millisecond.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Tracker::hold`")]
    pub(super) fn is_copy(&mut self, now: Timestamp, decoded: &Decoded, way: u64) -> bool {
        let packet = &decoded.packet;
        let numbers =
            u64::from(decoded.tcp_sequence) << 32 | u64::from(decoded.tcp_acknowledgement);
        let rest = u64::from(decoded.payload_length) << 48
            | u64::from(decoded.identification) << 32
            | u64::from(packet.flags.bits());
        let print = fold(
            numbers ^ way ^ 0x4528_21e6_38d0_1377,
            rest ^ 0xbe54_66cf_34e9_0c6c,
        );
        let entry = now.0 >> UNIT_BITS << (64 - TIME_BITS) | print & PRINT;
        let place = &mut self.recent[(print >> (u64::BITS - PLACE_BITS)) as usize];
        let [latest, other] = *place;
        *place = [entry, latest];
        let is_it = |other: u64| entry.wrapping_sub(other).rotate_left(TIME_BITS) < LATEST;
        let is_known = is_it(latest) | is_it(other);
        let is_syn = packet.protocol == Protocol::Tcp && packet.flags.contains(TcpFlags::SYN);
        is_known && (decoded.identification != 0 || is_syn)
    }
}
