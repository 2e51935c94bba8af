//! Tables that cannot be read as a trace.

use std::sync::Arc;

use equipoise_replay::capture::Source;
use equipoise_replay::decode::{Decoder, TunnelPorts, Tunnels};
use equipoise_replay::table::{self, Format, Options, Rows};
use equipoise_replay::trace::Trace;
use equipoise_replay::track::Tracker;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::{SHORT, connections, extracted, made, odd, read, requests};

const INNER: Decoder = Decoder {
    tunnels: Tunnels::Inner,
    ports: TunnelPorts::NONE,
};

fn looking(decoder: Decoder) -> Options {
    Options {
        decoder,
        ..connections(SHORT)
    }
}

/// A Parquet file of another program, with the metadata that makes a table or without it.
fn foreign(facts: Option<&str>) -> Vec<u8> {
    let schema = parse_message_type("message other { required int64 connection; }").unwrap();
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::default());
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), properties).unwrap();
    if let Some(facts) = facts {
        let pair = KeyValue::new("equipoise.trace".to_owned(), facts.to_owned());
        writer.append_key_value_metadata(pair);
    }
    writer.close().unwrap();
    bytes
}

/// The same with other bytes in one place, as many as there were.
fn with(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let place = bytes
        .windows(old.len())
        .rposition(|window| window == old.as_bytes());
    let mut bytes = bytes.to_vec();
    bytes[place.unwrap()..][..new.len()].copy_from_slice(new.as_bytes());
    bytes
}

#[test]
fn what_cannot_be_read_is_told() {
    let sources = made::captures(2, 1, 300);
    let table = extracted(&sources, SHORT);
    let facts = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let start = text.rfind(r#"{"schema""#).unwrap();
        let end = text[start..].find(r#""errors":[]}"#).unwrap();
        text[start..start + end + 12].to_owned()
    };
    let facts = facts(&table);
    let mut texts = Vec::new();
    for bytes in [
        b"PAR1".to_vec(),
        table[..table.len() / 2].to_vec(),
        foreign(None),
        foreign(Some("{}")),
        foreign(Some(&facts)),
        with(&table, "equipoise.table/1", "equipoise.table/2"),
        with(&table, r#""frames":"#, r#""fr@mes":"#),
    ] {
        let error = read(
            &[Source::from_bytes("a.parquet", bytes)],
            Tracker::default(),
        );
        texts.push(error.err().unwrap().to_string());
    }
    let beside = [
        Source::from_bytes("a.parquet", table.clone()),
        sources[0].clone(),
    ];
    let error = Trace::open(&beside, Decoder::default(), Tracker::default());
    texts.push(error.err().unwrap().to_string());
    let alone = [Source::from_bytes("a.parquet", table)];
    let error = Trace::open(&alone, INNER, Tracker::default());
    texts.push(error.err().unwrap().to_string());
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn a_table_of_requests_is_no_trace_and_a_table_has_none() {
    let bytes = requests::table(&odd::captures(1, 200), SHORT).0;
    let requests = [Source::from_bytes("requests.parquet", bytes)];
    let error = read(&requests, Tracker::default()).err().unwrap();
    insta::assert_snapshot!(error, @"cannot read the table requests.parquet: it is a table of requests (`extract --requests`), which holds no packets: give the captures, or what `extract` writes of them without --requests");
    let table = [Source::from_bytes(
        "a.parquet",
        extracted(&made::captures(2, 1, 300), SHORT),
    )];
    let options = Options {
        rows: Rows::Requests,
        ..connections(Format::Csv)
    };
    let error = table::extract(&table, options, Vec::new(), &mut ()).unwrap_err();
    insta::assert_snapshot!(error, @"a table of connections holds no payload: extract the requests of the captures that it was made of");
}

/// What was looked into stays looked into.
#[test]
fn a_table_of_inner_packets_is_read_as_such() {
    let sources = made::captures(2, 1, 300);
    let mut bytes = Vec::new();
    table::extract(&sources, looking(INNER), &mut bytes, &mut ()).unwrap();
    let table = [Source::from_bytes("inner", bytes)];
    for decoder in [Decoder::default(), INNER] {
        Trace::open(&table, decoder, Tracker::default()).unwrap();
        let mut again = Vec::new();
        table::extract(&table, looking(decoder), &mut again, &mut ()).unwrap();
        assert!(String::from_utf8_lossy(&again).contains(r#""tunnels":"inner""#));
    }
    let outer = Decoder {
        tunnels: Tunnels::Outer,
        ..INNER
    };
    let error = Trace::open(&table, outer, Tracker::default())
        .err()
        .unwrap();
    insta::assert_snapshot!(error, @"cannot read the table inner: it was extracted with --tunnels inner: extract the captures again with --tunnels outer, or leave that option out here");
}

/// A segment that breaks ends the trace, and what came before counts.
#[test]
fn a_damaged_segment_ends_the_trace() {
    let sources = made::captures(2, 1, 20_000);
    let mut table = extracted(&sources, SHORT);
    let middle = table.len() / 2;
    table[middle] ^= 1;
    let read = read(
        &[Source::from_bytes("a.parquet", table)],
        Tracker::default(),
    )
    .unwrap();
    let packets: usize = read.batches.iter().map(Vec::len).sum();
    assert!(packets > 4_000 && packets < 16_000, "{packets}");
    let [error] = read.errors.as_slice() else {
        panic!("{:?}", read.errors);
    };
    assert!(
        error.starts_with("cannot read the table a.parquet: it is damaged in segment "),
        "{error}"
    );
    assert_eq!(read.totals.frames, read.captures[0].1.packets);
    assert!(read.totals.frames >= packets as u64);
}

#[test]
fn a_full_disk_is_told() {
    let sources = made::captures(2, 1, 9_000);
    for (rows, format) in [
        (Rows::Connections, SHORT),
        (Rows::Connections, Format::Csv),
        (Rows::Requests, SHORT),
        (Rows::Requests, Format::Csv),
    ] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let options = Options {
            rows,
            ..connections(format)
        };
        let error = table::extract(&sources, options, full, &mut ());
        insta::allow_duplicates! {
            insta::assert_snapshot!(error.unwrap_err(), @"cannot write the table: No space left on device (os error 28)");
        }
    }
}
