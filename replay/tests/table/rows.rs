//! What a table says of connections, read as any other program would.

use std::collections::BTreeMap;

use bytes::Bytes;
use equipoise_replay::table::Format;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row, RowAccessor};

use crate::{SHORT, extracted, made};

/// Of one connection, from all its rows.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    first_ns: u64,
    last_ns: u64,
    /// Packets, bytes and payload bytes by sender.
    by_sender: BTreeMap<String, [u64; 3]>,
}

#[test]
fn rows_add_up_to_connections() {
    let sources = made::captures(5, 2, 9_000);
    let table = SerializedFileReader::new(Bytes::from(extracted(&sources, SHORT))).unwrap();
    assert!(table.num_row_groups() > 3);
    let mut sums: BTreeMap<u64, Sum> = BTreeMap::new();
    for row in table.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        let long = |name: &str| number(&row, name);
        let sum = sums.entry(long("connection")).or_default();
        if sum.by_sender.is_empty() {
            sum.first_ns = long("first_time_ns");
        }
        assert!(sum.last_ns <= long("first_time_ns") || sum.last_ns == 0);
        sum.last_ns = long("last_time_ns");
        for (from, way) in [("client", "to_server"), ("server", "to_client")] {
            let sender = sum.by_sender.entry(end(&row, from)).or_default();
            for (place, what) in ["packets", "bytes", "payload_bytes"].iter().enumerate() {
                sender[place] += long(&format!("{what}_{way}"));
            }
        }
        let packets = row.get_list(place(&row, "packets")).unwrap();
        let both = long("packets_to_server") + long("packets_to_client");
        assert_eq!(packets.len() as u64, both);
    }
    let csv = String::from_utf8(extracted(&sources, Format::Csv)).unwrap();
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut connections = 0;
    for line in lines {
        let fields: BTreeMap<&str, &str> = names.iter().copied().zip(line.split(',')).collect();
        let long = |name: &str| fields[name].parse::<u64>().unwrap();
        let way = |way: &str| {
            ["packets", "bytes", "payload_bytes"].map(|what| long(&format!("{what}_{way}")))
        };
        let end = |end: &str| {
            let (address, port) = (format!("{end}_address"), format!("{end}_port"));
            format!("{} {}", fields[address.as_str()], fields[port.as_str()])
        };
        let sum = Sum {
            first_ns: long("first_time_ns"),
            last_ns: long("last_time_ns"),
            by_sender: BTreeMap::from([
                (end("client"), way("to_server")),
                (end("server"), way("to_client")),
            ]),
        };
        assert_eq!(sums.get(&long("connection")), Some(&sum), "{line}");
        connections += 1;
    }
    assert!(
        connections > 100 && connections == sums.len(),
        "{connections}"
    );
}

fn place(row: &Row, name: &str) -> usize {
    row.get_column_iter()
        .position(|(column, _)| column == name)
        .unwrap()
}

fn number(row: &Row, name: &str) -> u64 {
    match row.get_column_iter().nth(place(row, name)).unwrap().1 {
        Field::ULong(value) => *value,
        other => panic!("{name} is {other}"),
    }
}

fn end(row: &Row, end: &str) -> String {
    let address = row.get_string(place(row, &format!("{end}_address")));
    let port = row.get_ushort(place(row, &format!("{end}_port")));
    format!("{} {}", address.unwrap(), port.unwrap())
}
