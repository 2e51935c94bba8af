//! Made conversations: frames, what is read of them, and captures cut at any byte.

use std::collections::BTreeSet;
use std::fs;

use equipoise_core::Timestamp;
use equipoise_replay::capture::Source;
use equipoise_replay::decode::Decoder;
use equipoise_replay::request::{Content, Counts, First, Limits, Request, Requests, Whose};
use equipoise_replay::trace::Trace;
use equipoise_replay::track::Tracker;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;
const RAW_IP: u16 = 101;
const MILLISECOND: u64 = 1_000_000;

/// One segment between a client of that port and the server.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) client: u16,
    pub(crate) from_client: bool,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) payload: Vec<u8>,
    /// How much of the payload was captured.
    pub(crate) captured: usize,
}

impl Segment {
    pub(crate) fn frame(&self, number: usize) -> Vec<u8> {
        let (client, server) = ((0xc612_0001_u32, self.client), (0x0a00_0001_u32, 80_u16));
        let (from, to) = if self.from_client {
            (client, server)
        } else {
            (server, client)
        };
        let mut frame = vec![0x45, 0];
        frame.extend((40 + self.payload.len() as u16).to_be_bytes());
        // No two alike: none is a mirror port's copy.
        frame.extend((number as u16 | 0x8000).to_be_bytes());
        frame.extend([0, 0, 64, 6, 0, 0]);
        frame.extend(from.0.to_be_bytes());
        frame.extend(to.0.to_be_bytes());
        frame.extend(from.1.to_be_bytes());
        frame.extend(to.1.to_be_bytes());
        frame.extend(self.sequence.to_be_bytes());
        frame.extend(self.acknowledgement.to_be_bytes());
        frame.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(&self.payload[..self.captured]);
        frame
    }
}

/// Both directions of a connection, as far as they were sent.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    client: u16,
    /// The numbers of the next bytes.
    next: [u32; 2],
    pub(crate) segments: Vec<Segment>,
}

impl Wire {
    /// With a handshake from these sequence numbers on.
    pub(crate) fn open(client: u16, starts: [u32; 2]) -> Self {
        let mut wire = Self::mid_stream(client, starts);
        wire.send(true, SYN, b"");
        wire.next[0] = starts[0].wrapping_add(1);
        wire.send(false, SYN | ACK, b"");
        wire.next[1] = starts[1].wrapping_add(1);
        wire.send(true, ACK, b"");
        wire
    }

    pub(crate) fn mid_stream(client: u16, next: [u32; 2]) -> Self {
        Self {
            client,
            next,
            segments: Vec::new(),
        }
    }

    pub(crate) fn client(&mut self, payload: impl AsRef<[u8]>) -> &mut Self {
        self.send(true, ACK, payload.as_ref())
    }

    pub(crate) fn server(&mut self, payload: impl AsRef<[u8]>) -> &mut Self {
        self.send(false, ACK, payload.as_ref())
    }

    /// Both ends close.
    pub(crate) fn close(&mut self) -> &mut Self {
        self.finish(false).finish(true)
    }

    pub(crate) fn finish(&mut self, from_client: bool) -> &mut Self {
        self.send(from_client, FIN | ACK, b"");
        let own = usize::from(!from_client);
        self.next[own] = self.next[own].wrapping_add(1);
        self
    }

    pub(crate) fn send(&mut self, from_client: bool, flags: u8, payload: &[u8]) -> &mut Self {
        let own = usize::from(!from_client);
        self.segments.push(Segment {
            client: self.client,
            from_client,
            flags,
            sequence: self.next[own],
            acknowledgement: self.next[1 - own],
            payload: payload.to_vec(),
            captured: payload.len(),
        });
        self.next[own] = self.next[own].wrapping_add(payload.len() as u32);
        self
    }
}

/// What is read of segments, in the order of their connections and places, and what was counted.
pub(crate) fn read(segments: &[Segment]) -> (Vec<Request>, Counts) {
    read_within(Limits::default(), segments)
}

pub(crate) fn read_within(limits: Limits, segments: &[Segment]) -> (Vec<Request>, Counts) {
    let mut reading = Reading::new(limits);
    for segment in segments {
        reading.take(segment);
    }
    reading.finish()
}

/// Requests being read of segments, a millisecond each.
pub(crate) struct Reading {
    tracker: Tracker,
    pub(crate) requests: Requests,
    /// As a replay reads them, where limits are the usual ones.
    only_firsts: Option<Requests>,
    number: usize,
}

