//! The table of connections, with their packets: a trace that other programs can read, and that is
//! read back as the captures it was made of. Beside it the table of requests, which is not.
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
mod requests;
mod schema;
mod segment;
mod sink;
#[cfg(test)]
mod tests;
mod write;

pub use error::TableError;

pub(crate) use facts::{Facts, Part};
pub(crate) use read::Reader;
pub(crate) use segment::Segment;

use std::io::{self, Write};

use crate::capture::{CaptureError, Source};
use crate::decode::Decoder;
use crate::replay::{Phase, Progress, Watcher};
use crate::request::{self, Counts};
use crate::trace::Trace;
use crate::track::Tracker;
use crate::transform::{NotTaken, Selection};
use facts::Extent;
use sink::Sink;

/// Packets after which a segment ends, at the end of their batch. A segment is held in memory when
/// it is written and when it is read: about 100 bytes a packet.
pub const SEGMENT: usize = 1 << 20;

/// The most packets of a segment that is read.
const LARGEST_SEGMENT: u64 = 1 << 22;

/// What is written, and how.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How frames become packets.
    pub decoder: Decoder,
    /// What of the captures is taken.
    pub selection: Selection,
    /// What there is a row for.
    pub rows: Rows,
    /// What it is written as.
    pub format: Format,
}

/// What a table has rows for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Connections.
    Connections,
    /// What connections ask for.
    Requests,
}

/// What a table is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Parquet: a row for each connection and segment, with its packets; or for each request.
    Parquet {
        /// Packets after which a segment ends: [`SEGMENT`]. Of requests it ends after as many of
        /// them, and no later than memory for them does.
        segment: usize,
    },
    /// CSV: a line for each connection, or request.
    Csv,
}

/// What was written.
#[derive(Debug)]
pub struct Extracted {
    /// Connections, second legs included.
    pub connections: u64,
    /// Packets of them.
    pub packets: u64,
    /// Requests, and what could not be read as such, where there are rows for them.
    pub requests: Option<Counts>,
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
    /// Requests are asked for, and the trace is a table.
    #[error(
        "a table of connections holds no payload: extract the requests of the captures that it was made of"
    )]
    NoPayload,
    /// It was broken off.
    #[error("interrupted: nothing was extracted")]
    Interrupted,
    /// The table cannot be written.
    #[error("cannot write the table: {0}")]
    Write(#[from] io::Error),
}

/// Writes the connections or requests of the captures to `out`.
pub fn extract(
    sources: &[Source],
    options: Options,
    out: impl Write + Send,
    watcher: &mut dyn Watcher,
) -> Result<Extracted, ExtractError> {
    let mut trace = open(sources, options)?;
    // What a table was made with, where this is one.
    let decoder = trace.decoder();
    let mut sink = Sink::new(out, &options)?;
    let mut batch = Vec::new();
    let mut capture_errors = Vec::new();
    let mut packets = 0;
    loop {
        let more = match trace.next_batch(&mut batch) {
            Ok(more) => more,
            Err(error) => {
                capture_errors.push(error);
                continue;
            }
        };
        packets += trace.seen().len() as u64;
        sink.take(&mut trace, &batch)?;
        if !more {
            break;
        }
        let progress = Progress::of(&trace, Phase::Extract);
        if watcher.watch(&progress).is_break() {
            return Err(ExtractError::Interrupted);
        }
    }
    let totals = trace.totals();
    let found = totals.frames - totals.skipped.values().sum::<u64>();
    if found == 0 && !capture_errors.is_empty() {
        return Err(capture_errors.remove(0).into());
    }
    let errors = capture_errors.iter().map(ToString::to_string).collect();
    sink.finish(&mut trace, |trace, segments| {
        let facts = Facts::of(trace, decoder, packets, segments, errors);
        match trace.requests() {
            Some(requests) => requests::facts(requests.counts(), &facts),
            None => facts.to_json(),
        }
    })?;
    let requests = trace.requests().map(|requests| requests.counts().clone());
    Ok(Extracted {
        connections: trace.connections().0,
        packets,
        requests,
        warnings: warnings(&trace, packets),
        capture_errors,
    })
}

fn open(sources: &[Source], options: Options) -> Result<Trace, ExtractError> {
    let trace = Trace::open(sources, options.decoder, Tracker::default())?;
    let mut trace = trace.with_selection(options.selection);
    if options.rows == Rows::Requests {
        if trace.is_table() {
            return Err(ExtractError::NoPayload);
        }
        trace = trace.with_requests(request::Requests::default());
    }
    trace.see_all();
    Ok(trace)
}

fn warnings(trace: &Trace, packets: u64) -> Vec<String> {
    let mut warnings = trace.remarks();
    warnings.extend(trace.warnings().map(ToString::to_string));
    if let Some(selector) = trace.selector()
        && packets == 0
    {
        let NotTaken { outside, unsampled } = selector.not_taken();
        warnings.push(format!(
            "the table is empty: {outside} packets are outside the window, {unsampled} of connections outside the sample"
        ));
    }
    warnings
}
