//! Where a flow stands in the index.

use equipoise_core::Packet;

use super::flow::Flow;

/// The same for both directions.
#[inline]
pub(crate) fn hash(packet: &Packet) -> u64 {
    hash_ends(
        (packet.source.0, packet.source_port),
        (packet.destination.0, packet.destination_port),
        packet.protocol as u64,
    )
}

pub(super) fn hash_of(flow: &Flow) -> u64 {
    let [one, other] = flow.ends();
    hash_ends((one.0.0, one.1), (other.0.0, other.1), flow.protocol as u64)
}

/// Each end is mixed by itself and the two are added, so that no order has to be found: comparing
/// them would be a branch that cannot be foreseen. The multipliers are fractions of pi.
#[inline]
pub(super) fn hash_ends(one: (u128, u16), other: (u128, u16), protocol: u64) -> u64 {
    let end = |(address, port): (u128, u16)| {
        let low = address as u64 ^ 0x243f_6a88_85a3_08d3;
        let high = (address >> 64) as u64 ^ u64::from(port) << 40 ^ 0x1319_8a2e_0370_7345;
        fold(low, high)
    };
    fold(
        end(one).wrapping_add(end(other)) ^ protocol,
        0xa409_3822_299f_31d1,
    )
}

#[inline]
pub(super) fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}
