//! What captures hold: the model of `equipoise inspect`.
//!
//! Plain public fields, as in [`crate::model`], filled by whoever read the captures; drawn by
//! [`crate::table::inspect`].

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{self, Clock, Latency, LeftOut, Selection};

/// Name and version of the JSON schema, documented in `docs/inspect.md`.
pub const SCHEMA: &str = "equipoise.inspection/1";

/// Everything that one reading of captures has to say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// [`SCHEMA`].
    pub schema: String,
    /// The reading was broken off: all figures stand for what was read by then.
    pub partial: bool,
    /// Each capture, in the order given.
    pub captures: Vec<Capture>,
    /// All captures together.
    pub total: Total,
    /// What was decoded, by protocol.
    pub protocols: BTreeMap<String, ProtocolCount>,
    /// Packets that were not decoded, by reason.
    pub skipped_packets: BTreeMap<String, u64>,
    /// What of the captures was looked at; none where all was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// What no replay would see, for it was inferred to stand in the captures twice.
    pub left_out: LeftOut,
    /// What is odd about the times of packets.
    pub clock: Clock,
    /// Which packet counted where one is in a tunnel: `outer` or `inner`.
    pub tunnels: String,
    /// UDP ports by what was taken for a tunnel to them; none where tunnels were not looked into.
    pub tunnel_ports: BTreeMap<String, Vec<u16>>,
    /// Services found, those in `rest` included.
    pub services_found: u64,
    /// Whether that is exact; else there are at most so many.
    pub services_exact: bool,
    /// The services with the most connections, the busiest first.
    pub services: Vec<Service>,
    /// All other services together; none where there are no others.
    pub rest: Option<Rest>,
    /// What was asked for; none where nobody wanted to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
    /// A command that replays the busiest service that can be one, quoted for a shell.
    pub replay: Option<String>,
    /// Remarks on the captures as a whole, one line each.
    pub warnings: Vec<String>,
}

impl Inspection {
    /// Pretty JSON with a line break at its end.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

/// What connections asked for, as far as it stands there in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Requests of HTTP/1.
    pub http: u64,
    /// Responses to them.
    pub responses: u64,
    /// Handshakes of TLS.
    pub tls: u64,
    /// Handshakes of QUIC.
    pub quic: u64,
    /// Methods of HTTP.
    pub methods: Asked,
    /// Requests of HTTP by the status of the response, `none` without one.
    pub statuses: BTreeMap<String, u64>,
    /// Hosts of HTTP, and names of servers in TLS.
    pub hosts: Asked,
    /// Targets of HTTP, as sent.
    pub targets: Asked,
    /// Protocols that clients offered in TLS (ALPN).
    pub protocols: Asked,
    /// What was odd, given up or left out, by reason.
    pub oddities: BTreeMap<String, u64>,
}

/// Names of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// How many there are.
    pub found: u64,
    /// Requests with names for which there was no room: more names than found.
    pub beyond: u64,
    /// Those that came most often.
    pub most: Vec<Named>,
}

/// A name, and how many requests bear it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// What stands there, at most 256 bytes of it.
    pub name: String,
    /// How many.
    pub requests: u64,
}

/// One capture file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capture {
    /// As in a report.
    #[serde(flatten)]
    pub facts: model::Capture,
    /// What kind of file it is: `pcap (microseconds, little-endian)`, `pcapng`, either with
    /// `, gzip` or `, zstd` behind it.
    pub file_type: String,
}

/// Captures taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Packets read.
    pub packets: u64,
    /// Bytes that these packets had on the wire.
    pub bytes: u64,
    /// Earliest packet time, in nanoseconds since the Unix epoch; none where no packet bears one.
    pub first_ns: Option<u64>,
    /// Latest packet time.
    pub last_ns: Option<u64>,
}

/// What was decoded of one protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProtocolCount {
    /// Connections, second legs included.
    pub connections: u64,
    /// Packets, copies included.
    pub packets: u64,
    /// Bytes by the lengths of the IP packets.
    pub bytes: u64,
}

/// An endpoint that clients connect to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    /// Its name: `tcp:10.0.0.1:80`, `udp:[2001:db8::1]:53`.
    pub service: String,
    /// Connections to it, those included that were in progress when the captures began.
    pub connections: u64,
    /// Distinct addresses of clients.
    pub clients: u64,
    /// Whether `clients` is exact; else there are at least so many.
    pub clients_exact: bool,
    /// From clients.
    pub to_server: Traffic,
    /// To clients.
    pub to_client: Traffic,
    /// Time of its first packet, in nanoseconds since the Unix epoch by the trace's clock; none
    /// where no packet of the captures bears a time.
    pub first_ns: Option<u64>,
    /// Time of its last packet.
    pub last_ns: Option<u64>,
    /// Connections of which SYN, SYN-ACK and an ACK of the client were seen; none for UDP.
    pub established: Option<u64>,
    /// How its connections were closed; none for UDP.
    pub closed_by: Option<ClosedBy>,
    /// How client and server were told apart.
    pub basis: BasisCount,
    /// From a client's first payload to the server's first after it; none where none was seen.
    pub observed_first_response: Option<Latency>,
}

impl Service {
    /// The part of its connections that the captures show from their middle on, so that the
    /// server's end is a guess.
    pub fn mid_stream_share(&self) -> Option<f64> {
        (self.connections > 0).then(|| self.basis.lower_port as f64 / self.connections as f64)
    }
}

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Packets, repeats included.
    pub packets: u64,
    /// Bytes by the lengths of the IP packets.
    pub bytes: u64,
    /// Bytes of TCP or UDP payload.
    pub payload_bytes: u64,
}

impl Traffic {
    /// Adds what else went that way.
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.payload_bytes += other.payload_bytes;
    }
}

/// Connections by what closed them: whichever came first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClosedBy {
    /// A FIN.
    pub fin: u64,
    /// A reset.
    pub reset: u64,
    /// Neither, as far as the captures go: open at their end, silent for long, or never answered.
    pub neither: u64,
}

/// Connections by what tells client and server apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BasisCount {
    /// A SYN was seen.
    pub syn: u64,
    /// Only the SYN-ACK was.
    pub syn_ack: u64,
    /// UDP: the first datagram went to the server.
    pub first_packet: u64,
    /// Neither SYN nor SYN-ACK was seen: the end with the lower port is taken for the server.
    pub lower_port: u64,
}

/// Services that are not shown one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rest {
    /// How many services.
    pub services: u64,
    /// Connections to them.
    pub connections: u64,
    /// From clients.
    pub to_server: Traffic,
    /// To clients.
    pub to_client: Traffic,
}
