//! A Parquet file back to segments.
//!
//! Reads only the columns that the trace is made of, and believes none: the packets of a segment
//! must be there exactly once, in the order of their times.

use std::collections::BTreeMap;
use std::sync::Arc;

use equipoise_core::{Address, Endpoint, Protocol, TcpFlags};
use parquet::basic::Compression;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::facts::Facts;
use super::pages::{Checked, File};
use super::segment::{Row, Segment, Stored};
use super::{LARGEST_SEGMENT, TableError, schema};
use crate::capture::Content;

/// A table being read.
pub(crate) struct Reader {
    file: Arc<File>,
    metadata: ParquetMetaData,
    columns: BTreeMap<String, usize>,
    captures: u32,
    next: usize,
    last_time_ns: u64,
}

/// The packets of a column: where in the segment each belongs, and where rows begin.
struct Places {
    places: Vec<usize>,
    levels: Vec<i16>,
}

impl Reader {
    /// Opens a table and checks that it is one.
    pub(crate) fn open(content: Content) -> Result<(Self, Facts), TableError> {
        let file = Arc::new(File(content));
        let metadata = ParquetMetaDataReader::new()
            .parse_and_finish(&*file)
            .map_err(|source| TableError::Footer { source })?;
        let facts = facts_of(&metadata)?;
        let columns = columns_of(&metadata)?;
        let reader = Self {
            file,
            metadata,
            columns,
            captures: facts.captures.len() as u32,
            next: 0,
            last_time_ns: 0,
        };
        let mut packets = 0;
        for number in 0..reader.metadata.num_row_groups() {
            packets += reader.check_group(number)?;
        }
        if packets != facts.packets {
            return Err(TableError::Foreign {
                missing: format!("some of its packets: {packets} are there of {}", facts.packets),
            });
        }
        Ok((reader, facts))
    }

    /// The next segment; none behind the last.
    pub(crate) fn next_segment(&mut self) -> Result<Option<Segment>, TableError> {
        let number = self.next;
        if number >= self.metadata.num_row_groups() {
            return Ok(None);
        }
        self.next += 1;
        let segment = self.read(self.metadata.row_group(number));
        let segment = segment.and_then(|segment| {
            for packet in &segment.packets {
                if packet.time_ns < self.last_time_ns {
                    return Err("its times go back".to_owned());
                }
                self.last_time_ns = packet.time_ns;
            }
            Ok(segment)
        });
        match segment {
            Ok(segment) => Ok(Some(segment)),
            Err(what) => Err(TableError::Damaged {
                segment: number,
                what,
            }),
        }
    }

    /// How many packets the row group claims, where that can be.
    fn check_group(&self, number: usize) -> Result<u64, TableError> {
        let damaged = |what: String| TableError::Damaged {
            segment: number,
            what,
        };
        let group = self.metadata.row_group(number);
        let packets = group.column(self.columns[PLACE]).num_values();
        let is_bounded = |count: i64| (0..=LARGEST_SEGMENT as i64).contains(&count);
        if !is_bounded(packets) || !is_bounded(group.num_rows()) || packets < group.num_rows() {
            return Err(damaged(format!(
                "{packets} packets in {} rows are claimed, at most {LARGEST_SEGMENT} are accepted",
                group.num_rows()
            )));
        }
        for (name, &place) in &self.columns {
            let column = group.column(place);
            let begin = column.dictionary_page_offset().unwrap_or(0);
            if begin.min(column.data_page_offset()).min(column.compressed_size()) < 0 {
                return Err(damaged(format!("column {name} lies nowhere")));
            }
            if column.compression() != Compression::UNCOMPRESSED {
                return Err(TableError::Foreign {
                    missing: format!("an uncompressed column {name}"),
                });
            }
        }
        Ok(packets.cast_unsigned())
    }

