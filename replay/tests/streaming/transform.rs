//! Parts of a trace, and more clients than it has: the same as of captures that were cut and
//! multiplied by hand.

use super::*;
use equipoise_replay::transform::Selection;

/// Runs and decisions, without what names packets.
fn facts_of(sources: &[Source], options: &Options) -> (String, Vec<String>, Report) {
    let written = written(&["10.1.0.1:80", "10.1.0.2:80,weight=2"]);
    let (report, decisions) = run(sources, &written, options, &mut ()).unwrap();
    let rows = decisions.lines().map(|row| {
        let columns: Vec<&str> = row.split(',').collect();
        [&columns[1..3], &columns[4..]].concat().join(",")
    });
    let runs = serde_json::to_string_pretty(&report.runs).unwrap();
    (runs, rows.collect(), report)
}

fn assert_same_facts(one: &[Source], options: &Options, other: &[Source]) -> Report {
    let (runs, rows, report) = facts_of(one, options);
    let (other_runs, other_rows, _) = facts_of(other, &Options::default());
    assert_same_lines(&runs, &other_runs);
    assert_eq!(rows, other_rows);
    report
}

fn time_ns(record: &[u8]) -> u64 {
    let word = |place: usize| u32::from_le_bytes(record[place..place + 4].try_into().unwrap());
    u64::from(word(0)) * SECOND + u64::from(word(4)) * 1_000
}

fn of_records(header: &[u8], records: &[Vec<u8>]) -> [Source; 1] {
    [Source::from_bytes(
        "part",
        [header, &records.concat()].concat(),
    )]
}

#[test]
fn a_window_is_a_capture_cut_out() {
    let (header, records) = records();
    // The first is no IP packet.
    let is_ip = |record: &&Vec<u8>| record[16 + 12..16 + 14] == [8, 0];
    let first = time_ns(records.iter().find(is_ip).unwrap());
    let within = |from: u64, to: u64| {
        let cut = records.iter().filter(|record| {
            let time = time_ns(record);
            (from..to).contains(&time)
        });
        of_records(&header, &cut.cloned().collect::<Vec<_>>())
    };
    let (from, to) = (first + 5 * SECOND, first + 20 * SECOND + SECOND / 2);
    let selection = Selection {
        from: Some("5s".parse().unwrap()),
        to: Some("20s 500ms".parse().unwrap()),
        ..Selection::default()
    };
    let options = Options {
        selection,
        ..Options::default()
    };
    let whole = [Source::new(&shop()).unwrap()];
    let report = assert_same_facts(&whole, &options, &within(from, to));
    let selected = report.trace.selection.unwrap();
    assert_eq!((selected.from_ns, selected.to_ns), (Some(from), Some(to)));
    let packets = records.iter().filter(is_ip);
    let outside = packets.filter(|record| !(from..to).contains(&time_ns(record)));
    assert_eq!(selected.outside_packets, outside.count() as u64);
}

#[test]
fn a_window_without_packets_is_told_as_such() {
    let written = written(&["10.1.0.1:80"]);
    let selection = Selection {
        from: Some("2h".parse().unwrap()),
        ..Selection::default()
    };
    let options = Options {
        selection,
        ..Options::default()
    };
    let sources = [Source::new(&shop()).unwrap()];
    let error = run(&sources, &written, &options, &mut ()).err().unwrap();
    let error = error
        .to_string()
        .replace(&shop().display().to_string(), "shop.pcap");
    insta::assert_snapshot!(error);
}

/// The protocol and both ends, whichever sends.
fn ends(record: &[u8]) -> (u8, [Vec<u8>; 2]) {
    let ip = &record[16 + 14..];
    let ports = usize::from(ip[0] & 15) * 4;
    let end = |address: usize, port: usize| {
        [
            &ip[address..address + 4],
            &ip[ports + port..ports + port + 2],
        ]
        .concat()
    };
    let mut ends = [end(12, 0), end(16, 2)];
    ends.sort();
    (ip[9], ends)
}

#[test]
fn a_sample_has_whole_connections_and_as_many_as_asked() {
    let (header, records) = records();
    let whole = [Source::new(&shop()).unwrap()];
    let all: std::collections::BTreeSet<_> = records.iter().map(|record| ends(record)).collect();
    for (share, seed) in [("50%", 0), ("1/4", 0), ("0.25", 1)] {
        let selection = Selection {
            share: share.parse().unwrap(),
            seed,
            ..Selection::default()
        };
        let options = Options {
            selection,
            ..Options::default()
        };
        let (_, rows, report) = facts_of(&whole, &options);
        // Those that the sample has, by client and port; then the same capture without the others.
        let clients: std::collections::BTreeSet<(String, String)> = rows[1..]
            .iter()
            .map(|row| {
                let columns: Vec<&str> = row.split(',').collect();
                (columns[4].to_owned(), columns[5].to_owned())
            })
            .collect();
        let is_sampled = |record: &&Vec<u8>| {
            let (_, [one, other]) = ends(record);
            [one, other].iter().any(|end| {
                let address = format!("{}.{}.{}.{}", end[0], end[1], end[2], end[3]);
                let port = u16::from_be_bytes([end[4], end[5]]).to_string();
                clients.contains(&(address, port))
            })
        };
        let sampled: Vec<Vec<u8>> = records.iter().filter(is_sampled).cloned().collect();
        assert_same_facts(&whole, &options, &of_records(&header, &sampled));
        // A binomial distribution, five standard deviations wide.
        let expected = all.len() as f64 * options.selection.share.get();
        let deviation = (expected * (1.0 - options.selection.share.get())).sqrt();
        let kept: std::collections::BTreeSet<_> = sampled.iter().map(|r| ends(r)).collect();
        assert!(
            (kept.len() as f64 - expected).abs() < 5.0 * deviation,
            "{share}: {}",
            kept.len()
        );
        assert!(report.trace.selection.unwrap().unsampled_packets > 0);
    }
}

/// Each packet, and after it one for each further client, its address another one.
fn multiplied(times: u8) -> [Source; 1] {
    let (header, records) = records();
    let copies = records.iter().flat_map(|record| {
        (0..times).map(|copy| {
            let mut record = record.clone();
            let ip = 16 + 14;
            let ports = ip + usize::from(record[ip] & 15) * 4;
            let port = |place: usize| u16::from_be_bytes([record[place], record[place + 1]]);
            // Every server of this capture has the lower port.
            let client = if port(ports) > port(ports + 2) {
                ip + 12
            } else {
                ip + 16
            };
            record[client] = record[client].wrapping_add(copy);
            record
        })
    });
    of_records(&header, &copies.collect::<Vec<_>>())
}

#[test]
fn more_clients_are_a_capture_with_more_clients() {
    let whole = [Source::new(&shop()).unwrap()];
    for pass_all in [false, true] {
        let options = Options {
            clients: 3,
            pass_all,
            ..Options::default()
        };
        let report = assert_same_facts(&whole, &options, &multiplied(3));
        assert_eq!(report.trace.clients, 3);
    }
}
