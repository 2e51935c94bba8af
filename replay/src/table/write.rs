//! Segments to a Parquet file: one row group each.

use std::io::{self, Write};
use std::sync::Arc;

use crc32fast::Hasher;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::facts::Extent;
use super::schema;
use super::segment::{Row, Segment, Stored, Summary};
use crate::track::{Basis, Close, Traffic};

/// A table being written.
pub(super) struct Writer<W: Write + Send> {
    file: SerializedFileWriter<Watched<W>>,
    segments: Vec<Extent>,
}

impl<W: Write + Send> Writer<W> {
    /// A table of connections.
    pub(super) fn new(out: W) -> io::Result<Self> {
        let schema = schema::schema().map_err(io::Error::other)?;
        Self::with(out, schema, schema::properties())
    }

    /// A table of whatever columns.
    pub(super) fn with(
        out: W,
        schema: Arc<Type>,
        properties: Arc<WriterProperties>,
    ) -> io::Result<Self> {
        let out = Watched {
            out,
            error: None,
            length: 0,
            checksum: Hasher::new(),
        };
        let file = SerializedFileWriter::new(out, schema, properties);
        Ok(Self {
            file: file.map_err(io::Error::other)?,
            segments: Vec::new(),
        })
    }

    /// Writes a segment and what its rows say besides.
    pub(super) fn write(&mut self, segment: &Segment, summaries: &[Summary]) -> io::Result<()> {
        let number = self.segments.len() as u32;
        self.write_group(|group| {
            write_rows(group, number, &segment.rows, summaries)?;
            write_packets(group, segment)
        })
    }

    /// Writes the next row group, which is a segment of the file: `fill` writes every column.
    pub(super) fn write_group(
        &mut self,
        fill: impl FnOnce(&mut Group<'_, W>) -> Result<(), ParquetError>,
    ) -> io::Result<()> {
        let written = self.filled(fill);
        let written = written.and_then(|()| Ok(self.file.flush()?));
        let out = self.file.inner_mut();
        self.segments.push(Extent {
            end_byte: out.length,
            crc32: std::mem::take(&mut out.checksum).finalize(),
        });
        self.outcome(written)
    }

    /// Writes what `facts` makes of the segments into the metadata, and ends the file.
    pub(super) fn finish(
        mut self,
        key: &str,
        facts: impl FnOnce(Vec<Extent>) -> serde_json::Result<String>,
    ) -> io::Result<()> {
        let facts = facts(std::mem::take(&mut self.segments))?;
        let facts = KeyValue::new(key.to_owned(), facts);
        self.file.append_key_value_metadata(facts);
        let written = self.file.finish().map(|_| ());
        self.outcome(written)
    }

    /// What the system said explains more than what the crate makes of it.
    fn outcome(&mut self, written: Result<(), ParquetError>) -> io::Result<()> {
        let said = self.file.inner_mut().error.take();
        written.map_err(|error| said.unwrap_or_else(|| io::Error::other(error)))
    }

    fn filled(
        &mut self,
        fill: impl FnOnce(&mut Group<'_, W>) -> Result<(), ParquetError>,
    ) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        fill(&mut group)?;
        group.close()?;
        Ok(())
    }
}

pub(super) type Group<'a, W> = SerializedRowGroupWriter<'a, Watched<W>>;

/// The columns before `packets`, in the order of the schema.
fn write_rows<W: Write + Send>(
    group: &mut Group<'_, W>,
    number: u32,
    rows: &[Row],
    summaries: &[Summary],
) -> Result<(), ParquetError> {
    let texts = |group: &mut Group<'_, W>, texts: &mut dyn Iterator<Item = Option<String>>| {
        let texts = texts.map(|text| text.map(|text| ByteArray::from(text.as_str())));
        put::<ByteArrayType, W>(group, texts, None)
    };
    let long = |group: &mut Group<'_, W>, of: &dyn Fn(&Summary) -> Option<u64>| {
        let values = summaries.iter().map(|row| of(row).map(u64::cast_signed));
        put::<Int64Type, W>(group, values, None)
    };
    let port = |group: &mut Group<'_, W>, of: &dyn Fn(&Row) -> u16| {
        let values = rows.iter().map(|row| Some(i32::from(of(row))));
        put::<Int32Type, W>(group, values, None)
    };
    long(group, &|row| Some(row.connection))?;
    let segments = rows.iter().map(|_| Some(number.cast_signed()));
    put::<Int32Type, W>(group, segments, None)?;
    texts(
        group,
        &mut rows.iter().map(|row| Some(row.protocol.to_string())),
    )?;
    texts(
        group,
        &mut rows.iter().map(|row| Some(row.client.address.to_string())),
    )?;
    port(group, &|row| row.client.port)?;
    texts(
        group,
        &mut rows.iter().map(|row| Some(row.server.address.to_string())),
    )?;
    port(group, &|row| row.server.port)?;
    let bases = summaries.iter().map(|row| basis_name(row.basis));
    texts(group, &mut bases.map(|name| Some(name.to_owned())))?;
    let legs = summaries.iter().map(|row| Some(row.is_second_leg));
    put::<BoolType, W>(group, legs, None)?;
    let established = summaries.iter().map(|row| Some(row.established));
    put::<BoolType, W>(group, established, None)?;
    let closes = summaries.iter().map(|row| row.close.map(close_name));
    texts(group, &mut closes.map(|name| name.map(str::to_owned)))?;
    long(group, &|row| Some(row.first_ns))?;
    long(group, &|row| Some(row.last_ns))?;
    long(group, &|row| row.first_response_ns)?;
    let ways: [fn(&Summary) -> &Traffic; 2] = [|row| &row.to_server, |row| &row.to_client];
    for way in ways {
        long(group, &|row| Some(way(row).packets))?;
        long(group, &|row| Some(way(row).bytes))?;
        long(group, &|row| Some(way(row).payload_bytes))?;
    }
    Ok(())
}

