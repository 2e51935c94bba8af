//! What is told of one observed connection.

use equipoise_core::{Endpoint, Protocol, Timestamp};

/// How it was decided which end is the server, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// It has the lower port: a guess.
    LowerPort,
    /// The first datagram went to it.
    FirstPacket,
    /// It sent a SYN-ACK.
    SynAck,
    /// It was sent a SYN.
    Syn,
}

/// How a connection was closed: by whichever came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// A FIN.
    Fin,
    /// A reset.
    Reset,
}

/// What was observed of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// From 1 in order of first packets.
    pub number: u64,
    /// Who connects.
    pub client: Endpoint,
    /// Who is connected to.
    pub server: Endpoint,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// How client and server were told apart.
    pub basis: Basis,
    /// Whether SYN, SYN-ACK and an ACK of the client were seen.
    pub established: bool,
    /// How it was closed, if it was.
    pub close: Option<Close>,
    /// Time of the first packet.
    pub first: Timestamp,
    /// Time of the last packet.
    pub last: Timestamp,
    /// From the client's first payload to the server's first after it, in nanoseconds. For UDP
    /// every datagram counts as payload.
    pub first_response_ns: Option<u64>,
    /// Packets and bytes to the server.
    pub to_server: Traffic,
    /// Packets and bytes to the client.
    pub to_client: Traffic,
    /// The leg from a masquerading director to a real server, whose other leg is in the capture,
    /// too. No run sees it.
    pub is_second_leg: bool,
}

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets, repeats included.
    pub packets: u64,
    /// Bytes by the lengths of the IP packets.
    pub bytes: u64,
    /// Bytes of TCP or UDP payload.
    pub payload_bytes: u64,
}
