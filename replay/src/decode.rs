//! Frames to packets: link layer, tunnels, IP, and of TCP and UDP what the engine and the tracker
//! need.
//!
//! Works on frames cut short by a snapshot length as long as ports and flags are there. Never
//! checks a checksum: offloading leaves wrong ones in most captures. Reassembles nothing: the
//! first fragment has ports and stands for its packet, later ones are skipped and counted.

mod lean;
mod link;
mod network;
mod ports;
mod rest;
mod skipped;
mod tunnel;

pub use ports::{TunnelPort, TunnelPortError, TunnelPorts, UdpTunnel};
pub use skipped::Skipped;

use equipoise_core::Packet;

use link::Network;
use rest::Rest;

/// Tunnels within each other that are looked through.
const MOST_TUNNELS: u32 = 4;

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
    /// The identification that an IPv4 header bears, 0 for IPv6.
    pub identification: u16,
}

/// Which packet a tunnelled frame stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tunnels {
    /// Nobody says: the outer one, or with a table the one that it was made with.
    #[default]
    Unsaid,
    /// The outer one: GRE and IP in IP are other protocols, and what tunnels over UDP is a flow
    /// between the tunnel's ends.
    Outer,
    /// The inner one of IP in IP, GRE (version 0), GUE, VXLAN and Geneve, up to four within each
    /// other. What is none of these is decoded as with `Outer`.
    Inner,
}

/// How frames become packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    /// Which packet a tunnelled frame stands for.
    pub tunnels: Tunnels,
    /// UDP ports that tunnels go to besides their own; used with [`Tunnels::Inner`].
    pub ports: TunnelPorts,
}

impl Decoder {
    /// Decodes one frame of the given `LINKTYPE_` number, which took `original_length` bytes on
    /// its link.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "called for every packet: handing the result over in memory doubles its time"
    )]
    pub fn decode(
        self,
        link_type: u16,
        bytes: &[u8],
        original_length: u32,
    ) -> Result<Decoded, Skipped> {
        let plain = Self::decode_commonest(link_type, bytes);
        match plain.or_else(|| self.decode_plain(link_type, bytes)) {
            Some(decoded) => Ok(decoded),
            None => self.decode_fully(link_type, bytes, original_length),
        }
    }

    /// What [`Decoder::decode`] answers for most packets of most captures; none for others.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Decoder::decode`")]
    pub(crate) fn decode_commonest(link_type: u16, bytes: &[u8]) -> Option<Decoded> {
        lean::commonest(link_type, bytes)
    }

    /// What [`Decoder::decode`] answers for packets that are plain; none for others.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Decoder::decode`")]
    pub(crate) fn decode_plain(self, link_type: u16, bytes: &[u8]) -> Option<Decoded> {
        lean::decode(&self, link_type, bytes)
    }

    /// What was captured of the payload of a frame that was decoded, its first bytes.
    #[inline]
    pub fn payload<'a>(
        self,
        link_type: u16,
        bytes: &'a [u8],
        original_length: u32,
        decoded: &Decoded,
    ) -> &'a [u8] {
        let payload = match lean::decode(&self, link_type, bytes) {
            Some(_) => lean::payload(link_type, bytes, decoded.packet.protocol),
            None => self.payload_fully(link_type, bytes, original_length),
        };
        let payload = payload.unwrap_or_default();
        &payload[..payload.len().min(decoded.payload_length as usize)]
    }

    #[cold]
    fn payload_fully(self, link_type: u16, bytes: &[u8], original_length: u32) -> Option<&[u8]> {
        let mut rest = Rest {
            bytes,
            on_wire: original_length,
        };
        let mut network = link::network(link_type, &mut rest).ok()?;
        loop {
            let ip = network::header(network, &rest).ok()?;
            let inner = match self.tunnels {
                Tunnels::Inner => tunnel::inside(&ip, &mut rest, &self.ports).ok()?,
                Tunnels::Unsaid | Tunnels::Outer => None,
            };
            match inner {
                Some(inner) => network = inner,
                None => return network::payload(&ip, rest.bytes),
            }
        }
    }

    /// What [`Decoder::decode`] answers, without its shorter way for plain packets: the measure
    /// that this way is tested against.
    pub fn decode_fully(
        self,
        link_type: u16,
        bytes: &[u8],
        original_length: u32,
    ) -> Result<Decoded, Skipped> {
        let mut rest = Rest {
            bytes,
            on_wire: original_length,
        };
        let network = link::network(link_type, &mut rest)?;
        match self.tunnels {
            Tunnels::Unsaid | Tunnels::Outer => {
                network::ports(&network::header(network, &rest)?, rest.bytes)
            }
            Tunnels::Inner => self.innermost(network, rest, 0),
        }
    }

    /// Decodes an IP packet within `depth` tunnels, or the one in it.
    fn innermost(
        &self,
        network: Network,
        mut rest: Rest<'_>,
        depth: u32,
    ) -> Result<Decoded, Skipped> {
        let ip = network::header(network, &rest)?;
        match tunnel::inside(&ip, &mut rest, &self.ports)? {
            None => network::ports(&ip, rest.bytes),
            Some(_) if depth == MOST_TUNNELS => Err(Skipped::TooManyTunnels),
            Some(inner) => {
                let decoded = self.innermost(inner, rest, depth + 1);
                decoded.map_err(Skipped::in_tunnel)
            }
        }
    }

    /// Whether datagrams to `port` may be tunnels to look through.
    #[inline]
    fn looks_into(&self, port: u16) -> bool {
        self.tunnels == Tunnels::Inner && self.ports.tunnel(port).is_some()
    }
}