    fn read(&self, group: &RowGroupMetaData) -> Result<Segment, String> {
        let rows = self.rows(group)?;
        let (places, mut packets) = self.places(group, rows.len())?;
        let mut column = |name, set: &mut dyn FnMut(&mut Stored, i32) -> Option<()>| {
            self.packets::<Int32Type>(group, name, &places, &mut packets, set)
        };
        column("capture", &mut |packet, value| {
            packet.capture = value.cast_unsigned();
            (packet.capture < self.captures).then_some(())
        })?;
        column("tcp_flags", &mut |packet, value| {
            packet.flags = TcpFlags::from_bits_retain(u8::try_from(value).ok()?);
            Some(())
        })?;
        column("ip_length", &mut |packet, value| {
            packet.length = value.cast_unsigned();
            Some(())
        })?;
        column("payload_length", &mut |packet, value| {
            packet.payload_length = value.cast_unsigned();
            Some(())
        })?;
        column("tcp_sequence", &mut |packet, value| {
            packet.tcp_sequence = value.cast_unsigned();
            Some(())
        })?;
        column("tcp_acknowledgement", &mut |packet, value| {
            packet.tcp_acknowledgement = value.cast_unsigned();
            Some(())
        })?;
        column("ip_identification", &mut |packet, value| {
            packet.identification = u16::try_from(value).ok()?;
            Some(())
        })?;
        let mut column = |name, set: &mut dyn FnMut(&mut Stored, i64) -> Option<()>| {
            self.packets::<Int64Type>(group, name, &places, &mut packets, set)
        };
        column("packet", &mut |packet, value| {
            packet.number = value.cast_unsigned();
            Some(())
        })?;
        column("time_ns", &mut |packet, value| {
            packet.time_ns = value.cast_unsigned();
            Some(())
        })?;
        column("time_added_ns", &mut |packet, value| {
            let raw = packet.time_ns.checked_sub(value.cast_unsigned())?;
            packet.raw_time_ns = Some(raw);
            Some(())
        })?;
        let mut column = |name, set: &mut dyn FnMut(&mut Stored, bool) -> Option<()>| {
            self.packets::<BoolType>(group, name, &places, &mut packets, set)
        };
        column("to_server", &mut |packet, value| {
            packet.to_server = value;
            Some(())
        })?;
        column("first_fragment", &mut |packet, value| {
            packet.first_fragment = value;
            Some(())
        })?;
        Ok(Segment { rows, packets })
    }

    fn rows(&self, group: &RowGroupMetaData) -> Result<Vec<Row>, String> {
        let protocols = self.column::<ByteArrayType>(group, "protocol")?;
        let mut ends = ["client", "server"].map(|side| {
            let addresses = self.column::<ByteArrayType>(group, &format!("{side}_address"))?;
            let ports = self.column::<Int32Type>(group, &format!("{side}_port"))?;
            let ends = addresses.values.iter().zip(&ports.values);
            let ends = ends.map(|(address, &port)| Some(Endpoint {
                address: address_of(address)?,
                port: u16::try_from(port).ok()?,
            }));
            let ends: Option<Vec<Endpoint>> = ends.collect();
            let ends = ends.ok_or_else(|| format!("a {side} is no address and port"))?;
            Ok::<_, String>(ends.into_iter())
        });
        let [clients, servers] = &mut ends;
        let clients = clients.as_mut().map_err(|what| what.clone())?;
        let servers = servers.as_mut().map_err(|what| what.clone())?;
        let protocols = protocols.values.iter();
        let rows = protocols.zip(clients).zip(servers);
        rows.map(|((protocol, client), server)| {
            let protocol = match protocol.data() {
                b"tcp" => Protocol::Tcp,
                b"udp" => Protocol::Udp,
                _ => return Err("a protocol is neither tcp nor udp".to_owned()),
            };
            Ok(Row {
                protocol,
                client,
                server,
            })
        })
        .collect()
    }

    /// Where packets belong, and the segment with their rows set.
    fn places(
        &self,
        group: &RowGroupMetaData,
        rows: usize,
    ) -> Result<(Places, Vec<Stored>), String> {
        let column = self.column::<Int32Type>(group, PLACE)?;
        let places = column.values.iter();
        let places: Vec<usize> = places.map(|&place| place.cast_unsigned() as usize).collect();
        let mut packets = vec![UNSET; places.len()];
        let mut row = u32::MAX;
        for (&place, &level) in places.iter().zip(&column.repeated) {
            row = row.wrapping_add(u32::from(level == 0));
            match packets.get_mut(place) {
                Some(packet) if packet.row == u32::MAX && (row as usize) < rows => packet.row = row,
                _ => return Err(format!("place {place} is not that of one packet")),
            }
        }
        let levels = column.repeated;
        if row.wrapping_add(1) as usize != rows || levels.len() != places.len() {
            return Err("not every row has packets".to_owned());
        }
        Ok((Places { places, levels }, packets))
    }

