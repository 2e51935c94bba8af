//! The table of requests: both formats hold the same rows, what is read of captures is in them, and
//! they go with the table of connections.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use equipoise_replay::capture::Source;
use equipoise_replay::decode::Decoder;
use equipoise_replay::request::{Content, Request, Requests};
use equipoise_replay::table::{Extracted, Format, Options, Rows};
use equipoise_replay::trace::Trace;
use equipoise_replay::track::Tracker;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use proptest::prelude::*;

use crate::odd::captures;
use crate::{SHORT, connections, extract, extracted};

/// By column; none where there is no value.
type Row = BTreeMap<String, Option<String>>;

pub(crate) fn table(sources: &[Source], format: Format) -> (Vec<u8>, Extracted) {
    let options = Options {
        rows: Rows::Requests,
        ..connections(format)
    };
    extract(sources, options).unwrap()
}

/// Rows of the Parquet table, as any other program would read them.
fn parquet(bytes: Vec<u8>) -> (Vec<Row>, serde_json::Value) {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let columns = row.get_column_iter().map(|(name, field)| {
            let value = match field {
                Field::Null => None,
                Field::Str(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            (name.clone(), value)
        });
        columns.collect()
    });
    let rows = rows.collect();
    let pairs = reader.metadata().file_metadata().key_value_metadata();
    let pair = pairs
        .unwrap()
        .iter()
        .find(|pair| pair.key == "equipoise.requests");
    let facts = pair.unwrap().value.as_deref().unwrap();
    (rows, serde_json::from_str(facts).unwrap())
}

/// Rows of the CSV table. What is quoted is there, even where it is empty.
fn csv(bytes: Vec<u8>) -> Vec<Row> {
    let text = String::from_utf8(bytes).unwrap();
    let mut lines = text.split_terminator('\n');
    let names = fields(lines.next().unwrap());
    let row = |line| {
        let fields = fields(line);
        assert_eq!(fields.len(), names.len(), "{line}");
        names.iter().flatten().cloned().zip(fields).collect()
    };
    lines.map(row).collect()
}

fn fields(line: &str) -> Vec<Option<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let field;
        (field, rest) = match rest.strip_prefix('"') {
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let field = (end > 0).then(|| rest[..end].to_owned());
                (field, &rest[end..])
            }
            Some(quoted) => {
                let doubled = quoted.replace("\"\"", "\0\0");
                let end = doubled.find('"').unwrap();
                (
                    Some(doubled[..end].replace("\0\0", "\"")),
                    &quoted[end + 1..],
                )
            }
        };
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    assert!(rest.is_empty(), "{line}");
    fields
}

/// As docs/table.md tells how.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

/// In the order in which they were told of.
fn told(sources: &[Source]) -> Vec<Request> {
    let trace = Trace::open(sources, Decoder::default(), Tracker::default()).unwrap();
    let mut trace = trace.with_requests(Requests::default());
    let (mut batch, mut told) = (Vec::new(), Vec::new());
    let mut goes_on = true;
    while goes_on {
        goes_on = trace.next_batch(&mut batch).unwrap_or(true);
        let requests = trace.requests().unwrap();
        requests.finished(|request| told.push(request.clone()));
    }
    told
}