/// The columns of `packets`, row by row.
fn write_packets<W: Write + Send>(
    group: &mut Group<'_, W>,
    segment: &Segment,
) -> Result<(), ParquetError> {
    let packets = &segment.packets;
    let mut row = None;
    let levels: Vec<i16> = packets
        .iter()
        .map(|packet| i16::from(row.replace(packet.row) == Some(packet.row)))
        .collect();
    let repeated = Some(levels.as_slice());
    let int = |group: &mut Group<'_, W>, of: &dyn Fn(&Stored) -> u32| {
        let values = packets.iter().map(|packet| Some(of(packet).cast_signed()));
        put::<Int32Type, W>(group, values, repeated)
    };
    let long = |group: &mut Group<'_, W>, of: &dyn Fn(&Stored) -> Option<u64>| {
        let values = packets
            .iter()
            .map(|packet| of(packet).map(u64::cast_signed));
        put::<Int64Type, W>(group, values, repeated)
    };
    let bit = |group: &mut Group<'_, W>, of: &dyn Fn(&Stored) -> bool| {
        put::<BoolType, W>(
            group,
            packets.iter().map(|packet| Some(of(packet))),
            repeated,
        )
    };
    let places = segment.places.iter().map(|place| Some(place.cast_signed()));
    put::<Int32Type, W>(group, places, repeated)?;
    int(group, &|packet| packet.capture)?;
    long(group, &|packet| Some(packet.number))?;
    long(group, &|packet| Some(packet.time_ns))?;
    long(group, &|packet| {
        let raw = packet.raw_time_ns?;
        Some(packet.time_ns.wrapping_sub(raw))
    })?;
    bit(group, &|packet| packet.to_server)?;
    int(group, &|packet| u32::from(packet.flags.bits()))?;
    int(group, &|packet| packet.length)?;
    int(group, &|packet| packet.payload_length)?;
    int(group, &|packet| packet.tcp_sequence)?;
    int(group, &|packet| packet.tcp_acknowledgement)?;
    int(group, &|packet| u32::from(packet.identification))?;
    bit(group, &|packet| packet.first_fragment)
}

/// Writes the next column of the schema; `repeated` are the repetition levels of a list.
pub(super) fn put<T: DataType, W: Write + Send>(
    group: &mut Group<'_, W>,
    values: impl Iterator<Item = Option<T::T>>,
    repeated: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("a column too many".to_owned()));
    };
    let writer = column.typed::<T>();
    let deepest = writer.get_descriptor().max_def_level();
    let mut present = Vec::with_capacity(values.size_hint().0);
    let mut defined = Vec::with_capacity(values.size_hint().0);
    for value in values {
        defined.push(deepest - i16::from(value.is_none()));
        present.extend(value);
    }
    let defined = (deepest > 0).then_some(defined.as_slice());
    writer.write_batch(&present, defined, repeated)?;
    column.close()
}

/// A basis as tables name it.
pub(super) fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::LowerPort => "lower-port",
        Basis::FirstPacket => "first-packet",
        Basis::SynAck => "syn-ack",
        Basis::Syn => "syn",
    }
}

/// The way in which a connection was closed as tables name it.
pub(super) fn close_name(close: Close) -> &'static str {
    match close {
        Close::Fin => "fin",
        Close::Reset => "reset",
    }
}

/// Sums up what is written, and keeps what the system said when it failed, which the crate turns
/// into text.
pub(super) struct Watched<W> {
    out: W,
    error: Option<io::Error>,
    length: u64,
    checksum: Hasher,
}

impl<W: Write> Watched<W> {
    fn keep<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        done.map_err(|error| {
            let kind = error.kind();
            self.error = Some(error);
            kind.into()
        })
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        let count = self.keep(written)?;
        self.length += count as u64;
        self.checksum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.keep(flushed)
    }
}
