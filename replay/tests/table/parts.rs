//! Tables of a part of the captures: the same as the part that a replay takes.

use equipoise_replay::capture::Source;
use equipoise_replay::decode::Decoder;
use equipoise_replay::inspect;
use equipoise_replay::table::{Format, Options};
use equipoise_replay::trace::Event;
use equipoise_replay::track::Tracker;
use equipoise_replay::transform::Selection;
use proptest::prelude::*;

use crate::{Read, SHORT, connections, extract, holding, made, read, read_part};

fn of(selection: Selection, format: Format) -> Options {
    Options {
        selection,
        ..connections(format)
    }
}

fn table(sources: &[Source], selection: Selection) -> Vec<u8> {
    extract(sources, of(selection, SHORT)).unwrap().0
}

fn source(table: &[u8]) -> [Source; 1] {
    [Source::from_bytes("part", table.to_vec())]
}

fn csv(sources: &[Source], selection: Selection) -> String {
    let (bytes, _) = extract(sources, of(selection, Format::Csv)).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// What a run is told, whatever batches it comes in.
fn events(read: &Read) -> Vec<Event> {
    read.batches.iter().flatten().cloned().collect()
}

prop_compose! {
    fn selection()(
        from in prop::option::of(0..4_000_u64),
        length in prop::option::of(1..6_000_u64),
        share in prop::sample::select(vec!["1", "1/2", "10%"]),
        seed in any::<u64>(),
    ) -> Selection {
        let bound = |ms: u64| format!("{ms}ms").parse().unwrap();
        Selection {
            from: from.map(bound),
            to: length.map(|length| bound(from.unwrap_or(0) + length)),
            share: share.parse().unwrap(),
            seed,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_table_of_a_part_is_that_part(
        seed in any::<u64>(),
        captures in 1..3_u64,
        selection in selection(),
    ) {
        let sources = made::captures(seed, captures, 4_000);
        let bytes = table(&sources, selection);
        let part = source(&bytes);
        for tracker in [Tracker::default, holding] {
            let direct = read_part(&sources, tracker(), selection).unwrap();
            let again = read(&part, tracker()).unwrap();
            prop_assert!(events(&direct) == events(&again), "events");
            prop_assert!(direct.ended == again.ended, "connections");
            prop_assert_eq!(&direct.totals, &again.totals);
            prop_assert_eq!(&direct.captures, &again.captures);
            prop_assert_eq!(&direct.errors, &again.errors);
            prop_assert_eq!(direct.inferred, again.inferred);
        }
        prop_assert!(csv(&sources, selection) == csv(&part, Selection::default()), "lines");
        // Made again of itself.
        let again = read(&source(&table(&part, Selection::default())), holding()).unwrap();
        let part = read(&part, holding()).unwrap();
        prop_assert!(events(&again) == events(&part) && again.totals == part.totals);
        // And out of a table of everything.
        let whole = source(&table(&sources, Selection::default()));
        prop_assert!(table(&whole, selection) == bytes, "bytes");
    }
}

#[test]
fn a_part_is_told_with_what_is_left_of_it() {
    let selected = |sources: &[Source], from: &str, to: &str, share: &str| {
        let bound = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        let selection = Selection {
            from: bound(from),
            to: bound(to),
            share: share.parse().unwrap(),
            seed: 1,
        };
        let options = inspect::Options {
            decoder: Decoder::default(),
            selection,
            requests: false,
            top: 1,
        };
        let inspected = inspect::inspect(sources, options, &mut ()).unwrap();
        (inspected.inspection.selection, selection)
    };
    let sources = [Source::from_bytes("a", made::capture(3, 0, 4_000))];
    let [from, to, end] = ["20.5", "22", "23"].map(|second| format!("2023-11-14T22:13:{second}Z"));
    let (once, selection) = selected(&sources, &from, &end, "1/2");
    let part = source(&table(&sources, selection));
    // Made again of itself, too.
    let again = source(&table(&part, Selection::default()));
    assert!(once.unwrap().unsampled_packets > 0);
    assert_eq!(selected(&part, "", "", "1").0, once);
    assert_eq!(selected(&again, "", "", "1").0, once);
    let cut = selected(&part, "", &to, "1/4").0.unwrap();
    let direct = selected(&sources, &from, &to, "1/4").0.unwrap();
    assert_eq!(
        (cut.from_ns, cut.to_ns, cut.share),
        (direct.from_ns, direct.to_ns, direct.share)
    );
    assert_eq!(
        cut.outside_packets + cut.unsampled_packets,
        direct.outside_packets + direct.unsampled_packets
    );
}

#[test]
fn an_empty_part_is_told() {
    let sources = made::captures(7, 1, 900);
    let selection = Selection {
        from: Some("2100-01-01T00:00:00Z".parse().unwrap()),
        ..Selection::default()
    };
    let (bytes, extracted) = extract(&sources, of(selection, SHORT)).unwrap();
    assert_eq!((extracted.packets, extracted.connections), (0, 0));
    let last = extracted.warnings.last().unwrap();
    insta::assert_snapshot!(last, @"the table is empty: 873 packets are outside the window, 0 of connections outside the sample");
    let whole = read(&sources, Tracker::default()).unwrap();
    let read = read(&source(&bytes), Tracker::default()).unwrap();
    assert!(read.batches.is_empty() && read.totals == whole.totals);
}
