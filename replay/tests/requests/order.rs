//! Streams in any segments and any order, and with some of them lost.

use equipoise_core::Timestamp;
use equipoise_replay::request::{Content, First, Limits, Reason, Request};
use proptest::prelude::*;
use proptest::sample::Index;

use super::made::{ACK, FIN, Reading, SYN, Segment, Wire, lines, read, read_within};

/// A request, its response, and the line that they give behind `first`.
const EXCHANGES: [(&str, &str, &str); 9] = [
    (
        "GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "GET /a a.example 36 -> 200 43",
    ),
    (
        "POST /b HTTP/1.1\r\nHost: b.example\r\nContent-Length: 28\r\n\r\nGET /no HTTP/1.1\r\nHost: no\r\n",
        "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
        "POST /b b.example 85 -> 201 43",
    ),
    (
        "PUT /c HTTP/1.1\r\nHost: c.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\r\n\r\n\n\r\n1b;x=y\r\nGET /no HTTP/1.1\r\nHost: no\r\n0\r\nT: v\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "PUT /c c.example 121 -> 204 27",
    ),
    (
        "HEAD /d HTTP/1.1\r\nHost: d.example\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        "HEAD /d d.example 37 -> 200 41",
    ),
    (
        "GET /e HTTP/1.1\r\nHost: e.example\r\nIf-None-Match: x\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        "GET /e e.example 54 -> 304 48",
    ),
    (
        "GET http://f.example:81/f?g HTTP/1.1\r\nHost: other\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\nHTTP/1.1 500 No\r\n\r\n0\r\n\r\n",
        "GET http://f.example:81/f?g f.example:81 53 -> 200 75",
    ),
    (
        "\r\nGET /g HTTP/1.0\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\nContent-Length: 3\r\n\r\nnot",
        "GET /g - 19 -> 404 48",
    ),
    (
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\n",
        "OPTIONS * h 31 -> 200 39",
    ),
    (
        "GET /i\u{e9} HTTP/1.1\r\nHost: i\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nno",
        "GET /i\u{e9} i 65 -> 200 64",
    ),
];

/// How a stretch of one direction is sent: where it is cut, how far pieces reach into the next,
/// which are sent twice, and in which order.
#[derive(Clone, Debug)]
struct Sending {
    cuts: Vec<Index>,
    overlaps: Vec<usize>,
    again: Vec<Index>,
    order: Vec<u16>,
}

fn sending() -> impl Strategy<Value = Sending> {
    (
        prop::collection::vec(any::<Index>(), 0..12),
        prop::collection::vec(0_usize..40, 1..6),
        prop::collection::vec(any::<Index>(), 0..4),
        prop::collection::vec(any::<u16>(), 1..20),
    )
        .prop_map(|(cuts, overlaps, again, order)| Sending {
            cuts,
            overlaps,
            again,
            order,
        })
}

/// Sends the segments that came last, all of one direction, in another way.
fn resend(segments: &mut Vec<Segment>, from: usize, sending: &Sending) {
    let whole = segments.split_off(from);
    let Some(first) = whole.first().cloned() else {
        return;
    };
    let stream: Vec<u8> = whole.iter().flat_map(|part| part.payload.clone()).collect();
    let mut cuts: Vec<usize> = sending
        .cuts
        .iter()
        .map(|cut| cut.index(stream.len()))
        .collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut pieces = Vec::new();
    for (ends, overlap) in cuts.windows(2).zip(sending.overlaps.iter().cycle()) {
        let end = (ends[1] + overlap).min(stream.len());
        let payload = stream[ends[0]..end].to_vec();
        pieces.push(Segment {
            sequence: first.sequence.wrapping_add(ends[0] as u32),
            captured: payload.len(),
            payload,
            ..first.clone()
        });
    }
    for again in &sending.again {
        let piece = pieces[again.index(pieces.len())].clone();
        pieces.push(piece);
    }
    let keys = sending.order.iter().cycle();
    let mut keyed: Vec<(u16, Segment)> = keys.copied().zip(pieces).collect();
    keyed.sort_by_key(|(key, _)| *key);
    segments.extend(keyed.into_iter().map(|(_, piece)| piece));
}

/// When a direction that begins at `start` had come without a gap up to a place of its stream.
fn come(wire: &Wire, from_client: bool, start: u32, end: usize) -> Timestamp {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for (number, segment) in wire.segments.iter().enumerate() {
        if segment.from_client != from_client || segment.payload.is_empty() {
            continue;
        }
        let at = segment.sequence.wrapping_sub(start) as usize;
        parts.push((at, at + segment.payload.len()));
        parts.sort_unstable();
        let whole = parts.iter().fold(0, |whole, &(begin, end)| {
            if begin <= whole {
                whole.max(end)
            } else {
                whole
            }
        });
        if whole >= end {
            return time(number);
        }
    }
    panic!("{end} never came");
}

