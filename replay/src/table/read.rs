//! A Parquet file back to segments.
//!
//! Reads only the columns that the trace is made of, and believes none: the packets of a segment
//! must be there exactly once, in the order of their times.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use equipoise_core::{Address, Endpoint, Protocol, TcpFlags};
use parquet::basic::{Compression, Type};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::facts::{Extent, Facts};
use super::pages::{self, Bits, Column, File, Numbers, Texts, Values};
use super::segment::{Row, Segment, Stored};
use super::{LARGEST_SEGMENT, TableError, requests, schema};
use crate::capture::Content;

/// A table being read.
pub(crate) struct Reader {
    file: Arc<File>,
    metadata: ParquetMetaData,
    columns: BTreeMap<String, usize>,
    segments: Vec<Extent>,
    captures: u32,
    next: usize,
    last_time_ns: u64,
}

impl Reader {
    /// Opens a table and checks that it is one.
    pub(crate) fn open(content: Content) -> Result<(Self, Facts), TableError> {
        let file = Arc::new(File::new(content));
        let metadata = ParquetMetaDataReader::new()
            .parse_and_finish(&*file)
            .map_err(|source| TableError::Footer { source })?;
        let facts = facts_of(&metadata)?;
        let columns = columns_of(&metadata)?;
        let reader = Self {
            file,
            metadata,
            columns,
            segments: facts.segments.clone(),
            captures: facts.captures.len() as u32,
            next: 0,
            last_time_ns: 0,
        };
        let mut packets = 0;
        for number in 0..reader.metadata.num_row_groups() {
            packets += reader.check_group(number)?;
        }
        if packets != facts.packets || facts.segments.len() != reader.metadata.num_row_groups() {
            return Err(TableError::Foreign {
                missing: format!(
                    "some of its packets: {packets} are there of {}",
                    facts.packets
                ),
            });
        }
        Ok((reader, facts))
    }

