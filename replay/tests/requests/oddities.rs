//! What is odd, hostile or no HTTP at all: read as RFC 9112 and nginx read it, or counted.

use equipoise_replay::request::{Limits, MOST_HEADERS, Reason};
use proptest::prelude::*;

use super::made::{ACK, RST, Reading, Segment, Wire, lines, read};

/// What is read of a client's bytes, each piece in a segment, with a request behind them that is
/// read where nothing was given up; and what was counted.
fn of_client(pieces: &[&[u8]]) -> (Vec<String>, Vec<(Reason, u64)>) {
    let mut wire = Wire::open(50_000, [1, 1]);
    for piece in pieces {
        wire.client(piece);
    }
    wire.client("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    let (found, counts) = read(&wire.segments);
    (lines(&found), counts.reasons.into_iter().collect())
}

const NEXT: &str = "GET /next h 31 -> -";

#[test]
fn framing_that_could_be_read_in_two_ways_ends_the_reading() {
    let cases = [
        (
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Reason::BothLengths,
        ),
        (
            "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
            Reason::DifferentLengths,
        ),
        ("Content-Length: 4, 4\r\n\r\nabcd", Reason::BadLength),
        ("Content-Length: +4\r\n\r\nabcd", Reason::BadLength),
        ("Content-Length:\r\n\r\n", Reason::BadLength),
        (
            "Content-Length: 18446744073709551616\r\n\r\n",
            Reason::BadLength,
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            Reason::TransferCoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Reason::TransferCoding,
        ),
    ];
    for (fields, reason) in cases {
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}");
        let (lines, reasons) = of_client(&[request.as_bytes()]);
        let head = request.find("\r\n\r\n").unwrap() + 4;
        // Told, for it was sent, and nothing behind it.
        assert_eq!(lines, [format!("first POST / h {head}? -> -")], "{fields}");
        assert_eq!(reasons, [(reason, 1)], "{fields}");
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(of_client(&[old]).1, [(Reason::TransferCoding, 1)]);
}

#[test]
fn a_body_in_broken_chunks_counts_up_to_where_it_breaks() {
    let request = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\nmore";
    for most in [1, 7, request.len()] {
        let (lines, reasons) = of_client(&in_segments(request, most));
        assert_eq!(lines, ["first POST / - 52? -> -"]);
        assert_eq!(reasons, [(Reason::Chunk, 1)]);
    }
}

#[test]
fn heads_that_nginx_refuses_are_refused() {
    let cases: [(&str, Reason); 11] = [
        ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", Reason::FoldedHeader),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", Reason::HeaderField),
        ("GET / HTTP/1.1\r\nA: b\0\r\n\r\n", Reason::HeaderField),
        ("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", Reason::HeaderField),
        ("GET / HTTP/1.\r\n\r\n", Reason::RequestLine),
        ("GET / HTTP/3.0\r\n\r\n", Reason::RequestLine),
        ("GET /a b HTTP/1.1\r\n\r\n", Reason::RequestLine),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reason::Http2),
        ("SSH-2.0-OpenSSH_9.6\r\n", Reason::NotHttp),
        ("USER anonymous\r\n", Reason::NotHttp),
        ("\u{0}\u{1}\u{2}", Reason::NotHttp),
    ];
    for (head, reason) in cases {
        let (lines, reasons) = of_client(&[head.as_bytes()]);
        assert_eq!(lines, [""; 0], "{head:?}");
        assert_eq!(reasons, [(reason, 1)], "{head:?}");
        // A byte at a time comes to the same end, if perhaps by another reason.
        let bytes: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
        let (lines, reasons) = of_client(&bytes);
        assert_eq!((lines.len(), reasons.len()), (0, 1), "{head:?}");
    }
}