/// Of the segment with that number.
fn time(number: usize) -> Timestamp {
    Timestamp(number as u64 * 1_000_000)
}

/// How long a message is up to the end of its head, the final one of a response.
fn head(message: &str) -> usize {
    let end = message.find("\r\n\r\n").unwrap() + 4;
    if message.starts_with("HTTP/1.1 1") {
        end + head(&message[end..])
    } else {
        end
    }
}

/// When heads were complete.
fn times(request: &Request) -> [Timestamp; 2] {
    [request.time, request.http().unwrap().response.unwrap().time]
}

/// What is told of first requests.
fn firsts(segments: &[Segment]) -> Vec<First> {
    // Checks that a replay is told the same.
    read(segments);
    let mut reading = Reading::new(Limits::default());
    for segment in segments {
        reading.take(segment);
    }
    reading.requests.end_all();
    reading.requests.firsts().collect()
}

/// A client's stream up to its end, sent in this way.
fn client_only(stream: &[u8], sending: Option<&Sending>) -> Vec<Segment> {
    let mut wire = Wire::open(50_000, [77, 99]);
    let from = wire.segments.len();
    wire.client(stream);
    if let Some(sending) = sending {
        resend(&mut wire.segments, from, sending);
    }
    wire.close();
    wire.segments
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_no_request_is_told_alike_in_any_segments(
        stream in prop_oneof![
            "[GETPHhost/1.2: \\r\\n\u{1}\u{16}]{1,40}",
            "(\r\n)?(GET|POST) (/|/old|x y|\u{e9})?( HTTP/(1\\.[01]|2\\.0|1\\.|3))?(\r?\n)([Aa](:| :)? ?[b\u{1}]?\r?\n){0,3}(\r\n)?",
            "[A-Za-z0-9./ -]{1,12}(\r?\n[A-Za-z ]{1,12}){0,4}(\r?\n)?",
        ],
        sending in sending(),
    ) {
        let contents = |segments: &[Segment]| -> Vec<Option<Content>> {
            firsts(segments).into_iter().map(|first| first.content).collect()
        };
        let whole = contents(&client_only(stream.as_bytes(), None));
        let resent = contents(&client_only(stream.as_bytes(), Some(&sending)));
        prop_assert_eq!(whole, resent, "{:?}", stream);
    }

    #[test]
    fn any_segments_in_any_order_give_the_same(
        starts in prop::array::uniform2(prop_oneof![any::<u32>(), u32::MAX - 300..=u32::MAX]),
        chosen in prop::collection::vec(0..EXCHANGES.len(), 1..8),
        is_pipelined in any::<bool>(),
        sendings in prop::collection::vec(sending(), 1..6),
    ) {
        let mut wire = Wire::open(50_000, starts);
        let mut sendings = sendings.iter().cycle();
        let mut send = |wire: &mut Wire, from_client: bool, parts: &[&str]| {
            let from = wire.segments.len();
            for part in parts {
                wire.send(from_client, ACK, part.as_bytes());
            }
            resend(&mut wire.segments, from, sendings.next().unwrap());
        };
        let chosen = chosen.iter().map(|&place| EXCHANGES[place]);
        if is_pipelined {
            let (requests, responses): (Vec<&str>, Vec<&str>) =
                chosen.clone().map(|(request, response, _)| (request, response)).unzip();
            send(&mut wire, true, &requests);
            send(&mut wire, false, &responses);
        } else {
            for (request, response, _) in chosen.clone() {
                send(&mut wire, true, &[request]);
                send(&mut wire, false, &[response]);
            }
        }
        wire.close();
        let (found, counts) = read(&wire.segments);
        let mut expected: Vec<String> = chosen.clone().map(|(.., line)| line.to_owned()).collect();
        expected[0].insert_str(0, "first ");
        prop_assert_eq!(lines(&found), expected);
        let mut sent = [0; 2];
        for (found, (request, response, _)) in found.iter().zip(chosen) {
            let expected = [
                come(&wire, true, starts[0].wrapping_add(1), sent[0] + head(request)),
                come(&wire, false, starts[1].wrapping_add(1), sent[1] + head(response)),
            ];
            prop_assert_eq!(times(found), expected);
            sent = [sent[0] + request.len(), sent[1] + response.len()];
        }
        let first = &firsts(&wire.segments)[0];
        prop_assert_eq!(first.time, found[0].time);
        prop_assert!(counts.reasons.is_empty(), "{:?}", counts);
    }
}

