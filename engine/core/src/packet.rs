//! What the engine needs to know of a packet.

use crate::{Address, Protocol};

bitflags::bitflags! {
    /// TCP flags, at their bits in the header.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TcpFlags: u8 {
        /// No more data from the sender.
        const FIN = 0x01;
        /// Synchronise: begins a connection.
        const SYN = 0x02;
        /// Reset.
        const RST = 0x04;
        /// Push.
        const PSH = 0x08;
        /// The acknowledgement number counts.
        const ACK = 0x10;
        /// Urgent.
        const URG = 0x20;
        /// ECN echo.
        const ECE = 0x40;
        /// Congestion window reduced.
        const CWR = 0x80;
    }
}

/// One packet with its transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Sender's address.
    pub source: Address,
    /// Receiver's address.
    pub destination: Address,
    /// Sender's port.
    pub source_port: u16,
    /// Receiver's port.
    pub destination_port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Empty but for TCP.
    pub flags: TcpFlags,
    /// Length of the IP packet in bytes, IP header included.
    pub length: u32,
    /// Firewall mark, 0 without one.
    pub mark: u32,
}
