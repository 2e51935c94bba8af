//! Rows of the decisions CSV: kept in a temporary file for each run, since runs go side by side
//! and the rows come out one run after the other.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use equipoise_core::{Decision, Endpoint};
use equipoise_reports::decisions::{self, DecisionWriter, Heading};

use crate::record::reason_name;
use crate::trace::TracePacket;

/// What a row says of its packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) packet: TracePacket,
}

impl Row {
    pub(crate) fn of(packet: &TracePacket) -> Self {
        Self { packet: *packet }
    }

    /// `tcp 192.0.2.7:40001 -> 10.0.0.1:80`.
    pub(crate) fn connection(&self) -> String {
        let packet = &self.packet.packet;
        let client = Endpoint {
            address: packet.source,
            port: packet.source_port,
        };
        let service = Endpoint {
            address: packet.destination,
            port: packet.destination_port,
        };
        format!("{} {client} -> {service}", packet.protocol)
    }
}

/// The rows of one run.
pub(crate) struct Spool {
    writer: Option<DecisionWriter<BufWriter<File>>>,
    file: File,
    label: String,
    captures: Arc<[String]>,
    /// The first thing that went wrong; nothing is written after it.
    error: Option<io::Error>,
}

impl Spool {
    pub(crate) fn new(label: String, captures: Arc<[String]>) -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        let writer = DecisionWriter::new(BufWriter::new(file.try_clone()?), Heading::Omitted)?;
        Ok(Self {
            writer: Some(writer),
            file,
            label,
            captures,
            error: None,
        })
    }

    pub(crate) fn write(&mut self, row: &Row, decision: &Decision, server: Option<Endpoint>) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let TracePacket {
            capture,
            number,
            raw_time_ns,
            packet,
            observed,
            ..
        } = row.packet;
        let protocol = packet.protocol.to_string();
        let written = writer.write(&decisions::Decision {
            capture: self
                .captures
                .get(capture as usize)
                .map_or("", String::as_str),
            policy: &self.label,
            connection: observed.connection,
            packet: number,
            time_ns: raw_time_ns,
            protocol: &protocol,
            client: packet.source.into(),
            client_port: packet.source_port,
            service: packet.destination.into(),
            service_port: packet.destination_port,
            server: server.map(|server| (server.address.into(), server.port)),
            reason: reason_name(decision.reason),
        });
        if let Err(error) = written {
            self.error = Some(error);
            self.writer = None;
        }
    }

    pub(crate) fn finish(&mut self) {
        if let Some(writer) = self.writer.take() {
            let flushed = writer.finish().and_then(|mut buffer| buffer.flush());
            self.error = flushed.err();
        }
    }

    /// Appends the rows to `out`.
    pub(crate) fn copy_to(mut self, out: &mut impl Write) -> io::Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.file.rewind()?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(()),
                read => out.write_all(&buffer[..read])?,
            }
        }
    }
}

/// The decisions of a whole replay.
pub struct Decisions {
    pub(crate) spools: Vec<Spool>,
}

impl Decisions {
    /// Writes the column names, then the rows: by policy as given, then by packet.
    pub fn write_to(self, mut out: impl Write) -> io::Result<()> {
        let heading = DecisionWriter::new(Vec::new(), Heading::Written)?.finish()?;
        out.write_all(&heading)?;
        for spool in self.spools {
            spool.copy_to(&mut out)?;
        }
        out.flush()
    }
}