/// Whoever waits for what was asked for does not wait longer because a line came in parts.
#[test]
fn a_first_line_that_is_no_request_line_is_told_when_it_ends() {
    let cases: [(&[&str], usize); 8] = [
        (&["GET /old\r\n"], 0),
        (&["GET /old\r", "\n", "more\r\n"], 0),
        (&["GET /old", "\r\n", "more\r\n"], 1),
        (&["GET /", "old", "\r\n"], 2),
        (&["\r\n", "GET /old", "\n"], 2),
        (&["hello there", "\n", "more\n"], 1),
        (&["EHLO x", "\r\n", "MAIL FROM:<a>\r\n"], 1),
        (&["SSH-2.0-x", "\r\n", "\0\0\u{1}\u{1}kex"], 1),
    ];
    for (pieces, expected) in cases {
        let mut wire = Wire::open(50_000, [1, 1]);
        let handshake = wire.segments.len();
        for piece in pieces {
            wire.client(piece);
        }
        let mut reading = Reading::new(Limits::default());
        let mut told = Vec::new();
        for segment in &wire.segments {
            reading.take(segment);
            told.push(
                reading
                    .requests
                    .firsts()
                    .any(|first| first.content.is_none()),
            );
        }
        let place = told.iter().position(|&is_told| is_told);
        assert_eq!(place, Some(handshake + expected), "{pieces:?}");
    }
}

#[test]
fn what_is_odd_and_clear_is_read() {
    let (lines, reasons) = of_client(&[
        b"GET /lf HTTP/1.1\nHost: a\n\n",
        b"\r\n\r\nGET   /spaces   HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /twice HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"GET /\xff\x80 HTTP/1.1\r\nhost: \xff\r\n\r\n",
        b"GET http://user:pw@c.example?q HTTP/1.1\r\nHost: other\r\n\r\n",
        b"CHECKOUT /method HTTP/1.1\r\n\r\n",
    ]);
    assert_eq!(
        lines,
        [
            "first GET /lf a 26 -> -",
            "GET /spaces a 46 -> -",
            "POST /twice - 64 -> -",
            "GET /\u{fffd}\u{fffd} \u{fffd} 29 -> -",
            "GET http://user:pw@c.example?q c.example 56 -> -",
            "CHECKOUT /method - 29 -> -",
            NEXT,
        ]
    );
    assert_eq!(reasons, [(Reason::BareLf, 1), (Reason::RepeatedHost, 1)]);
}

#[test]
fn an_upgrade_and_a_tunnel_end_the_reading_if_they_are_granted() {
    let upgrade = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n";
    let connect = "CONNECT d.example:443 HTTP/1.1\r\nHost: other\r\n\r\n";
    let next = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (first, granted, refused, line) in [
        (upgrade, "HTTP/1.1 101 Switching\r\n\r\n", ok, "GET /ws h"),
        (
            connect,
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n",
            "CONNECT d.example:443 d.example:443",
        ),
    ] {
        let answered = |answer: &str| {
            let mut wire = Wire::open(50_000, [1, 1]);
            wire.client(first).server(answer).client(next).server(ok);
            let (found, counts) = read(&wire.segments);
            (lines(&found), counts.reasons)
        };
        let (lines, reasons) = answered(granted);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("first {line}")), "{lines:?}");
        assert_eq!(reasons[&Reason::Switched], 1);
        let (lines, reasons) = answered(refused);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[1], "GET /next h 31 -> 200 38");
        assert!(reasons.is_empty());
    }
}

