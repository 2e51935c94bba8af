//! Frames to packets: link layer, IP, and of TCP and UDP what the engine and the tracker need.
//!
//! Works on frames cut short by a snapshot length as long as ports and flags are there. Never
//! checks a checksum: offloading leaves wrong ones in most captures. Reassembles nothing: the
//! first fragment has ports and stands for its packet, later ones are skipped and counted.

mod link;
mod network;
mod skipped;

pub use skipped::Skipped;

use equipoise_core::Packet;

/// A packet that can belong to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What the engine needs; without a mark, of the length its IP header gives.
    pub packet: Packet,
    /// TCP or UDP payload in bytes by the IP length, captured or not.
    pub payload_length: u32,
    /// TCP sequence number, 0 for UDP.
    pub tcp_sequence: u32,
    /// TCP acknowledgement number, 0 for UDP; of meaning with the ACK flag only.
    pub tcp_acknowledgement: u32,
    /// The first of several fragments: lengths are the fragment's.
    pub first_fragment: bool,
}

/// Decodes one frame of the given `LINKTYPE_` number.
#[inline]
pub fn decode(link_type: u16, bytes: &[u8], original_length: u32) -> Result<Decoded, Skipped> {
    let (family, start) = link::network(link_type, bytes)?;
    let on_wire = original_length.saturating_sub(start as u32);
    let bytes = &bytes[start..];
    match family {
        link::Network::Ipv4 => network::ipv4(bytes, on_wire),
        link::Network::Ipv6 => network::ipv6(bytes, on_wire),
    }
}
