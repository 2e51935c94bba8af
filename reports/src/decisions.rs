//! The decisions CSV: one row for each packet that creates a connection or would.
//!
//! Rows go straight to the writer; their order is the caller's.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;

use crate::model::Reason;

/// The columns, in order.
pub const COLUMNS: [&str; 13] = [
    "capture",
    "policy",
    "connection",
    "packet",
    "time_ns",
    "protocol",
    "client",
    "client_port",
    "service",
    "service_port",
    "server",
    "server_port",
    "reason",
];

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The capture's name as given.
    pub capture: &'a str,
    /// The policy as given.
    pub policy: &'a str,
    /// Number of the connection.
    pub connection: u64,
    /// Number of the packet in its capture, from 1.
    pub packet: u64,
    /// The packet's own time in nanoseconds since the Unix epoch; none where it has none.
    pub time_ns: Option<u64>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'a str,
    /// Who connects.
    pub client: IpAddr,
    /// From which port.
    pub client_port: u16,
    /// The address the client connects to.
    pub service: IpAddr,
    /// To which port.
    pub service_port: u16,
    /// The real server; none where none was chosen.
    pub server: Option<(IpAddr, u16)>,
    /// What became of the packet.
    pub reason: Reason,
}

/// Whether a writer begins with the column names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading {
    /// With them.
    Written,
    /// Without: the rows will be put behind others.
    Omitted,
}

/// Writes decisions as CSV. Buffered: end with [`DecisionWriter::finish`].
pub struct DecisionWriter<W: io::Write> {
    csv: csv::Writer<W>,
    field: String,
}

impl<W: io::Write> DecisionWriter<W> {
    /// Writes to `out`.
    pub fn new(out: W, heading: Heading) -> io::Result<Self> {
        let mut csv = csv::WriterBuilder::new().from_writer(out);
        if heading == Heading::Written {
            csv.write_record(COLUMNS).map_err(of_csv)?;
        }
        Ok(Self {
            csv,
            field: String::new(),
        })
    }

    /// Adds one row.
    pub fn write(&mut self, row: &Decision<'_>) -> io::Result<()> {
        self.text(row.capture)?;
        self.text(row.policy)?;
        self.value(row.connection)?;
        self.value(row.packet)?;
        self.optional(row.time_ns)?;
        self.text(row.protocol)?;
        self.value(row.client)?;
        self.value(row.client_port)?;
        self.value(row.service)?;
        self.value(row.service_port)?;
        self.optional(row.server.map(|(address, _)| address))?;
        self.optional(row.server.map(|(_, port)| port))?;
        self.value(row.reason)?;
        self.csv.write_record(None::<&[u8]>).map_err(of_csv)
    }

    /// Writes what is still buffered and gives the writer back.
    pub fn finish(self) -> io::Result<W> {
        self.csv
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)
    }

    fn optional(&mut self, value: Option<impl std::fmt::Display>) -> io::Result<()> {
        match value {
            Some(value) => self.value(value),
            None => self.text(""),
        }
    }

    fn value(&mut self, value: impl std::fmt::Display) -> io::Result<()> {
        self.field.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.field, "{value}");
        self.csv.write_field(&self.field).map_err(of_csv)
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.csv.write_field(text).map_err(of_csv)
    }
}

/// What the system said, where it was that which said something.
fn of_csv(error: csv::Error) -> io::Error {
    if !error.is_io_error() {
        return error.into();
    }
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::ErrorKind::Other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_quoted_where_needed() {
        let mut writer = DecisionWriter::new(Vec::new(), Heading::Written).unwrap();
        let row = Decision {
            capture: "a, \"b\".pcap",
            policy: "mh:mh-port,size=251",
            connection: 1,
            packet: 12,
            time_ns: Some(1_700_000_000_000_000_001),
            protocol: "tcp",
            client: "192.0.2.7".parse().unwrap(),
            client_port: 40_001,
            service: "10.0.0.1".parse().unwrap(),
            service_port: 80,
            server: Some(("10.1.0.1".parse().unwrap(), 8080)),
            reason: Reason::Scheduled,
        };
        writer.write(&row).unwrap();
        let refused = Decision {
            time_ns: None,
            client: "2001:db8::7".parse().unwrap(),
            service: "2001:db8::1".parse().unwrap(),
            server: None,
            reason: Reason::NoDestination,
            ..row
        };
        writer.write(&refused).unwrap();
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        insta::assert_snapshot!(text, @r#"
        capture,policy,connection,packet,time_ns,protocol,client,client_port,service,service_port,server,server_port,reason
        "a, ""b"".pcap","mh:mh-port,size=251",1,12,1700000000000000001,tcp,192.0.2.7,40001,10.0.0.1,80,10.1.0.1,8080,scheduled
        "a, ""b"".pcap","mh:mh-port,size=251",1,12,,tcp,2001:db8::7,40001,2001:db8::1,80,,,no-destination
        "#);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_system_says_is_told() {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut writer = DecisionWriter::new(full, Heading::Written).unwrap();
        let long = "x".repeat(1 << 20);
        let row = Decision {
            capture: &long,
            policy: "rr",
            connection: 1,
            packet: 1,
            time_ns: None,
            protocol: "tcp",
            client: "192.0.2.7".parse().unwrap(),
            client_port: 1,
            service: "10.0.0.1".parse().unwrap(),
            service_port: 80,
            server: None,
            reason: Reason::Scheduled,
        };
        let error = writer.write(&row).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    }

    #[test]
    fn rows_without_a_heading_can_be_appended() {
        let writer = DecisionWriter::new(Vec::new(), Heading::Omitted).unwrap();
        assert!(writer.finish().unwrap().is_empty());
    }
}
