//! IPv4 and IPv6 with what lies between them and the ports, then TCP and UDP.

use equipoise_core::{Address, Packet, Protocol, TcpFlags};
use etherparse::err::ip_auth;
use etherparse::err::{ipv4 as ipv4_error, ipv6 as ipv6_error};
use etherparse::{
    IpAuthHeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice, ip_number,
};

use super::{Decoded, Network, Rest, Skipped};

/// As far as the flags; what lies behind may be cut off.
const TCP_READ: usize = 14;
const TCP_HEADER: u32 = 20;
const UDP_READ: usize = 4;
const UDP_HEADER: u32 = 8;

/// What the IP headers say.
pub(super) struct Ip {
    pub(super) source: Address,
    pub(super) destination: Address,
    /// By the IP header, of the whole packet.
    pub(super) length: u32,
    /// What follows the IP headers, at `start`.
    pub(super) protocol: IpNumber,
    pub(super) start: usize,
    pub(super) first_fragment: bool,
    /// A fragment that is not the first; IPv6 skips those at once.
    pub(super) later_fragment: bool,
    pub(super) identification: u16,
}

/// Reads the IP headers of a packet.
#[inline]
pub(super) fn header(network: Network, packet: &Rest<'_>) -> Result<Ip, Skipped> {
    match network {
        Network::Ipv4 => ipv4(packet),
        Network::Ipv6 => ipv6(packet),
    }
}

#[inline]
fn ipv4(packet: &Rest<'_>) -> Result<Ip, Skipped> {
    let header = Ipv4HeaderSlice::from_slice(packet.bytes).map_err(|error| match error {
        ipv4_error::HeaderSliceError::Len(_) => Skipped::TruncatedHeader,
        ipv4_error::HeaderSliceError::Content(_) => Skipped::Malformed,
    })?;
    Ok(Ip {
        source: Address::v4(u32::from_be_bytes(header.source())),
        destination: Address::v4(u32::from_be_bytes(header.destination())),
        // 0 where a sender left the segmentation to its card.
        length: match header.total_len() {
            0 => packet.on_wire,
            length => u32::from(length),
        },
        protocol: header.protocol(),
        start: header.slice().len(),
        first_fragment: header.more_fragments(),
        later_fragment: header.fragments_offset().value() != 0,
        identification: header.identification(),
    })
}

#[inline]
fn ipv6(packet: &Rest<'_>) -> Result<Ip, Skipped> {
    let header = Ipv6HeaderSlice::from_slice(packet.bytes).map_err(|error| match error {
        ipv6_error::HeaderSliceError::Len(_) => Skipped::TruncatedHeader,
        ipv6_error::HeaderSliceError::Content(_) => Skipped::Malformed,
    })?;
    let start = header.slice().len();
    let mut ip = Ip {
        source: Address(u128::from_be_bytes(header.source())),
        destination: Address(u128::from_be_bytes(header.destination())),
        // 0 in a jumbogram, and where a sender left the segmentation to its card.
        length: match header.payload_length() {
            0 => packet.on_wire,
            payload => start as u32 + u32::from(payload),
        },
        protocol: header.next_header(),
        start,
        first_fragment: false,
        later_fragment: false,
        identification: 0,
    };
    if ip.source.is_v4() || ip.destination.is_v4() {
        return Err(Skipped::MappedAddress);
    }
    skip_extensions(&mut ip, packet.bytes)?;
    Ok(ip)
}