/// What a row says of a request, without whose it is.
fn expected(request: &Request) -> Row {
    let number = |number: u64| Some(number.to_string());
    let mut row = Row::new();
    let mut set = |name: &str, value: Option<String>| row.insert(name.to_owned(), value);
    set("connection", number(request.connection));
    set("request", number(request.number.into()));
    set("first", Some(request.is_first.to_string()));
    set("time_ns", number(request.time.0));
    let http = request.http();
    let response = http.and_then(|http| http.response);
    set("method", http.map(|http| http.method().to_owned()));
    set(
        "http_version",
        http.map(|http| format!("1.{}", http.minor_version)),
    );
    set("request_bytes", http.and_then(|http| number(http.bytes)));
    set(
        "request_complete",
        http.map(|http| http.is_complete.to_string()),
    );
    set(
        "status",
        response.and_then(|response| number(response.status.into())),
    );
    set(
        "response_time_ns",
        response.and_then(|response| number(response.time.0)),
    );
    set(
        "response_last_time_ns",
        response.and_then(|response| number(response.last.0)),
    );
    set(
        "response_bytes",
        response.and_then(|response| number(response.bytes)),
    );
    set(
        "response_complete",
        response.map(|response| response.is_complete.to_string()),
    );
    let hex = |bytes: &[u8]| {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<Vec<_>>().concat()
    };
    let (kind, version, ids) = match &request.content {
        Content::Http(_) => ("http", None, [None, None]),
        Content::Tls(_) => ("tls", None, [None, None]),
        Content::Quic(initial) => (
            "quic",
            number(initial.version.into()),
            [
                Some(hex(&initial.destination_id)),
                Some(hex(&initial.source_id)),
            ],
        ),
    };
    set("kind", Some(kind.to_owned()));
    set("quic_version", version);
    let [destination, source] = ids;
    set("quic_destination_id", destination);
    set("quic_source_id", source);
    row
}

fn assert_told(row: &Row, request: &Request) {
    for (name, value) in expected(request) {
        assert_eq!(row[&name], value, "{name} of {request:?}");
    }
    let bytes = |name: &str| row[name].as_deref().map(unescaped);
    let target = request.http().map(|http| http.target().to_vec());
    assert_eq!(bytes("target"), target);
    assert_eq!(bytes("host"), request.host().map(<[u8]>::to_vec));
    let Content::Tls(hello) = &request.content else {
        assert_eq!(row["alpn"], None);
        return;
    };
    let names = row["alpn"].iter().flat_map(|alpn| alpn.split(','));
    assert_eq!(names.map(unescaped).collect::<Vec<_>>(), hello.protocols);
}