    /// Sets something of each packet, but where the column has none.
    fn packets<T: DataType>(
        &self,
        group: &RowGroupMetaData,
        name: &str,
        places: &Places,
        packets: &mut [Stored],
        set: &mut dyn FnMut(&mut Stored, T::T) -> Option<()>,
    ) -> Result<(), String> {
        let column = self.column::<T>(group, &schema::of_packets(name))?;
        if column.repeated != places.levels {
            return Err(format!("column {name} has other rows than the first"));
        }
        let mut values = column.values.into_iter();
        for (&place, is_defined) in places.places.iter().zip(column.is_defined) {
            if !is_defined {
                continue;
            }
            let done = values
                .next()
                .zip(packets.get_mut(place))
                .and_then(|(value, packet)| set(packet, value));
            if done.is_none() {
                return Err(format!("column {name} has a value that cannot be"));
            }
        }
        Ok(())
    }

    /// One column of a row group, whole.
    fn column<T: DataType>(
        &self,
        group: &RowGroupMetaData,
        name: &str,
    ) -> Result<Column<T>, String> {
        let place = self.columns[name];
        let metadata = group.column(place);
        let rows = group.num_rows().cast_unsigned() as usize;
        let values_left = group.column(self.columns[PLACE]).num_values().cast_unsigned() as usize;
        let read = || {
            let pages = SerializedPageReader::new(Arc::clone(&self.file), metadata, rows, None)?;
            let pages = Checked {
                pages,
                values_left,
                has_dictionary: false,
            };
            let description = metadata.column_descr_ptr();
            let deepest = description.max_def_level();
            let mut reader = ColumnReaderImpl::<T>::new(description, Box::new(pages));
            let (mut defined, mut repeated, mut values) = (Vec::new(), Vec::new(), Vec::new());
            let (read, ..) = reader.read_records(
                rows,
                Some(&mut defined),
                Some(&mut repeated),
                &mut values,
            )?;
            let is_defined = defined.into_iter().map(|level| level == deepest).collect();
            Ok::<_, parquet::errors::ParquetError>((read, Column { values, is_defined, repeated }))
        };
        match read() {
            Ok((read, column)) if read == rows => Ok(column),
            Ok((read, _)) => Err(format!("column {name} ends behind row {read} of {rows}")),
            Err(error) => Err(format!("column {name}: {error}")),
        }
    }
}

/// What was read of a column.
struct Column<T: DataType> {
    values: Vec<T::T>,
    /// For each element, whether there is a value.
    is_defined: Vec<bool>,
    repeated: Vec<i16>,
}

const PLACE: &str = "packets.list.element.place";

const UNSET: Stored = Stored {
    row: u32::MAX,
    capture: 0,
    number: 0,
    time_ns: 0,
    raw_time_ns: None,
    length: 0,
    payload_length: 0,
    tcp_sequence: 0,
    tcp_acknowledgement: 0,
    identification: 0,
    flags: TcpFlags::empty(),
    to_server: false,
    first_fragment: false,
};

fn facts_of(metadata: &ParquetMetaData) -> Result<Facts, TableError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let pair = pairs
        .into_iter()
        .flatten()
        .find(|pair| pair.key == schema::FACTS_KEY);
    match pair.and_then(|pair| pair.value.as_deref()) {
        Some(json) => Facts::from_json(json),
        None => Err(TableError::Foreign {
            missing: format!("the metadata {}", schema::FACTS_KEY),
        }),
    }
}

/// The places of columns by their paths, where the file has those that tables are written with.
fn columns_of(metadata: &ParquetMetaData) -> Result<BTreeMap<String, usize>, TableError> {
    let wanted = schema::columns().map_err(|source| TableError::Footer { source })?;
    let found = metadata.file_metadata().schema_descr();
    let mut places = BTreeMap::new();
    for column in wanted.columns() {
        let path = column.path().string();
        let place = found.columns().iter().position(|other| {
            other.path() == column.path()
                && other.physical_type() == column.physical_type()
                && other.max_def_level() == column.max_def_level()
                && other.max_rep_level() == column.max_rep_level()
        });
        match place {
            Some(place) => places.insert(path, place),
            None => {
                return Err(TableError::Foreign {
                    missing: format!("the column {path} in the type that it has"),
                });
            }
        };
    }
    Ok(places)
}

fn address_of(text: &ByteArray) -> Option<Address> {
    let text = std::str::from_utf8(text.data()).ok()?;
    let address: std::net::IpAddr = text.parse().ok()?;
    Some(address.into())
}
