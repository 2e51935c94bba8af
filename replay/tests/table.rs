//! Tables: what is read back is the trace that was extracted, and what cannot be is refused.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

#[expect(dead_code, reason = "the tests of captures use all of them")]
#[path = "capture/frames.rs"]
mod frames;
#[path = "table/made.rs"]
mod made;
#[path = "table/odd.rs"]
mod odd;
#[path = "table/parts.rs"]
mod parts;
#[path = "table/refused.rs"]
mod refused;
#[path = "table/requests.rs"]
mod requests;
#[path = "table/rows.rs"]
mod rows;

use equipoise_core::Timestamp;
use equipoise_replay::capture::{CaptureError, Source};
use equipoise_replay::decode::Decoder;
use equipoise_replay::table::{self, ExtractError, Extracted, Format, Options, Rows};
use equipoise_replay::trace::{CaptureFacts, Event, Seam, Totals, Trace};
use equipoise_replay::track::{Connection, Holding, Inferred, Retention, Tracker};
use equipoise_replay::transform::Selection;
use proptest::prelude::*;

/// Ends a segment with each batch.
const SHORT: Format = Format::Parquet { segment: 1 };

/// All that there is to know of a trace.
#[derive(PartialEq)]
struct Read {
    batches: Vec<Vec<Event>>,
    ended: Vec<Connection>,
    totals: Totals,
    captures: Vec<(String, CaptureFacts, Option<String>)>,
    inferred: Inferred,
    seams: Vec<Seam>,
    errors: Vec<String>,
    now: Timestamp,
}

fn read(sources: &[Source], tracker: Tracker) -> Result<Read, CaptureError> {
    read_part(sources, tracker, Selection::default())
}

fn read_part(
    sources: &[Source],
    tracker: Tracker,
    selection: Selection,
) -> Result<Read, CaptureError> {
    let trace = Trace::open(sources, Decoder::default(), tracker)?;
    let mut trace = trace.with_selection(selection);
    let (mut batches, mut ended, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let mut batch = Vec::new();
        match trace.next_batch(&mut batch) {
            Ok(true) => {
                batches.push(batch);
                ended.extend(trace.ended());
            }
            Ok(false) => break,
            Err(error) => errors.push(error.to_string()),
        }
    }
    ended.extend(trace.ended());
    let captures = trace.captures().map(|capture| {
        let warning = capture.warning.map(ToString::to_string);
        (capture.name.to_owned(), capture.facts.clone(), warning)
    });
    Ok(Read {
        batches,
        ended,
        totals: trace.totals().clone(),
        captures: captures.collect(),
        inferred: trace.inferred(),
        seams: trace.seams(),
        errors,
        now: trace.now(),
    })
}

/// Of everything.
fn connections(format: Format) -> Options {
    Options {
        decoder: Decoder::default(),
        selection: Selection::default(),
        rows: Rows::Connections,
        format,
    }
}

fn extract(sources: &[Source], options: Options) -> Result<(Vec<u8>, Extracted), ExtractError> {
    let mut bytes = Vec::new();
    let extracted = table::extract(sources, options, &mut bytes, &mut ())?;
    Ok((bytes, extracted))
}

fn extracted(sources: &[Source], format: Format) -> Vec<u8> {
    extract(sources, connections(format)).unwrap().0
}

fn tabled(sources: &[Source], format: Format) -> [Source; 1] {
    [Source::from_bytes("table", extracted(sources, format))]
}

/// As runs have it, which hold packets back.
fn holding() -> Tracker {
    let holding = Holding::new(60 * Timestamp::SECOND);
    Tracker::new(Retention::default(), Some(holding))
}

fn same(one: &Read, other: &Read) -> Result<(), TestCaseError> {
    // Shown one by one, where they are short.
    prop_assert_eq!(&one.totals, &other.totals);
    prop_assert_eq!(&one.captures, &other.captures);
    prop_assert_eq!(&one.errors, &other.errors);
    prop_assert_eq!(one.inferred, other.inferred);
    prop_assert_eq!(one.batches.len(), other.batches.len());
    for (number, (batch, others)) in one.batches.iter().zip(&other.batches).enumerate() {
        prop_assert_eq!(batch.len(), others.len(), "batch {}", number);
        for (event, others) in batch.iter().zip(others) {
            prop_assert_eq!(event, others);
        }
    }
    prop_assert!(one == other, "connections, seams or the end");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_table_is_the_trace_it_was_made_of(
        seed in any::<u64>(),
        captures in 1..4_u64,
        frames in prop_oneof![0..50_usize, 0..6_000_usize],
    ) {
        let sources = made::captures(seed, captures, frames);
        let table = tabled(&sources, SHORT);
        let read = |sources: &[Source], tracker| read(sources, tracker).unwrap();
        same(&read(&sources, Tracker::default()), &read(&table, Tracker::default()))?;
        same(&read(&sources, holding()), &read(&table, holding()))?;
    }
}

/// However it is cut, and made of itself again.
#[test]
fn segments_change_nothing() {
    let sources = made::captures(7, 3, 9_000);
    let captures = read(&sources, Tracker::default()).unwrap();
    assert!(captures.batches.len() > 5 && captures.inferred.copies > 0);
    let csv = extracted(&sources, Format::Csv);
    for segment in [1, 9_000, 1 << 20] {
        let format = Format::Parquet { segment };
        let table = tabled(&sources, format);
        same(&captures, &read(&table, Tracker::default()).unwrap()).unwrap();
        assert!(
            extracted(&table, format) == extracted(&sources, format),
            "{segment}"
        );
        assert!(extracted(&table, Format::Csv) == csv, "{segment}");
    }
}

#[test]
fn what_was_wrong_with_captures_is_told_again() {
    let whole = made::capture(3, 0, 2_000);
    let mut garbage = made::capture(4, 0, 2_000);
    let middle = (garbage.len() / 2) & !3;
    garbage[middle..middle + 400].fill(0xff);
    let cut = whole[..whole.len() - 10].to_vec();
    for captures in [
        vec![("cut", cut.clone())],
        vec![("garbage", garbage.clone())],
        vec![("whole", whole), ("garbage", garbage), ("cut", cut)],
    ] {
        let sources: Vec<Source> = captures
            .into_iter()
            .map(|(name, bytes)| Source::from_bytes(name, bytes))
            .collect();
        let direct = read(&sources, Tracker::default()).unwrap();
        let warnings = direct
            .captures
            .iter()
            .filter_map(|(.., warning)| warning.as_ref());
        assert!(warnings.count() + direct.errors.len() > 0);
        let table = tabled(&sources, SHORT);
        same(&direct, &read(&table, Tracker::default()).unwrap()).unwrap();
        // And once more.
        let again = tabled(&table, SHORT);
        same(&direct, &read(&again, Tracker::default()).unwrap()).unwrap();
    }
}

#[test]
fn a_trace_without_packets_has_an_empty_table() {
    let sources = made::captures(1, 1, 0);
    let table = tabled(&sources, SHORT);
    let read = read(&table, Tracker::default()).unwrap();
    assert!(read.batches.is_empty() && read.captures[0].0 == "capture 0");
}