/// Both formats, compared with each other, with what is told, and with the table of connections:
/// how many rows there are.
fn compare(sources: &[Source]) -> Vec<Row> {
    let (bytes, outcome) = table(sources, SHORT);
    let (rows, facts) = parquet(bytes);
    assert_eq!(csv(table(sources, Format::Csv).0), rows);
    let told = told(sources);
    assert_eq!(rows.len(), told.len());
    for (row, request) in rows.iter().zip(&told) {
        assert_told(row, request);
    }
    let counts = outcome.requests.unwrap();
    assert_eq!(rows.len() as u64, counts.http + counts.tls + counts.quic);
    assert_eq!(facts["http"], counts.http);
    assert_eq!(facts["responses"], counts.responses);
    let oddities = facts["oddities"].as_object().unwrap();
    assert_eq!(oddities.len(), counts.reasons.len());
    for (reason, count) in &counts.reasons {
        assert_eq!(oddities[&reason.to_string()], *count);
    }
    let ends = [
        "protocol",
        "client_address",
        "client_port",
        "server_address",
        "server_port",
    ];
    let connections = csv(extracted(sources, Format::Csv));
    let connections: BTreeMap<_, _> = connections
        .iter()
        .map(|row| (&row["connection"], row))
        .collect();
    for row in &rows {
        let connection = connections[&row["connection"]];
        for end in ends {
            assert_eq!(row[end], connection[end], "{end} of {row:?}");
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_formats_hold_what_is_read(
        seed in any::<u64>(),
        steps in prop_oneof![0..100_usize, 0..9_000_usize],
    ) {
        compare(&captures(seed, steps));
    }
}

/// So that the test above sees something.
#[test]
fn odd_captures_have_every_kind_of_request() {
    let rows = compare(&captures(1, 20_000));
    let count = |name: &str, value: Option<&str>| {
        rows.iter()
            .filter(|row| row[name].as_deref() == value)
            .count()
    };
    for (name, value) in [
        ("kind", Some("http")),
        ("kind", Some("tls")),
        ("kind", Some("quic")),
        ("target", Some(r"/\xff\x5cx41\xfe")),
        ("target", Some(r#"/a?q="b",c"#)),
        ("target", Some("/grüße")),
        ("host", Some(r"\xe9")),
        ("host", Some(r#"b\x00,\xff\x0a""#)),
        ("host", None),
        ("alpn", Some(r"h2,a\x2cb,http/1.1")),
        ("quic_source_id", Some("")),
        ("request_complete", Some("false")),
        ("response_complete", Some("false")),
        ("first", Some("false")),
        ("http_version", Some("1.0")),
    ] {
        assert!(
            count(name, value) > 5,
            "{name} {value:?}: {}",
            count(name, value)
        );
    }
}

/// However many rows a segment has.
#[test]
fn segments_change_no_row() {
    let sources = captures(3, 9_000);
    let [few, many] = [7, 1 << 20].map(|segment| {
        let bytes = table(&sources, Format::Parquet { segment }).0;
        let reader = SerializedFileReader::new(Bytes::from(bytes.clone())).unwrap();
        (parquet(bytes).0, reader.num_row_groups())
    });
    assert_eq!(few.0, many.0);
    assert_eq!((few.1, many.1), (few.0.len().div_ceil(7), 1));
}

#[test]
fn a_capture_without_requests_has_an_empty_table() {
    assert!(compare(&captures(1, 0)).is_empty());
    assert!(extracted(&captures(1, 0), SHORT).starts_with(b"PAR1"));
}

fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("EQUIPOISE_TRACES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no folder of real captures (set EQUIPOISE_TRACES)");
    None
}

/// Rows of a table of tabs, by column name.
fn tabbed(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let row = |line: &str| {
        let fields = line.split('\t').chain(std::iter::repeat(""));
        let both = names.iter().zip(fields);
        both.map(|(name, field)| ((*name).to_owned(), field.to_owned()))
            .collect()
    };
    lines.map(row).collect()
}

/// The tests of requests say where tshark's reading and ours differ, and why: in these files.
const READ_OTHERWISE: [&str; 2] = ["ppp_http_requests_only", "zeek_http_methods"];

#[test]
fn real_captures_have_the_rows_that_tshark_shows() {
    let Some(folder) = folder() else { return };
    let (mut all, mut compared) = (0, 0);
    for row in tabbed(&folder.join("INDEX.tsv")) {
        let path = folder.join("pool").join(&row["file"]);
        if row["format"].contains("snoop") || row["format"].contains("modified") {
            continue;
        }
        let sources = [Source::new(&path).unwrap()];
        let rows = compare(&sources);
        all += rows.len();
        let name = row["file"].split('.').next().unwrap();
        let truth = folder.join(format!("truth/{name}.connections.tsv"));
        if truth.exists() && !READ_OTHERWISE.contains(&name) {
            compared += compare_with(&tabbed(&truth), &sources, &rows, name);
        }
    }
    println!("{all} requests, {compared} connections with requests compared with tshark's");
    assert!(all > 2_000 && compared > 300, "{all} {compared}");
}

/// How many connections with requests were compared.
fn compare_with(
    truth: &[BTreeMap<String, String>],
    sources: &[Source],
    rows: &[Row],
    name: &str,
) -> usize {
    let mut numbers: Vec<u64> = csv(extracted(sources, Format::Csv))
        .iter()
        .filter(|row| row["protocol"].as_deref() == Some("tcp"))
        .map(|row| row["connection"].as_ref().unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    let mut compared = 0;
    for (number, truth) in numbers.iter().zip(truth) {
        // What tshark did not take apart is a guess.
        if truth["http_basis"] == "raw" {
            continue;
        }
        let number = Some(number.to_string());
        let mut own: Vec<&Row> = rows
            .iter()
            .filter(|row| row["connection"] == number && row["kind"].as_deref() == Some("http"))
            .collect();
        own.sort_by_key(|row| row["request"].as_ref().unwrap().parse::<u64>().unwrap());
        let text = |name: &str| {
            let value = own.first().and_then(|row| row[name].as_deref());
            String::from_utf8_lossy(&unescaped(value.unwrap_or_default())).into_owned()
        };
        let found = [
            own.len().to_string(),
            text("method"),
            text("host"),
            text("target"),
        ];
        let listed = ["http_requests", "http_method", "http_host", "http_uri"];
        assert_eq!(
            found,
            listed.map(|column| truth[column].clone()),
            "{name}: {number:?}"
        );
        compared += usize::from(!own.is_empty());
    }
    compared
}
