//! The table of connections, with their packets: a trace that other programs can read, and that is
//! read back as the captures it was made of.
//!
//! Owns the columns (docs/table.md), the facts of the trace beside them, and what is believed of a
//! file. Does not track: what a table says of connections is for its readers, and whoever reads it
//! as a trace tracks its packets again.

mod csv;
mod encoding;
mod error;
mod facts;
mod pages;
mod read;
mod schema;
mod segment;
#[cfg(test)]
mod tests;
mod write;

pub use error::TableError;

pub(crate) use facts::Facts;
pub(crate) use read::Reader;
pub(crate) use segment::Segment;

use std::io::{self, Write};

use crate::capture::{CaptureError, Source};
use crate::decode::Decoder;
use crate::replay::{Phase, Progress, Watcher};
use crate::trace::Trace;
use crate::track::Tracker;
use facts::Extent;
use segment::Collector;
use write::Writer;

/// Packets after which a segment ends, at the end of their batch. A segment is held in memory when
/// it is written and when it is read: about 100 bytes a packet.
pub const SEGMENT: usize = 1 << 20;

/// The most packets of a segment that is read.
const LARGEST_SEGMENT: u64 = 1 << 22;

/// What a table is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Parquet: a row for each connection and segment, with its packets.
    Parquet {
        /// Packets after which a segment ends: [`SEGMENT`].
        segment: usize,
    },
    /// CSV: a line for each connection.
    Csv,
}

/// What was written.
#[derive(Debug)]
pub struct Extracted {
    /// Connections, second legs included.
    pub connections: u64,
    /// Packets of them.
    pub packets: u64,
    /// Warnings about captures.
    pub warnings: Vec<String>,
    /// Captures that could not be read to their end; what was read before counts.
    pub capture_errors: Vec<CaptureError>,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// A capture cannot be read at all.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// It was broken off.
    #[error("interrupted: nothing was extracted")]
    Interrupted,
    /// The table cannot be written.
    #[error("cannot write the table: {0}")]
    Write(#[from] io::Error),
}

/// Writes the connections of the captures to `out`.
pub fn extract(
    sources: &[Source],
    decoder: Decoder,
    format: Format,
    out: impl Write + Send,
    watcher: &mut dyn Watcher,
) -> Result<Extracted, ExtractError> {
    let mut trace = Trace::open(sources, decoder, Tracker::default())?;
    // What a table was made with, where this is one.
    let decoder = trace.decoder();
    let mut sink = match format {
        Format::Parquet { segment } => {
            trace.see_all();
            // Its last batch may be longer than it is short of.
            let segment = segment.min(LARGEST_SEGMENT as usize / 2);
            Sink::Parquet {
                writer: Writer::new(out)?,
                collector: Collector::default(),
                segment,
            }
        }
        Format::Csv => Sink::Csv(csv::Writer::new(out)?),
    };
    let mut batch = Vec::new();
    let mut capture_errors = Vec::new();
    loop {
        let more = match trace.next_batch(&mut batch) {
            Ok(more) => more,
            Err(error) => {
                capture_errors.push(error);
                continue;
            }
        };
        sink.take(&mut trace)?;
        if !more {
            break;
        }
        let progress = Progress::of(&trace, Phase::Extract);
        if watcher.watch(&progress).is_break() {
            return Err(ExtractError::Interrupted);
        }
    }
    let totals = trace.totals();
    let packets = totals.frames - totals.skipped.values().sum::<u64>();
    if packets == 0 && !capture_errors.is_empty() {
        return Err(capture_errors.remove(0).into());
    }
    let errors = capture_errors.iter().map(ToString::to_string).collect();
    sink.finish(&mut trace, |trace, segments| {
        Facts::of(trace, decoder, packets, segments, errors).to_json()
    })?;
    let own = trace.warnings().map(ToString::to_string);
    let seams = trace.seams();
    Ok(Extracted {
        connections: trace.connections().0,
        packets,
        warnings: seams.iter().map(ToString::to_string).chain(own).collect(),
        capture_errors,
    })
}

#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Sink<W: Write + Send> {
    Parquet {
        writer: Writer<W>,
        collector: Collector,
        segment: usize,
    },
    Csv(csv::Writer<W>),
}

impl<W: Write + Send> Sink<W> {
    /// Takes in what the latest batch brought.
    fn take(&mut self, trace: &mut Trace) -> io::Result<()> {
        match self {
            Self::Parquet {
                writer,
                collector,
                segment,
            } => {
                trace.seen().iter().for_each(|seen| collector.add(seen));
                trace.ended().for_each(|ended| collector.end(&ended));
                if collector.len() >= *segment {
                    flush(writer, collector, trace)?;
                }
                Ok(())
            }
            Self::Csv(writer) => trace.ended().try_for_each(|ended| writer.write(&ended)),
        }
    }

    fn finish(
        self,
        trace: &mut Trace,
        facts: impl FnOnce(&Trace, Vec<Extent>) -> serde_json::Result<String>,
    ) -> io::Result<()> {
        match self {
            Self::Parquet {
                mut writer,
                mut collector,
                ..
            } => {
                if collector.len() > 0 {
                    flush(&mut writer, &mut collector, trace)?;
                }
                writer.finish(|segments| facts(trace, segments))
            }
            Self::Csv(writer) => writer.finish(),
        }
    }
}

fn flush<W: Write + Send>(
    writer: &mut Writer<W>,
    collector: &mut Collector,
    trace: &mut Trace,
) -> io::Result<()> {
    let tracker = trace.tracker();
    let (segment, summaries) = collector.finish(|flow| tracker.connection(flow));
    writer.write(&segment, &summaries)
}