/// Walks the extension headers that the kernel walks, in any order.
#[inline]
fn skip_extensions(ip: &mut Ip, bytes: &[u8]) -> Result<(), Skipped> {
    loop {
        let rest = &bytes[ip.start..];
        match ip.protocol {
            ip_number::IPV6_HOP_BY_HOP | ip_number::IPV6_ROUTE | ip_number::IPV6_DEST_OPTIONS => {
                let header = Ipv6RawExtHeaderSlice::from_slice(rest)
                    .map_err(|_| Skipped::TruncatedHeader)?;
                ip.protocol = header.next_header();
                ip.start += header.slice().len();
            }
            ip_number::AUTH => {
                let header = IpAuthHeaderSlice::from_slice(rest).map_err(|error| match error {
                    ip_auth::HeaderSliceError::Len(_) => Skipped::TruncatedHeader,
                    ip_auth::HeaderSliceError::Content(_) => Skipped::Malformed,
                })?;
                ip.protocol = header.next_header();
                ip.start += header.slice().len();
            }
            ip_number::IPV6_FRAG => {
                let header = Ipv6FragmentHeaderSlice::from_slice(rest)
                    .map_err(|_| Skipped::TruncatedHeader)?;
                if header.fragment_offset().value() != 0 {
                    // What follows is data, even where it looks like another header.
                    transport_or_extension(header.next_header())?;
                    return Err(Skipped::FragmentWithoutPorts);
                }
                ip.protocol = header.next_header();
                ip.first_fragment |= header.more_fragments();
                ip.start += header.slice().len();
            }
            _ => return Ok(()),
        }
    }
}

fn transport_or_extension(number: IpNumber) -> Result<(), Skipped> {
    match transport(number) {
        Err(skipped @ (Skipped::Icmp | Skipped::Sctp)) => Err(skipped),
        _ => Ok(()),
    }
}

fn transport(number: IpNumber) -> Result<Protocol, Skipped> {
    match number {
        ip_number::TCP => Ok(Protocol::Tcp),
        ip_number::UDP => Ok(Protocol::Udp),
        ip_number::SCTP => Err(Skipped::Sctp),
        ip_number::ICMP | ip_number::IPV6_ICMP => Err(Skipped::Icmp),
        IpNumber(other) => Err(Skipped::OtherProtocol(other)),
    }
}

/// Reads the transport header. By hand, for a frame may be cut within it, and TCP options are of
/// no interest.
#[inline]
pub(super) fn ports(ip: &Ip, bytes: &[u8]) -> Result<Decoded, Skipped> {
    let protocol = transport(ip.protocol)?;
    if ip.later_fragment {
        return Err(Skipped::FragmentWithoutPorts);
    }
    let (read, shortest) = match protocol {
        Protocol::Tcp => (TCP_READ, TCP_HEADER),
        _ => (UDP_READ, UDP_HEADER),
    };
    let within_ip = ip
        .length
        .checked_sub(ip.start as u32)
        .filter(|length| *length >= shortest)
        .ok_or(Skipped::Malformed)?;
    let header = bytes
        .get(ip.start..ip.start + read)
        .ok_or(Skipped::TruncatedHeader)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
    let (flags, header_length, tcp_sequence, tcp_acknowledgement) = match protocol {
        // A data offset below five words is left alone, as IPVS leaves it.
        Protocol::Tcp => (
            TcpFlags::from_bits_retain(header[13]),
            (u32::from(header[12] >> 4) * 4).max(TCP_HEADER),
            long(4),
            long(8),
        ),
        _ => (TcpFlags::empty(), UDP_HEADER, 0, 0),
    };
    Ok(Decoded {
        packet: Packet {
            source: ip.source,
            destination: ip.destination,
            source_port: word(0),
            destination_port: word(2),
            protocol,
            flags,
            length: ip.length,
            mark: 0,
        },
        payload_length: within_ip.saturating_sub(header_length),
        tcp_sequence,
        tcp_acknowledgement,
        first_fragment: ip.first_fragment,
        identification: ip.identification,
    })
}

/// What follows the header that [`ports`] reads.
pub(super) fn payload<'a>(ip: &Ip, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let header = match transport(ip.protocol).ok()? {
        Protocol::Tcp => (u32::from(bytes.get(ip.start + 12)? >> 4) * 4).max(TCP_HEADER),
        _ => UDP_HEADER,
    };
    bytes.get(ip.start + header as usize..)
}