    /// Bytes that were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.file.bytes_read()
    }

    /// The next segment; none behind the last.
    pub(crate) fn next_segment(&mut self) -> Result<Option<Segment>, TableError> {
        let number = self.next;
        if number >= self.metadata.num_row_groups() {
            return Ok(None);
        }
        self.next += 1;
        let segment = self.check_bytes(number).and_then(|()| self.read(number));
        let segment = segment.and_then(|segment| {
            for packet in (0..segment.len()).filter_map(|place| segment.packet(place)) {
                if packet.time.0 < self.last_time_ns {
                    return Err("its times go back".to_owned());
                }
                self.last_time_ns = packet.time.0;
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
        let is_bounded = |count: i64| u64::try_from(count).is_ok_and(|n| n <= LARGEST_SEGMENT);
        if !is_bounded(packets) || !is_bounded(group.num_rows()) || packets < group.num_rows() {
            return Err(damaged(format!(
                "{packets} packets in {} rows are claimed, at most {LARGEST_SEGMENT} are accepted",
                group.num_rows()
            )));
        }
        for (name, &place) in &self.columns {
            let column = group.column(place);
            let begin = column.dictionary_page_offset().unwrap_or(0);
            if begin
                .min(column.data_page_offset())
                .min(column.compressed_size())
                < 0
            {
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

    /// Compares the bytes of a segment with their checksum.
    fn check_bytes(&self, number: usize) -> Result<(), String> {
        let before = number.checked_sub(1).map(|before| self.segments[before]);
        let start = before.map_or(0, |before| before.end_byte);
        let Extent { end_byte, crc32 } = self.segments[number];
        match self.file.checksum(start, end_byte) {
            Ok(checksum) if checksum == crc32 => Ok(()),
            Ok(_) => Err(format!(
                "some of the bytes {start} to {end_byte} are not those that were written"
            )),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Reads a segment, whatever its bytes may be.
    pub(super) fn read(&self, number: usize) -> Result<Segment, String> {
        let group = self.metadata.row_group(number);
        let rows = self.rows(group)?;
        let (places, begins_row) = self.places(group)?;
        let mut packets = begun(&begins_row, rows.len())?;
        let mut column = |name, set: &dyn Fn(&mut Stored, u64) -> Option<()>| {
            self.packets(group, name, &begins_row, &mut packets, set)
        };
        column("capture", &|packet, value| {
            packet.capture = u32::try_from(value).ok()?;
            (packet.capture < self.captures).then_some(())
        })?;
        column("packet", &|packet, value| {
            packet.number = value;
            Some(())
        })?;
        column("time_ns", &|packet, value| {
            packet.time_ns = value;
            Some(())
        })?;
        column("time_added_ns", &|packet, value| {
            packet.raw_time_ns = Some(packet.time_ns.checked_sub(value)?);
            Some(())
        })?;
        column("to_server", &|packet, value| {
            packet.to_server = value == 1;
            Some(())
        })?;
        column("tcp_flags", &|packet, value| {
            packet.flags = TcpFlags::from_bits_retain(u8::try_from(value).ok()?);
            Some(())
        })?;
        column("ip_length", &|packet, value| {
            packet.length = u32::try_from(value).ok()?;
            Some(())
        })?;
        column("payload_length", &|packet, value| {
            packet.payload_length = u32::try_from(value).ok()?;
            Some(())
        })?;
        column("tcp_sequence", &|packet, value| {
            packet.tcp_sequence = u32::try_from(value).ok()?;
            Some(())
        })?;
        column("tcp_acknowledgement", &|packet, value| {
            packet.tcp_acknowledgement = u32::try_from(value).ok()?;
            Some(())
        })?;
        column("ip_identification", &|packet, value| {
            packet.identification = u16::try_from(value).ok()?;
            Some(())
        })?;
        column("first_fragment", &|packet, value| {
            packet.first_fragment = value == 1;
            Some(())
        })?;
        Segment::new(rows, packets, places)
            .ok_or_else(|| "packets are not each in one place".to_owned())
    }

    fn rows(&self, group: &RowGroupMetaData) -> Result<Vec<Row>, String> {
        let address = Texts(|text: &[u8]| {
            let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
            Some(Address::from(address))
        });
        let protocol = Texts(|text: &[u8]| match text {
            b"tcp" => Some(Protocol::Tcp),
            b"udp" => Some(Protocol::Udp),
            _ => None,
        });
        let protocols = self.column(group, "protocol", &protocol)?.values;
        let end = |addresses, ports| {
            let addresses = self.column(group, addresses, &address)?.values;
            let ports = self.column(group, ports, &Numbers(4))?.values;
            Ok::<_, String>(addresses.into_iter().zip(ports))
        };
        let clients = end("client_address", "client_port")?;
        let servers = end("server_address", "server_port")?;
        let endpoint = |(address, port)| {
            let port = u16::try_from(port).map_err(|_| format!("there is no port {port}"))?;
            Ok::<_, String>(Endpoint { address, port })
        };
        let rows = protocols.into_iter().zip(clients).zip(servers);
        let rows = rows.map(|((protocol, client), server)| {
            Ok(Row {
                protocol,
                client: endpoint(client)?,
                server: endpoint(server)?,
            })
        });
        rows.collect()
    }

    /// Where in the trace packets belong, and with which of them rows begin.
    fn places(&self, group: &RowGroupMetaData) -> Result<(Vec<u32>, Vec<bool>), String> {
        let column = self.column(group, PLACE, &Numbers(4))?;
        // A place beyond 32 bits cannot be: they are what is read.
        let places = column.values.iter().map(|&place| place as u32);
        Ok((places.collect(), column.begins_row))
    }

    /// Sets something of each packet, but where the column has none.
    fn packets(
        &self,
        group: &RowGroupMetaData,
        name: &str,
        begins_row: &[bool],
        packets: &mut [Stored],
        set: &dyn Fn(&mut Stored, u64) -> Option<()>,
    ) -> Result<(), String> {
        let path = schema::of_packets(name);
        let column = match self.type_of(group, &path) {
            Type::BOOLEAN => self.column(group, &path, &Bits),
            Type::INT64 => self.column(group, &path, &Numbers(8)),
            _ => self.column(group, &path, &Numbers(4)),
        }?;
        if column.begins_row != begins_row {
            return Err(format!("column {name} has other rows than {PLACE}"));
        }
        let mut values = column.values.into_iter();
        for (packet, is_defined) in packets.iter_mut().zip(column.is_defined) {
            let is_set =
                !is_defined || values.next().and_then(|value| set(packet, value)).is_some();
            if !is_set {
                return Err(format!("column {name} has a value that cannot be"));
            }
        }
        Ok(())
    }

    fn type_of(&self, group: &RowGroupMetaData, name: &str) -> Type {
        group.column(self.columns[name]).column_type()
    }

    /// One column of a row group, whole.
    fn column<T: Copy>(
        &self,
        group: &RowGroupMetaData,
        name: &str,
        values: &impl Values<T>,
    ) -> Result<Column<T>, String> {
        let metadata = group.column(self.columns[name]);
        let description = metadata.column_descr();
        let rows = group.num_rows().cast_unsigned() as usize;
        let most = if description.max_rep_level() > 0 {
            group
                .column(self.columns[PLACE])
                .num_values()
                .cast_unsigned() as usize
        } else {
            rows
        };
        let pages = SerializedPageReader::new(Arc::clone(&self.file), metadata, rows, None);
        let column = pages.and_then(|pages| pages::read(pages, description, most, values));
        match column {
            Ok(column) if column.is_defined.len() == most => Ok(column),
            Ok(column) => Err(format!(
                "column {name} ends behind element {} of {most}",
                column.is_defined.len()
            )),
            Err(error) => Err(format!("column {name}: {error}")),
        }
    }
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

/// Packets with nothing but their rows, of which each has one at least.
fn begun(begins_row: &[bool], rows: usize) -> Result<Vec<Stored>, String> {
    let mut row = u32::MAX;
    let packet = |&begins: &bool| {
        row = row.wrapping_add(u32::from(begins));
        Stored { row, ..UNSET }
    };
    let packets: Vec<Stored> = begins_row.iter().map(packet).collect();
    let begins_at_once = begins_row.first().is_none_or(|&begins| begins);
    if row.wrapping_add(1) as usize != rows || !begins_at_once {
        return Err("rows and packets do not agree".to_owned());
    }
    Ok(packets)
}

fn facts_of(metadata: &ParquetMetaData) -> Result<Facts, TableError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let pairs = pairs.map_or(&[][..], Vec::as_slice);
    let pair = pairs.iter().find(|pair| pair.key == schema::FACTS_KEY);
    match pair.and_then(|pair| pair.value.as_deref()) {
        Some(json) => Facts::from_json(json),
        None if pairs.iter().any(|pair| pair.key == requests::FACTS_KEY) => {
            Err(TableError::Requests)
        }
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