/// What a packet told, it told when it came, however long others waited for it.
#[test]
fn what_waited_has_the_time_of_what_it_waited_for() {
    let mut wire = Wire::open(50_000, [1, 1]);
    wire.client("GET /1 HTTP").client("/1.1\r\nHost: h\r\n\r\n");
    wire.server("HTTP/1.1 200")
        .server(" OK\r\nContent-Length: 0\r\n\r\n");
    wire.segments.swap(3, 4);
    wire.segments.swap(5, 6);
    let (found, _) = read(&wire.segments);
    assert_eq!(times(&found[0]), [time(4), time(6)]);
    let response = found[0].http().unwrap().response.unwrap();
    assert_eq!(response.last, time(6));
    assert_eq!(firsts(&wire.segments)[0].time, time(4));
    // That something is lost shows with what the server has of it.
    wire.segments.remove(4);
    let [first] = &firsts(&wire.segments)[..] else {
        panic!("told once");
    };
    assert_eq!((first.time, first.content.is_some()), (time(4), false));
}

/// Three exchanges, one after the other, each in a segment each way.
fn three() -> Wire {
    let mut wire = Wire::open(50_000, [1, 1]);
    for number in 1..=3 {
        wire.client(format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
        wire.server(format!(
            "HTTP/1.1 20{number} OK\r\nContent-Length: 6\r\n\r\nnumber"
        ));
    }
    wire
}

fn without(mut wire: Wire, lost: &[usize]) -> (Vec<String>, Vec<(Reason, u64)>) {
    let mut place = 0;
    wire.segments.retain(|_| {
        place += 1;
        !lost.contains(&(place - 1))
    });
    let (found, counts) = read(&wire.segments);
    (lines(&found), counts.reasons.into_iter().collect())
}

#[test]
fn a_lost_request_takes_its_response_with_it() {
    let (lines, reasons) = without(three(), &[5]);
    assert_eq!(
        lines,
        ["first GET /1 h 28 -> 201 44", "GET /3 h 28 -> 203 44",]
    );
    // What is missing shows with what follows, and that the server had it with its next response.
    assert_eq!(reasons, [(Reason::Gap, 1), (Reason::UnmatchedResponse, 1)]);
}

#[test]
fn a_lost_response_leaves_its_request_without() {
    let (lines, reasons) = without(three(), &[6]);
    assert_eq!(
        lines,
        [
            "first GET /1 h 28 -> 201 44",
            "GET /2 h 28 -> -",
            "GET /3 h 28 -> 203 44",
        ]
    );
    assert_eq!(reasons, [(Reason::Gap, 1)]);
}

#[test]
fn what_is_lost_within_a_body_of_known_length_is_no_loss() {
    let mut wire = Wire::open(50_000, [1, 1]);
    wire.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\n");
    for _ in 0..3 {
        wire.client([b'x'; 1000]);
    }
    wire.server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n");
    wire.server([b'y'; 2048]).server([b'z'; 2048]);
    wire.server("\r\n0\r\n\r\n");
    wire.client("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    wire.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let (lines, reasons) = without(wire.clone(), &[5, 8, 9]);
    let expected = ["first POST / h 3050 -> 200 4156", "GET /2 h 28 -> 200 38"];
    assert_eq!(lines, expected);
    assert_eq!(reasons, []);
    // Nor is what a snap length cuts off there.
    for segment in &mut wire.segments {
        segment.captured = segment.captured.min(60);
    }
    let (cut, counts) = read(&wire.segments);
    assert_eq!(super::made::lines(&cut), expected);
    assert!(counts.reasons.is_empty(), "{counts:?}");
}

#[test]
fn a_head_that_a_snap_length_cuts_is_lost_and_the_next_is_not() {
    let mut wire = three();
    let second = &mut wire.segments[5];
    second.captured = 20;
    let (found, counts) = read(&wire.segments);
    assert_eq!(
        lines(&found),
        ["first GET /1 h 28 -> 201 44", "GET /3 h 28 -> 203 44",]
    );
    assert_eq!(counts.reasons[&Reason::Gap], 1);
}

#[test]
fn a_connection_in_mid_stream_is_read_from_its_next_head() {
    let mut wire = Wire::mid_stream(50_000, [5_000, 9_000]);
    wire.server(b"rest of a body");
    wire.client(b"body\r\n").server("HTTP/1.1 200 OK\r\n\r\n");
    wire.client("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    wire.server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let (found, counts) = read(&wire.segments);
    assert_eq!(lines(&found), ["GET /1 h 28 -> 200 40"]);
    assert_eq!(counts.reasons[&Reason::MidStream], 1);
    assert_eq!(counts.reasons[&Reason::UnmatchedResponse], 1);
}

#[test]
fn where_no_head_comes_again_the_search_ends() {
    let limits = Limits {
        search: 10_000,
        ..Limits::default()
    };
    let mut wire = Wire::mid_stream(50_000, [5_000, 9_000]);
    for _ in 0..20 {
        wire.client([b'x'; 1000]);
    }
    wire.client("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    let (found, counts) = read_within(limits, &wire.segments);
    assert!(found.is_empty());
    assert_eq!(counts.reasons[&Reason::NotFoundAgain], 1);
}

#[test]
fn what_waits_is_bounded() {
    let mut wire = Wire::open(50_000, [1, 1]);
    // Lost, and as nobody answers, nothing says so.
    wire.client("GET /lost HTTP/1.1\r\n\r\n");
    let lost = wire.segments.len() - 1;
    for number in 0..3_000 {
        wire.client(format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    wire.segments.remove(lost);
    let mut reading = Reading::new(Limits::default());
    let mut most = 0;
    for segment in &wire.segments {
        reading.take(segment);
        most = most.max(reading.requests.memory());
    }
    // What waits in order and without a response, each up to 64 KB, and one packet.
    assert!((64 << 10..192 << 10).contains(&most), "{most}");
    let (found, counts) = reading.finish();
    assert_eq!(found.len(), 3_000);
    assert_eq!(counts.reasons[&Reason::OutOfOrder], 1);
    assert_eq!(counts.reasons[&Reason::Unanswered], 1);
}

#[test]
fn all_connections_together_are_bounded() {
    let limits = Limits {
        total: 100_000,
        ..Limits::default()
    };
    let mut reading = Reading::new(limits);
    let head = [b"GET / HTTP/1.1\r\nLong: ", &[b'x'; 5_000][..]].concat();
    let mut most = 0;
    for client in 0..100 {
        let mut wire = Wire::open(1_024 + client, [1, 1]);
        wire.client(&head).client(b"more");
        for segment in &wire.segments {
            reading.take(segment);
            most = most.max(reading.requests.memory());
        }
    }
    assert!((90_000..=100_000).contains(&most), "{most}");
    let (_, counts) = reading.finish();
    assert!(counts.reasons[&Reason::Memory] > 80, "{counts:?}");
}

#[test]
fn the_end_of_a_connection_ends_what_lasts_until_it() {
    let mut wire = Wire::open(50_000, [1, 1]);
    wire.client("GET / HTTP/1.0\r\n\r\n");
    wire.server("HTTP/1.0 200 OK\r\n\r\nall").server("of it");
    let (open, _) = read(&wire.segments);
    assert_eq!(lines(&open), ["first GET / - 18 -> 200 27?"]);
    // The end may overtake the rest.
    wire.finish(false);
    let last = wire.segments.len() - 1;
    wire.segments.swap(last, last - 1);
    let (closed, _) = read(&wire.segments);
    assert_eq!(lines(&closed), ["first GET / - 18 -> 200 27"]);
}

#[test]
fn a_port_used_again_is_another_connection() {
    let mut wire = three();
    let mut again = Wire::open(50_000, [77, 99]);
    again.client("GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
    wire.segments.truncate(4);
    wire.segments.extend(again.segments);
    let (found, _) = read(&wire.segments);
    assert_eq!(
        lines(&found),
        ["first GET /1 h 28 -> -", "first GET /again h 32 -> -",]
    );
}

#[test]
fn data_may_come_with_the_syn_and_with_the_fin() {
    let mut wire = Wire::mid_stream(50_000, [10, 20]);
    let request = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n";
    wire.send(true, SYN, request);
    // Either SYN is a byte of its own.
    let behind = 11 + request.len() as u32;
    let mut answer = Wire::mid_stream(50_000, [behind, 20]);
    answer.send(false, SYN | ACK, b"");
    let mut rest = Wire::mid_stream(50_000, [behind, 21]);
    rest.client("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    rest.send(false, FIN | ACK, b"HTTP/1.1 200 OK\r\n\r\nto the end");
    wire.segments.extend(answer.segments);
    wire.segments.extend(rest.segments);
    let (found, counts) = read(&wire.segments);
    assert_eq!(
        lines(&found),
        ["first GET /1 h 28 -> 200 29", "GET /2 h 28 -> -",]
    );
    assert!(counts.reasons.is_empty(), "{counts:?}");
}