#[test]
fn responses_are_read_leniently_and_end_where_they_are_none() {
    let answered = |answer: &str| {
        let mut wire = Wire::open(50_000, [1, 1]);
        wire.client("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        wire.server(answer);
        wire.client("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
        wire.server("HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n");
        wire.close();
        let (found, counts) = read(&wire.segments);
        let statuses: Vec<_> = found
            .iter()
            .map(|request| request.http().unwrap().response.map(|found| found.status))
            .collect();
        (statuses, counts.reasons.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(
        answered("HTTP/1.1 200\r\nA : b\r\n c\r\nContent-Length: 1\r\n\r\nx"),
        (vec![Some(200), Some(201)], vec![])
    );
    assert_eq!(
        answered(
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        (
            vec![Some(200), Some(201)],
            vec![(Reason::ResponseBothLengths, 1)]
        )
    );
    assert_eq!(
        answered("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        (vec![Some(200), None], vec![(Reason::DifferentLengths, 1)])
    );
    assert_eq!(
        answered("SSH-2.0-OpenSSH_9.6\r\n"),
        (vec![None, None], vec![(Reason::StatusLine, 1)])
    );
    assert_eq!(
        answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        (vec![Some(200), None], vec![(Reason::Chunk, 1)])
    );
    // In another coding it lasts until the end.
    assert_eq!(
        answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nzz\r\n"),
        (vec![Some(200), None], vec![])
    );
}

#[test]
fn a_reset_ends_a_response_before_its_end() {
    let mut wire = Wire::open(50_000, [1, 1]);
    wire.client("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wire.server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
    wire.send(false, RST | ACK, b"");
    let (found, _) = read(&wire.segments);
    assert_eq!(lines(&found), ["first GET / h 27 -> 200 44?"]);
}

#[test]
fn too_many_fields_are_refused() {
    let head = |fields: usize| {
        let fields = "A: b\r\n".repeat(fields);
        format!("GET / HTTP/1.1\r\n{fields}\r\n")
    };
    let (lines, reasons) = of_client(&[head(MOST_HEADERS).as_bytes()]);
    assert_eq!((lines.len(), reasons.len()), (2, 0));
    let (lines, reasons) = of_client(&[head(MOST_HEADERS + 1).as_bytes()]);
    assert_eq!(
        (lines.len(), reasons),
        (0, vec![(Reason::TooManyHeaders, 1)])
    );
}

/// Bytes of every length, in segments of as many.
fn in_segments(bytes: &[u8], most: usize) -> Vec<&[u8]> {
    bytes.chunks(most).collect()
}

#[test]
fn a_header_of_a_gigabyte_takes_no_more_than_a_head_may() {
    let mut reading = Reading::new(Limits::default());
    let mut wire = Wire::open(50_000, [1, 1]);
    wire.client("GET / HTTP/1.1\r\nLong: ");
    wire.segments
        .iter()
        .for_each(|segment| reading.take(segment));
    let mut most = 0;
    let payload = vec![b'x'; 64_000];
    let mut sent = 0;
    while sent < 1_u64 << 30 {
        wire.segments.clear();
        wire.client(&payload);
        reading.take(&wire.segments[0]);
        most = most.max(reading.requests.memory());
        sent += payload.len() as u64;
    }
    assert!(most < 80 << 10, "{most}");
    let (found, counts) = reading.finish();
    assert!(found.is_empty());
    assert_eq!(counts.reasons[&Reason::HeadTooLong], 1);
    // A head as long as it may be, in the smallest pieces, and one that is longer.
    let name = "GET / HTTP/1.1\r\nLong: ";
    let fill = |length: usize| format!("{name}{}\r\n\r\n", "x".repeat(length - name.len() - 4));
    let limit = Limits::default().head;
    let longest = fill(limit);
    let (lines, reasons) = of_client(&in_segments(longest.as_bytes(), 11));
    assert_eq!(lines[0], format!("first GET / - {limit} -> -"));
    assert_eq!((lines.len(), reasons.len()), (2, 0));
    let longer = fill(limit + 1);
    for most in [11, 60_000] {
        let (lines, reasons) = of_client(&in_segments(longer.as_bytes(), most));
        assert_eq!((lines.len(), reasons), (0, vec![(Reason::HeadTooLong, 1)]));
    }
}

/// A `ClientHello` for a server name, with protocols, in records of at most so many bytes.
fn client_hello(most: usize) -> Vec<u8> {
    let sized = |width: usize, content: &[u8]| {
        let length = (content.len() as u32).to_be_bytes();
        [&length[4 - width..], content].concat()
    };
    let extension =
        |kind: u16, content: Vec<u8>| [&kind.to_be_bytes()[..], &sized(2, &content)].concat();
    let name = [&[0][..], &sized(2, b"shop.example")].concat();
    let protocols = [sized(1, b"h2"), sized(1, b"http/1.1")].concat();
    let extensions = [
        extension(0x3a3a, vec![0]),
        // What no parser knows, and what lies about its length within.
        extension(43, vec![200, 3]),
        extension(0, sized(2, &name)),
        extension(16, sized(2, &protocols)),
        extension(21, vec![0; 300]),
    ]
    .concat();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &sized(1, &[9; 32]),
        &sized(2, &[0x13, 0x01, 0x13, 0x02]),
        &sized(1, &[0]),
        &sized(2, &extensions),
    ]
    .concat();
    let message = [&[1][..], &sized(3, &body)].concat();
    let records = message.chunks(most);
    records
        .flat_map(|part| [&[22, 3, 1][..], &sized(2, part)].concat())
        .collect()
}

#[test]
fn a_client_hello_is_read_in_one_piece_and_in_hundreds() {
    let whole = client_hello(16_384);
    assert!(whole.len() > 400);
    let fragments = client_hello(5);
    assert!(fragments.len() / 10 > 80);
    for (bytes, most) in [
        (&whole, whole.len()),
        (&whole, whole.len() / 100),
        (&fragments, fragments.len()),
        (&fragments, 10),
        (&fragments, 1),
    ] {
        let mut wire = Wire::open(50_000, [u32::MAX - 100, 1]);
        for part in bytes.chunks(most) {
            wire.client(part);
        }
        wire.server([22, 3, 3, 0, 1, 2]).client([23, 3, 3, 0, 1, 0]);
        let (found, counts) = read(&wire.segments);
        assert_eq!(lines(&found), ["tls shop.example h2,http/1.1"]);
        assert!(found[0].is_first && found[0].host() == Some(b"shop.example"));
        assert_eq!((counts.tls, counts.reasons.len()), (1, 0));
    }
}

#[test]
fn a_handshake_that_is_none_is_counted() {
    let mut server_hello = client_hello(1_000);
    server_hello[5] = 2;
    for bytes in [
        &server_hello[..],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0xff, 0xff, 1],
        &[22, 2, 1, 0, 5, 1],
        // The length of the message is less than what is in it.
        &[22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3],
    ] {
        let (lines, reasons) = of_client(&[bytes]);
        assert_eq!((lines.len(), reasons), (0, vec![(Reason::Hello, 1)]));
    }
}

proptest! {
    #[test]
    fn random_bytes_are_counted_once_each_way(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..80)), 1..30),
    ) {
        let mut wire = Wire::open(50_000, [1, 1]);
        for (from_client, bytes) in &pieces {
            wire.send(*from_client, ACK, bytes);
        }
        wire.close();
        let (found, counts) = read(&wire.segments);
        prop_assert!(found.is_empty());
        let given_up: u64 = counts.reasons.values().sum();
        prop_assert!(given_up <= 2, "{:?}", counts);
    }

    #[test]
    fn damaged_conversations_stay_within_bounds(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        jumps in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>()), 0..4),
    ) {
        let mut wire = Wire::open(50_000, [1, 1]);
        for _ in 0..4 {
            wire.client("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
            wire.server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
        }
        wire.close();
        let with_content = |segment: &&mut Segment| !segment.payload.is_empty();
        let mut segments: Vec<&mut Segment> =
            wire.segments.iter_mut().filter(with_content).collect();
        for (place, byte) in &places {
            let segment = place.index(segments.len());
            let payload = &mut segments[segment].payload;
            let at = place.index(payload.len());
            payload[at] = *byte;
        }
        for (place, sequence) in &jumps {
            let segment = place.index(segments.len());
            segments[segment].sequence = *sequence;
        }
        let (found, counts) = read(&wire.segments);
        prop_assert_eq!(found.len() as u64, counts.http + counts.tls);
        prop_assert!(counts.responses <= counts.http);
    }
}
