//! Whole replays of made captures: what is held back, shared by runs, split over files or evicted
//! changes nothing.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "streaming/directors.rs"]
mod directors;
#[path = "streaming/restart.rs"]
mod restart;
#[path = "streaming/scenario.rs"]
mod scenario;
#[path = "streaming/slow.rs"]
mod slow;
#[path = "streaming/theory.rs"]
mod theory;
#[path = "streaming/transform.rs"]
mod transform;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use equipoise_replay::capture::Source;
use equipoise_replay::policy::Policies;
use equipoise_replay::replay::{Options, Progress, ReplayError, Watcher, replay};
use equipoise_replay::setup::{Item, Options as Written, Setup};
use equipoise_reports::Report;
use equipoise_reports::model::Costs;
use equipoise_wasm::{CodeCache, Engine, Limits};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const CLIENT: u32 = 0xc612_0000;
const SERVICE: u32 = 0x0a00_0001;

thread_local! {
    /// Compiling a component takes longer than replaying these captures.
    static ENGINE: RefCell<(Engine, tempfile::TempDir)> = RefCell::new((
        Engine::new(Limits::default()).unwrap(),
        tempfile::tempdir().unwrap(),
    ));
}

/// One segment: when, from which client port, from the client or to it, flags, payload.
#[derive(Clone, Copy, Debug)]
struct Segment {
    at: u64,
    client: u16,
    from_client: bool,
    flags: u8,
    payload: u16,
}

