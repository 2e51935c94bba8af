//! The columns of a table, as docs/table.md describes them.

use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, SchemaDescriptor, Type};

/// Where the facts of the whole trace stand in the file's metadata.
pub(super) const FACTS_KEY: &str = "equipoise.trace";

/// One row for each connection and segment; in a row one element for each packet.
const MESSAGE: &str = "
message equipoise_table {
    required int64 connection (integer(64, false));
    required int32 segment (integer(32, false));
    required binary protocol (string);
    required binary client_address (string);
    required int32 client_port (integer(16, false));
    required binary server_address (string);
    required int32 server_port (integer(16, false));
    required binary basis (string);
    required boolean second_leg;
    required boolean established;
    optional binary close (string);
    required int64 first_time_ns (integer(64, false));
    required int64 last_time_ns (integer(64, false));
    optional int64 first_response_ns (integer(64, false));
    required int64 packets_to_server (integer(64, false));
    required int64 bytes_to_server (integer(64, false));
    required int64 payload_bytes_to_server (integer(64, false));
    required int64 packets_to_client (integer(64, false));
    required int64 bytes_to_client (integer(64, false));
    required int64 payload_bytes_to_client (integer(64, false));
    required group packets (list) {
        repeated group list {
            required group element {
                required int32 place (integer(32, false));
                required int32 capture (integer(32, false));
                required int64 packet (integer(64, false));
                required int64 time_ns (integer(64, false));
                optional int64 time_added_ns (integer(64, false));
                required boolean to_server;
                required int32 tcp_flags (integer(8, false));
                required int32 ip_length (integer(32, false));
                required int32 payload_length (integer(32, false));
                required int32 tcp_sequence (integer(32, false));
                required int32 tcp_acknowledgement (integer(32, false));
                required int32 ip_identification (integer(16, false));
                required boolean first_fragment;
            }
        }
    }
}
";

/// Columns of numbers that differ from packet to packet, by little mostly.
const DIFFERENCES: [&str; 8] = [
    "place",
    "packet",
    "time_ns",
    "ip_length",
    "payload_length",
    "tcp_sequence",
    "tcp_acknowledgement",
    "ip_identification",
];

/// The schema that tables are written with.
pub(super) fn schema() -> Result<Arc<Type>, ParquetError> {
    Ok(Arc::new(parse_message_type(MESSAGE)?))
}

/// The path of a column of packets.
pub(super) fn of_packets(name: &str) -> String {
    format!("packets.list.element.{name}")
}

/// How columns are encoded: pages are never compressed, so that a file claims no more memory than
/// it is long.
pub(super) fn properties() -> Arc<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for name in DIFFERENCES {
        let column = ColumnPath::from(path_parts(name));
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    for name in ["first_time_ns", "last_time_ns", "connection"] {
        let column = ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    Arc::new(properties.build())
}

fn path_parts(name: &str) -> Vec<String> {
    of_packets(name).split('.').map(str::to_owned).collect()
}

/// The columns that tables are written with.
pub(super) fn columns() -> Result<SchemaDescriptor, ParquetError> {
    Ok(SchemaDescriptor::new(schema()?))
}
