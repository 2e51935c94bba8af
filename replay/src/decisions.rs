//! Rows of the decisions CSV: kept in a temporary file for each run, since runs go side by side
//! and the rows come out one run after the other.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use equipoise_core::{Decision, Endpoint, FlowId, Protocol};
use equipoise_reports::decisions::{self, DecisionWriter, Heading};

use crate::record::reason_name;
use crate::trace::{Asked, TracePacket};

/// What a row says of its packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) capture: u32,
    pub(crate) number: u64,
    raw_time_ns: Option<u64>,
    connection: u64,
    protocol: Protocol,
    pub(crate) client: Endpoint,
    pub(crate) service: Endpoint,
    pub(crate) flow: FlowId,
    /// Of several, by its number.
    pub(crate) director: u16,
}

impl Row {
    #[inline]
    pub(crate) fn of(packet: &TracePacket) -> Self {
        let TracePacket {
            capture,
            number,
            raw_time_ns,
            ref packet,
            ref observed,
            ..
        } = *packet;
        Self {
            capture,
            number,
            raw_time_ns,
            connection: observed.connection,
            protocol: packet.protocol,
            client: Endpoint {
                address: packet.source,
                port: packet.source_port,
            },
            service: Endpoint {
                address: packet.destination,
                port: packet.destination_port,
            },
            flow: observed.flow,
            director: 0,
        }
    }

    /// Of a connection that was decided when its first request was known.
    pub(crate) fn of_asked(first: &TracePacket, asked: &Asked) -> Self {
        Self {
            capture: asked.capture,
            number: asked.number,
            raw_time_ns: asked.raw_time_ns,
            ..Self::of(first)
        }
    }

    /// `tcp 192.0.2.7:40001 -> 10.0.0.1:80`.
    pub(crate) fn connection(&self) -> String {
        format!("{} {} -> {}", self.protocol, self.client, self.service)
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
        let protocol = row.protocol.to_string();
        let written = writer.write(&decisions::Decision {
            capture: self
                .captures
                .get(row.capture as usize)
                .map_or("", String::as_str),
            policy: &self.label,
            connection: row.connection,
            packet: row.number,
            time_ns: row.raw_time_ns,
            protocol: &protocol,
            client: row.client.address.into(),
            client_port: row.client.port,
            service: row.service.address.into(),
            service_port: row.service.port,
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
    fn copy_to(mut self, out: &mut impl Write) -> Result<(), DecisionsError> {
        let lost = |source| DecisionsError::Keep {
            folder: std::env::temp_dir().display().to_string(),
            source,
        };
        if let Some(error) = self.error {
            return Err(lost(error));
        }
        self.file.rewind().map_err(lost)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.file.read(&mut buffer).map_err(lost)? {
                0 => return Ok(()),
                read => out.write_all(&buffer[..read])?,
            }
        }
    }
}

/// Why decisions were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecisionsError {
    /// They could not be kept until the end of the replay.
    #[error(
        "cannot keep the decisions in {folder} until they are written: {source}; name a folder with more room in TMPDIR"
    )]
    Keep {
        /// The folder for temporary files.
        folder: String,
        /// Why.
        source: io::Error,
    },
    /// Where they were to go does not take them.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// The decisions of a whole replay.
pub struct Decisions {
    pub(crate) spools: Vec<Spool>,
}

impl Decisions {
    /// Writes the column names, then the rows: by policy as given, then by packet.
    pub fn write_to(self, mut out: impl Write) -> Result<(), DecisionsError> {
        let heading = DecisionWriter::new(Vec::new(), Heading::Written)?.finish()?;
        out.write_all(&heading)?;
        for spool in self.spools {
            spool.copy_to(&mut out)?;
        }
        Ok(out.flush()?)
    }
}