fn record(number: usize, segment: &Segment) -> Vec<u8> {
    // Of a client's connections each has a port of its own.
    let (address, port) = (segment.client % 1_024, segment.client / 1_024);
    let client = (CLIENT + u32::from(address), 40_000 + port);
    let (from, to) = if segment.from_client {
        (client, (SERVICE, 80_u16))
    } else {
        ((SERVICE, 80), client)
    };
    let length = 40 + segment.payload;
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    // No two alike: none is a mirror port's copy.
    packet.extend((number as u16 | 0x8000).to_be_bytes());
    packet.extend([0, 0, 64, 6, 0, 0]);
    packet.extend(from.0.to_be_bytes());
    packet.extend(to.0.to_be_bytes());
    packet.extend(from.1.to_be_bytes());
    packet.extend(to.1.to_be_bytes());
    packet.extend((number as u32).to_be_bytes());
    packet.extend(7_u32.to_be_bytes());
    packet.extend([0x50, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
    let at = START + segment.at;
    let words = [
        (at / SECOND) as u32,
        (at % SECOND) as u32,
        packet.len() as u32,
        u32::from(length),
    ];
    let mut record: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    record.extend(packet);
    record
}

fn file(records: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let header = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    file.extend(records.into_iter().flatten());
    file
}

fn capture(segments: &[Segment]) -> Source {
    let records = segments.iter().enumerate();
    Source::from_bytes(
        "made",
        file(records.map(|(number, segment)| record(number, segment))),
    )
}

fn written(servers: &[&str]) -> Written {
    let mut items = vec![Item::Service("10.0.0.1:80".to_owned())];
    items.extend(
        servers
            .iter()
            .map(|&server| Item::Server(server.to_owned())),
    );
    Written {
        items,
        policies: ["wlc", "ovf", "lblcr"].map(str::to_owned).to_vec(),
        ..Written::default()
    }
}

fn run(
    sources: &[Source],
    written: &Written,
    options: &Options,
    watcher: &mut dyn Watcher,
) -> Result<(Report, String), ReplayError> {
    let setup = Setup::assemble(written).unwrap();
    let options = Options {
        decisions: true,
        ..options.clone()
    };
    ENGINE.with_borrow(|(engine, folder)| {
        let cache = CodeCache::open(folder.path()).ok();
        let mut policies = Policies::new(engine.clone(), cache, setup.kernel, setup.switches);
        let outcome = replay(sources, setup, &mut policies, &options, watcher)?;
        let mut decisions = Vec::new();
        outcome.decisions.unwrap().write_to(&mut decisions).unwrap();
        Ok((outcome.report, String::from_utf8(decisions).unwrap()))
    })
}

/// Report and decisions as they would be printed.
fn printed(sources: &[Source], written: &Written, options: &Options) -> (String, String) {
    let (report, decisions) = run(sources, written, options, &mut ()).unwrap();
    (report.to_json(Costs::Omitted).unwrap(), decisions)
}

/// Every packet passed to every run, and a connection table for each.
const LONGEST: [(bool, bool); 1] = [(true, true)];
const LONGER: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

fn assert_shortcuts_change_nothing(
    sources: &[Source],
    written: &Written,
    options: &Options,
    ways: &[(bool, bool)],
) {
    let shortest = printed(sources, written, options);
    for &(pass_all, apart) in ways {
        let longer = Options {
            pass_all,
            apart,
            ..options.clone()
        };
        let longer = printed(sources, written, &longer);
        assert_same_lines(&shortest.1, &longer.1);
        assert_same_lines(&shortest.0, &longer.0);
    }
}

/// Texts are long: only the first line that differs is shown.
fn assert_same_lines(one: &str, other: &str) {
    for (number, (one, other)) in one.lines().zip(other.lines()).enumerate() {
        assert_eq!(one, other, "line {}", number + 1);
    }
    assert_eq!(one.lines().count(), other.lines().count());
}

/// Mostly plain packets, with silences around every limit there is.
fn segments() -> impl Strategy<Value = Vec<Segment>> {
    let pause = prop_oneof![
        20 => 1_u64..40_000_000,
        6 => (1_u64..12).prop_map(|seconds| seconds * SECOND),
        2 => (12_u64..130).prop_map(|seconds| seconds * SECOND),
        1 => (130_u64..1_000).prop_map(|seconds| seconds * SECOND),
    ];
    let flags = prop_oneof![
        12 => Just(ACK),
        2 => Just(SYN),
        1 => Just(SYN | ACK),
        2 => Just(FIN | ACK),
        1 => Just(RST),
        1 => Just(0),
    ];
    let one = (pause, 0_u16..4, any::<bool>(), flags, 0_u16..1_000);
    prop::collection::vec(one, 1..300).prop_map(|drawn| {
        let mut at = 0;
        drawn
            .into_iter()
            .map(|(pause, client, from_client, flags, payload)| {
                at += pause;
                Segment {
                    at,
                    client,
                    from_client,
                    flags,
                    payload,
                }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Masquerading, direct routing, both, quiesced; short timeouts, and time played faster.
    #[test]
    fn shortcuts_change_nothing(
        segments in segments(),
        set_up in 0_usize..6,
        scale in prop_oneof![Just(1.0), Just(0.25), Just(3.0), Just(0.0)],
    ) {
        let servers: [&[&str]; 6] = [
            &["10.1.0.1:80", "10.1.0.2:80,weight=3"],
            &["10.1.0.1:80,method=dr", "10.1.0.2:80,method=dr"],
            &["10.1.0.1:80,method=dr", "10.1.0.2:80"],
            &["10.1.0.1:80,weight=0"],
            &["10.1.0.1:80,upper=1", "10.1.0.2:80,upper=2"],
            &["10.1.0.1:80", "10.1.0.2:80"],
        ];
        let written = Written {
            timeouts: (set_up == 5).then(|| "20,5,5".to_owned()),
            persistent: (set_up == 5).then(|| "30".to_owned()),
            ..written(servers[set_up])
        };
        // A service that nothing reaches is refused.
        let mut all = vec![Segment { at: 0, client: 9, from_client: true, flags: SYN, payload: 0 }];
        all.extend(segments);
        let options = Options { time_scale: scale, ..Options::default() };
        assert_shortcuts_change_nothing(&[capture(&all)], &written, &options, &LONGER);
    }
}

fn shop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/capture/shop.pcap")
}

#[test]
fn nor_does_it_in_real_traffic() {
    let mut captures = vec![shop()];
    let folder = match std::env::var_os("EQUIPOISE_TRACES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces"),
    };
    match std::fs::read_dir(folder.join("pool")) {
        Ok(entries) => captures.extend(entries.map(|entry| entry.unwrap().path())),
        Err(_) => println!("skipped: no folder of real captures (set EQUIPOISE_TRACES)"),
    }
    let written = Written {
        policies: ["wlc", "rr", "ovf"].map(str::to_owned).to_vec(),
        ..Written::default()
    };
    let mut compared = 0;
    for capture in captures {
        let sources = [Source::new(&capture).unwrap()];
        // Some hold nothing to replay.
        if run(&sources, &written, &Options::default(), &mut ()).is_ok() {
            assert_shortcuts_change_nothing(&sources, &written, &Options::default(), &LONGEST);
            compared += 1;
        }
    }
    println!("{compared} captures replayed alike");
}

/// The packets of the bundled capture, with the header of its file.
fn records() -> (Vec<u8>, Vec<Vec<u8>>) {
    let bytes = std::fs::read(shop()).unwrap();
    let (header, mut rest) = bytes.split_at(24);
    let mut records = Vec::new();
    while rest.len() >= 16 {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, behind) = rest.split_at(16 + length);
        records.push(record.to_vec());
        rest = behind;
    }
    (header.to_vec(), records)
}

/// What does not name captures: services and runs, and decisions without capture and packet.
fn facts(sources: &[Source]) -> (String, Vec<String>) {
    let written = written(&["10.1.0.1:80", "10.1.0.2:80"]);
    let (mut report, decisions) = run(sources, &written, &Options::default(), &mut ()).unwrap();
    report.trace.captures.clear();
    report.warnings.clear();
    let rows = decisions.lines().map(|row| {
        let columns: Vec<&str> = row.split(',').collect();
        [&columns[1..3], &columns[4..]].concat().join(",")
    });
    (report.to_json(Costs::Omitted).unwrap(), rows.collect())
}

#[test]
fn a_capture_and_its_rotated_parts_are_the_same_trace() {
    let (header, records) = records();
    let whole = facts(&[Source::new(&shop()).unwrap()]);
    // More files than a process may have open, in an order of their own.
    let folder = tempfile::tempdir().unwrap();
    let parts = records.chunks(5).enumerate();
    let mut sources: Vec<Source> = parts
        .map(|(number, part)| {
            let path = folder.path().join(format!("{number}.pcap"));
            let content = [header.clone(), part.concat()].concat();
            std::fs::write(&path, content).unwrap();
            Source::new(&path).unwrap()
        })
        .collect();
    assert!(sources.len() > 1_024);
    sources.reverse();
    let parts = facts(&sources);
    assert_same_lines(&parts.0, &whole.0);
    assert_eq!(parts.1, whole.1);
    // Two that overlap from end to end.
    let halves = [0, 1].map(|half| {
        let part: Vec<u8> = records[half..]
            .iter()
            .step_by(2)
            .flatten()
            .copied()
            .collect();
        Source::from_bytes(format!("half {half}"), [header.clone(), part].concat())
    });
    let merged = facts(&halves);
    assert_same_lines(&merged.0, &whole.0);
    assert_eq!(merged.1, whole.1);
}

#[test]
fn parts_are_cut_between_packets_of_the_same_time_too() {
    let at = |second: u64, client: u16, from_client, flags| Segment {
        at: second * SECOND,
        client,
        from_client,
        flags,
        payload: 0,
    };
    // In the other order the reset would find no connection, and the second SYN one that is open.
    let segments = [
        at(0, 1, true, SYN),
        at(0, 1, false, SYN | ACK),
        at(1, 1, true, ACK),
        at(1, 1, true, RST),
        at(1, 1, true, SYN),
        at(2, 2, true, SYN),
    ];
    let whole = capture(&segments);
    let records: Vec<Vec<u8>> = segments
        .iter()
        .enumerate()
        .map(|(number, segment)| record(number, segment))
        .collect();
    let part = |name: &str, records: &[Vec<u8>]| Source::from_bytes(name, file(records.to_vec()));
    let (one, other) = records.split_at(4);
    let parts = [part("second", other), part("first", one)];
    let whole = facts(&[whole]);
    assert_eq!(facts(&parts), whole);
    assert!(
        whole.1.iter().any(|row| row.contains("reused")),
        "{:?}",
        whole.1
    );
}

#[test]
fn of_many_gaps_the_first_are_told_of() {
    let alone = |number: u64| {
        let segment = Segment {
            at: number * 1_000 * SECOND,
            client: 1,
            from_client: true,
            flags: SYN,
            payload: 0,
        };
        let bytes = file([record(number as usize, &segment)]);
        Source::from_bytes(format!("part {number}"), bytes)
    };
    let sources: Vec<Source> = (0..13).map(alone).collect();
    let written = written(&["10.1.0.1:80"]);
    let (report, _) = run(&sources, &written, &Options::default(), &mut ()).unwrap();
    let [told @ .., more] = &report.warnings[..] else {
        panic!("no warnings");
    };
    assert_eq!(told.len(), 10, "{told:?}");
    assert!(told[9].contains("between part 9 and part 10"), "{told:?}");
    assert_eq!(more, "captures overlap or leave a gap in 2 more places");
}

/// A frame that is no packet moves no clock, also where a part begins with it.
#[test]
fn parts_may_begin_with_what_is_skipped() {
    let at = |second: u64, client: u16, flags| Segment {
        at: second * SECOND,
        client,
        from_client: true,
        flags,
        payload: 0,
    };
    let segments = [at(0, 1, SYN), at(300, 9, SYN), at(1, 2, SYN), at(2, 2, ACK)];
    let mut records: Vec<Vec<u8>> = segments
        .iter()
        .enumerate()
        .map(|(number, segment)| record(number, segment))
        .collect();
    // Of no IP version.
    records[1][16] = 0;
    let part = |name: &str, records: &[Vec<u8>]| Source::from_bytes(name, file(records.to_vec()));
    let (one, other) = records.split_at(1);
    let parts = facts(&[part("second", other), part("first", one)]);
    let whole = facts(&[part("whole", &records)]);
    assert_eq!(parts, whole);
    assert!(whole.0.contains("\"retimed_packets\": 0"), "{}", whole.0);
}

#[test]
fn gaps_and_overlaps_are_told() {
    let at = |seconds: u64, client: u16| Segment {
        at: seconds * SECOND,
        client,
        from_client: true,
        flags: SYN,
        payload: 0,
    };
    let named = |name: &str, segments: &[Segment]| {
        let records = segments.iter().enumerate();
        let records = records.map(|(number, segment)| record(number, segment));
        Source::from_bytes(name, file(records))
    };
    let sources = [
        named("third", &[at(100, 1), at(103, 2)]),
        named("first", &[at(0, 3), at(4, 4)]),
        named("second", &[at(3, 5), at(6, 6)]),
    ];
    let written = written(&["10.1.0.1:80"]);
    let (report, _) = run(&sources, &written, &Options::default(), &mut ()).unwrap();
    insta::assert_snapshot!(report.warnings.join("\n"), @r"
    first and second overlap by 1.000 s and were merged by time; a packet that is in both is left out once where it shows that it is the same
    nothing was captured for 94.000 s between second and third: is a file missing?
    ");
}

/// Breaks off at the given call.
struct Impatient(u32);

impl Watcher for Impatient {
    fn watch(&mut self, progress: &Progress) -> ControlFlow<()> {
        assert!(progress.bytes_read <= progress.bytes_total);
        self.0 -= 1;
        if self.0 == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[test]
fn a_replay_that_is_broken_off_reports_what_was_read() {
    let sources = [Source::new(&shop()).unwrap()];
    let written = written(&["10.1.0.1:80"]);
    let (whole, _) = run(&sources, &written, &Options::default(), &mut ()).unwrap();
    let (part, _) = run(&sources, &written, &Options::default(), &mut Impatient(1)).unwrap();
    assert!(part.partial && !whole.partial);
    assert!(part.trace.decoded_packets < whole.trace.decoded_packets);
    let connections = |report: &Report| report.runs[0].services[0].connections;
    assert!(connections(&part) > 0 && connections(&part) < connections(&whole));
    // Nothing is counted that no run has seen.
    let (header, records) = records();
    let read = part.trace.captures[0].packets as usize;
    let cut = Source::from_bytes("cut", [header, records[..read].concat()].concat());
    let (cut, _) = run(&[cut], &written, &Options::default(), &mut ()).unwrap();
    assert_eq!(part.runs, cut.runs);
    assert_eq!(part.trace.decoded_packets, cut.trace.decoded_packets);
    assert_eq!(
        part.trace.captures[0].last_ns,
        cut.trace.captures[0].last_ns
    );

    let automatic = Written {
        policies: vec!["rr".to_owned()],
        ..Written::default()
    };
    let nothing = run(&sources, &automatic, &Options::default(), &mut Impatient(1));
    assert!(matches!(nothing, Err(ReplayError::Interrupted { .. })));
}