impl Reading {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            tracker: Tracker::default(),
            only_firsts: (limits == Limits::default()).then(Requests::only_firsts),
            requests: Requests::new(limits).with_firsts(),
            number: 0,
        }
    }

    pub(crate) fn take(&mut self, segment: &Segment) {
        let (decoder, frame) = (Decoder::default(), segment.frame(self.number));
        let length = 40 + segment.payload.len() as u32;
        let packet = decoder.decode(RAW_IP, &frame, length).unwrap();
        let now = Timestamp(self.number as u64 * MILLISECOND);
        let observed = self.tracker.track(now, &packet).unwrap();
        let payload = decoder.payload(RAW_IP, &frame, length, &packet);
        assert_eq!(payload, &segment.payload[..segment.captured]);
        let whose = Whose::observed(&observed);
        self.requests.take(now, whose, &packet, || payload);
        if let Some(requests) = &mut self.only_firsts {
            requests.take(now, whose, &packet, || payload);
        }
        self.number += 1;
    }

    pub(crate) fn finish(mut self) -> (Vec<Request>, Counts) {
        self.requests.end_all();
        let mut requests = Vec::new();
        self.requests
            .finished(|request| requests.push(request.clone()));
        requests.sort_by_key(|request| (request.connection, request.number));
        let firsts: Vec<First> = self.requests.firsts().collect();
        if let Some(mut requests) = self.only_firsts {
            requests.end_all();
            assert!(requests.firsts().eq(firsts.iter().cloned()));
            assert_eq!(requests.memory(), 0);
        }
        let is_first = |request: &&Request| request.is_first;
        let known = firsts.iter().filter(|first| first.content.is_some());
        assert_eq!(known.count(), requests.iter().filter(is_first).count());
        // Whether known or not, it is told once of each connection.
        let connections: BTreeSet<u64> = firsts.iter().map(|first| first.connection).collect();
        assert_eq!(connections.len(), firsts.len());
        assert_eq!(self.requests.memory(), 0);
        (requests, self.requests.counts().clone())
    }
}

/// One line for each request: who asked what, how much, and what came of it. What is not whole has a
/// question mark.
pub(crate) fn lines(requests: &[Request]) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mark = |is_complete: bool| if is_complete { "" } else { "?" };
    let line = |request: &Request| match &request.content {
        Content::Http(http) => {
            let host = http.host().map_or("-".to_owned(), text);
            let response = http.response.map_or("-".to_owned(), |response| {
                let mark = mark(response.is_complete);
                format!("{} {}{mark}", response.status, response.bytes)
            });
            let first = if request.is_first { "first " } else { "" };
            format!(
                "{first}{} {} {host} {}{} -> {response}",
                http.method(),
                text(http.target()),
                http.bytes,
                mark(http.is_complete),
            )
        }
        Content::Tls(hello) => {
            let name = hello.server_name.as_deref().map_or("-".to_owned(), text);
            let protocols: Vec<String> = hello.protocols.iter().map(|name| text(name)).collect();
            format!("tls {name} {}", protocols.join(","))
        }
        Content::Quic(initial) => format!("quic {initial:?}"),
    };
    requests.iter().map(line).collect()
}

/// Segments as a capture, a second each.
fn capture(segments: &[Segment]) -> Vec<Vec<u8>> {
    capture_at((0..).zip(segments))
}

/// Segments as a capture, with their seconds: its header and its records.
pub(crate) fn capture_at<'a>(
    segments: impl IntoIterator<Item = (u32, &'a Segment)>,
) -> Vec<Vec<u8>> {
    let header = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101];
    let mut records = vec![header.iter().flat_map(|word| word.to_le_bytes()).collect()];
    for (number, (second, segment)) in segments.into_iter().enumerate() {
        let frame = segment.frame(number);
        let length = 40 + segment.payload.len() as u32;
        let words = [second, 0, frame.len() as u32, length];
        let mut record: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        record.extend(frame);
        records.push(record);
    }
    records
}

#[test]
fn a_capture_cut_at_any_byte_gives_every_request_that_is_whole_in_it() {
    let mut wire = Wire::open(50_000, [u32::MAX - 40, 7]);
    let requests = [
        "GET /one HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "POST /two HTTP/1.1\r\nHost: b.example\r\nContent-Length: 6\r\n\r\nabcdef",
        "GET /three HTTP/1.0\r\n\r\n",
    ];
    // Heads end in the middle of segments, and a segment ends two heads.
    let stream = requests.concat();
    let mut ends = Vec::new();
    let mut at = 0;
    for request in requests {
        ends.push(at + request.find("\r\n\r\n").unwrap() + 4);
        at += request.len();
    }
    let mut sent = 0;
    // Heads that are whole with each segment.
    let mut whole = vec![0; wire.segments.len()];
    for part in stream.as_bytes().chunks(31) {
        sent += part.len();
        wire.client(part);
        whole.push(ends.iter().filter(|&&end| end <= sent).count());
    }
    for _ in requests {
        wire.server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    whole.resize(wire.segments.len(), requests.len());
    let records = capture(&wire.segments);
    let file = records.concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcap");
    for cut in records[0].len()..=file.len() {
        fs::write(&path, &file[..cut]).unwrap();
        let mut taken = 0;
        let mut length = records[0].len();
        while taken < wire.segments.len() && length + records[taken + 1].len() <= cut {
            taken += 1;
            length += records[taken].len();
        }
        let expected = taken.checked_sub(1).map_or(0, |last| whole[last]);
        let sources = [Source::new(&path).unwrap()];
        let trace = Trace::open(&sources, Decoder::default(), Tracker::default()).unwrap();
        let mut trace = trace.with_requests(Requests::default());
        let mut batch = Vec::new();
        while trace.next_batch(&mut batch).unwrap() {}
        let mut found = Vec::new();
        let requests = trace.requests().unwrap();
        requests.finished(|request| found.push(request.clone()));
        let targets: Vec<&[u8]> = found
            .iter()
            .map(|request| request.http().unwrap().target())
            .collect();
        let all: [&[u8]; 3] = [b"/one", b"/two", b"/three"];
        assert_eq!(targets, all[..expected], "cut at {cut}");
    }
}
