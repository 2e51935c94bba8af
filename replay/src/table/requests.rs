//! The table of requests: a row for each, in the order in which nothing more was to come of them.
//!
//! Owns its columns and both ways of writing them (docs/table.md). Does not read requests, and is
//! not read back: what they were read out of is not in it.

mod columns;
mod ends;
mod text;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use serde::Serialize;

use super::write::{Group, Writer};
use super::{Facts, Format};
use crate::request::{Content, Counts, Request};
use crate::trace::{Event, Trace};
use columns::{COLUMNS, Of, Row};
use ends::{Between, Ends};

/// Where what was counted stands in the file's metadata.
pub(super) const FACTS_KEY: &str = "equipoise.requests";
const SCHEMA: &str = "equipoise.requests/1";

/// A segment is held in memory until it is written: so many requests at most, and bytes of them.
const MOST_ROWS: usize = 1 << 16;
const MOST_BYTES: usize = 16 << 20;

/// Requests being written.
pub(super) struct Requests<W: Write + Send> {
    ends: Ends,
    out: Out<W>,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Out<W: Write + Send> {
    Csv(BufWriter<W>),
    Parquet {
        writer: Writer<W>,
        waiting: Waiting,
        most_rows: usize,
    },
}

/// Rows of the next segment.
#[derive(Default)]
struct Waiting {
    rows: Vec<(Request, Between)>,
    bytes: usize,
}

/// What the metadata says of requests.
#[derive(Serialize)]
struct Counted<'a> {
    schema: &'static str,
    http: u64,
    responses: u64,
    tls: u64,
    quic: u64,
    oddities: BTreeMap<String, u64>,
    trace: &'a Facts,
}

/// The metadata as JSON.
pub(super) fn facts(counts: &Counts, trace: &Facts) -> serde_json::Result<String> {
    let reasons = counts.reasons.iter();
    serde_json::to_string(&Counted {
        schema: SCHEMA,
        http: counts.http,
        responses: counts.responses,
        tls: counts.tls,
        quic: counts.quic,
        oddities: reasons
            .map(|(reason, &count)| (reason.to_string(), count))
            .collect(),
        trace,
    })
}

impl<W: Write + Send> Requests<W> {
    pub(super) fn new(out: W, format: Format) -> io::Result<Self> {
        let out = match format {
            Format::Csv => {
                let mut out = BufWriter::new(out);
                writeln!(out, "{}", COLUMNS.map(|column| column.name).join(","))?;
                Out::Csv(out)
            }
            Format::Parquet { segment } => {
                let schema = parse_message_type(&columns::message()).map_err(io::Error::other)?;
                Out::Parquet {
                    writer: Writer::with(out, Arc::new(schema), properties())?,
                    waiting: Waiting::default(),
                    most_rows: segment.min(MOST_ROWS),
                }
            }
        };
        Ok(Self {
            ends: Ends::default(),
            out,
        })
    }

    /// Takes in what the latest batch brought.
    pub(super) fn take(&mut self, trace: &mut Trace, batch: &[Event]) -> io::Result<()> {
        self.ends.see(batch);
        // Of no interest, but kept until they are asked for.
        trace.ended().for_each(drop);
        let mut written = Ok(());
        if let Some(requests) = trace.requests() {
            requests.finished(|request| {
                if written.is_ok() {
                    written = self.out.add(request, self.ends.of(request));
                }
            });
        }
        written
    }

    /// Writes what waits, and what `facts` makes of the file as a whole.
    pub(super) fn finish(
        self,
        facts: impl FnOnce(Vec<super::Extent>) -> serde_json::Result<String>,
    ) -> io::Result<()> {
        match self.out {
            Out::Csv(mut out) => out.flush(),
            Out::Parquet {
                mut writer,
                mut waiting,
                ..
            } => {
                if !waiting.rows.is_empty() {
                    waiting.write(&mut writer)?;
                }
                writer.finish(FACTS_KEY, facts)
            }
        }
    }
}

impl<W: Write + Send> Out<W> {
    fn add(&mut self, request: &Request, between: Between) -> io::Result<()> {
        match self {
            Self::Csv(out) => write_line(out, Row { request, between }),
            Self::Parquet {
                writer,
                waiting,
                most_rows,
            } => {
                waiting.bytes += size(request);
                waiting.rows.push((request.clone(), between));
                if waiting.rows.len() >= *most_rows || waiting.bytes >= MOST_BYTES {
                    waiting.write(writer)?;
                }
                Ok(())
            }
        }
    }
}

impl Waiting {
    fn write<W: Write + Send>(&mut self, writer: &mut Writer<W>) -> io::Result<()> {
        writer.write_group(|group| {
            let mut columns = COLUMNS.iter();
            columns.try_for_each(|column| write_column(group, column.of, &self.rows))
        })?;
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// The next column of the schema.
fn write_column<W: Write + Send>(
    group: &mut Group<'_, W>,
    of: Of,
    rows: &[(Request, Between)],
) -> Result<(), ParquetError> {
    use super::write::put;
    use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type, Int64Type};
    let rows = rows.iter().map(|(request, between)| Row {
        request,
        between: *between,
    });
    match of {
        Of::Text(of) => {
            let texts = rows.map(|row| of(row).map(|text| ByteArray::from(&*text)));
            put::<ByteArrayType, W>(group, texts, None)
        }
        Of::Truth(of) => put::<BoolType, W>(group, rows.map(of), None),
        Of::Short(of) => put::<Int32Type, W>(group, rows.map(|row| of(row).map(i32::from)), None),
        Of::Int(of) => {
            let numbers = rows.map(|row| of(row).map(u32::cast_signed));
            put::<Int32Type, W>(group, numbers, None)
        }
        Of::Long(of) => {
            let numbers = rows.map(|row| of(row).map(u64::cast_signed));
            put::<Int64Type, W>(group, numbers, None)
        }
    }
}

/// A line of CSV (RFC 4180): what is not there is empty, what is empty is `""`. No field has a line
/// break in it.
fn write_line(out: &mut impl Write, row: Row<'_>) -> io::Result<()> {
    for (place, column) in COLUMNS.iter().enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        match column.of.text(row) {
            None => {}
            Some(text) if text.is_empty() || text.contains([',', '"']) => {
                write!(out, "\"{}\"", text.replace('"', "\"\""))?;
            }
            Some(text) => out.write_all(text.as_bytes())?,
        }
    }
    out.write_all(b"\n")
}

/// Roughly what a request takes in memory.
fn size(request: &Request) -> usize {
    let more = match &request.content {
        Content::Http(http) => http.method().len() + http.target().len(),
        Content::Tls(hello) => hello.protocols.iter().map(|name| 24 + name.len()).sum(),
        Content::Quic(initial) => initial.destination_id.len() + initial.source_id.len(),
    };
    size_of::<(Request, Between)>() + request.host().map_or(0, <[u8]>::len) + more
}

/// Numbers that grow by little are written as differences, all else by a dictionary where that is
/// shorter.
fn properties() -> Arc<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in COLUMNS.iter().filter(|column| column.of.is_long()) {
        let path = ColumnPath::from(column.name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    Arc::new(properties.build())
}
