//! Whatever connections carry: requests are read within their memory, each is told once, and the
//! same streams in other segments give the same requests.
#![no_main]

use equipoise_core::{Address, FlowId, Packet, Protocol, TcpFlags, Timestamp};
use equipoise_replay::decode::Decoded;
use equipoise_replay::request::{Content, First, Limits, Request, Requests, Whose};
use equipoise_replay::track::Direction;
use libfuzzer_sys::fuzz_target;

const SYN: u8 = 2;
const ACK: u8 = 16;
/// Small, so that inputs reach them.
const LIMITS: Limits = Limits {
    head: 512,
    connection: 2_048,
    total: 8_192,
    search: 256,
};

// The first byte chooses between streams in two segmentations, segments at will, and a datagram.
fuzz_target!(|input: &[u8]| {
    let [kind, rest @ ..] = input else { return };
    match kind % 4 {
        0 | 1 => streams(u32::from(*kind) << 24, rest),
        2 => segments(rest),
        _ => datagram(rest),
    }
});

/// The second and third byte divide the rest into cuts, the client's stream and the server's.
fn streams(start: u32, input: &[u8]) {
    let [cuts, client, rest @ ..] = input else { return };
    let (cuts, rest) = rest.split_at(rest.len().min(usize::from(cuts % 16)));
    let (client, server) = rest.split_at(rest.len() * usize::from(*client) / 256);
    let mut whole = Reading::new(Limits::default());
    let mut parts = Reading::new(Limits::default());
    let starts = [start, !start];
    for reading in [&mut whole, &mut parts] {
        reading.take(Direction::ToServer, SYN, [starts[0].wrapping_sub(1), 0], b"", 0);
        let numbers = [starts[1].wrapping_sub(1), starts[0]];
        reading.take(Direction::ToClient, SYN | ACK, numbers, b"", 0);
    }
    let behind = starts[0].wrapping_add(client.len() as u32);
    for (direction, numbers, stream) in [
        (Direction::ToServer, starts, client),
        (Direction::ToClient, [starts[1], behind], server),
    ] {
        whole.take(direction, ACK, numbers, stream, 0);
        // Two by two in the wrong order, one byte of each twice.
        let mut pieces = Vec::new();
        let (mut at, mut sizes) = (0, cuts.iter().cycle());
        while at < stream.len() {
            let size = sizes.next().map_or(1, |&size| usize::from(size) + 1);
            let end = (at + size).min(stream.len());
            pieces.push((at, &stream[at..(end + 1).min(stream.len())]));
            at = end;
        }
        for pair in pieces.chunks(2) {
            for &(at, piece) in pair.iter().rev() {
                let sequence = numbers[0].wrapping_add(at as u32);
                parts.take(direction, ACK, [sequence, numbers[1]], piece, 0);
            }
        }
    }
    let [whole, parts] = [whole.finish(), parts.finish()];
    assert_eq!(told(&whole), told(&parts));
}

/// Each segment: who sends it with which flags, how far it is from where it should be, what it
/// acknowledges, how long it is and how much of that was not captured; then its bytes.
fn segments(input: &[u8]) {
    let mut reading = Reading::new(LIMITS);
    let mut next = [1_u32; 2];
    let mut rest = input;
    while let [flags, apart, behind, length, missing, content @ ..] = rest {
        let (direction, own) = match flags >> 7 {
            0 => (Direction::ToServer, 0),
            _ => (Direction::ToClient, 1),
        };
        let (bytes, others) = content.split_at(content.len().min(usize::from(*length)));
        rest = others;
        // Mostly in order, sometimes close, sometimes far.
        let apart = match apart {
            0..=127 => 0,
            128..=223 => (i32::from(*apart) - 176) as u32,
            _ => u32::from(*apart) << 24,
        };
        let sequence = next[own].wrapping_add(apart);
        let acknowledged = next[1 - own].wrapping_sub(u32::from(*behind));
        let missing = u32::from(*missing / 8);
        let length = bytes.len() as u32 + missing;
        next[own] = sequence
            .wrapping_add(length)
            .wrapping_add(u32::from(flags & SYN != 0));
        reading.take(direction, flags & 0x17, [sequence, acknowledged], bytes, missing);
        assert!(reading.requests.memory() <= LIMITS.total);
    }
    reading.finish();
}

fn datagram(bytes: &[u8]) {
    let mut reading = Reading::new(LIMITS);
    reading.protocol = Protocol::Udp;
    reading.take(Direction::ToServer, 0, [0, 0], bytes, 0);
    for request in reading.finish() {
        let Content::Quic(initial) = request.content else {
            panic!("{request:?}");
        };
        let ids = initial.destination_id.len() + initial.source_id.len();
        assert!(bytes[0] & 0x80 != 0 && ids + 7 <= bytes.len());
    }
}

struct Reading {
    requests: Requests,
    /// As a replay reads them.
    only_firsts: Requests,
    protocol: Protocol,
    now: u64,
    told: Vec<Request>,
}

impl Reading {
    fn new(limits: Limits) -> Self {
        Self {
            requests: Requests::new(limits).with_firsts(),
            only_firsts: Requests::new(limits).only_firsts(),
            protocol: Protocol::Tcp,
            now: 0,
            told: Vec::new(),
        }
    }

    fn take(
        &mut self,
        direction: Direction,
        flags: u8,
        [tcp_sequence, tcp_acknowledgement]: [u32; 2],
        bytes: &[u8],
        missing: u32,
    ) {
        let client = (Address::v4(0xc000_0201), 50_000);
        let server = (Address::v4(0x0a00_0001), 443);
        let (from, to) = match direction {
            Direction::ToServer => (client, server),
            Direction::ToClient => (server, client),
        };
        let payload_length = bytes.len() as u32 + missing;
        let decoded = Decoded {
            packet: Packet {
                source: from.0,
                destination: to.0,
                source_port: from.1,
                destination_port: to.1,
                protocol: self.protocol,
                flags: TcpFlags::from_bits_retain(flags),
                length: 40 + payload_length,
                mark: 0,
            },
            payload_length,
            tcp_sequence,
            tcp_acknowledgement,
            first_fragment: false,
            identification: 0,
        };
        let whose = Whose {
            connection: 1,
            flow: FlowId(0),
            direction: Some(direction),
        };
        self.now += 1;
        if Requests::wants(&decoded) {
            let now = Timestamp(self.now);
            self.requests.take(now, whose, &decoded, || bytes);
            self.only_firsts.take(now, whose, &decoded, || bytes);
        }
        self.requests.finished(|request| self.told.push(request.clone()));
    }

    fn finish(mut self) -> Vec<Request> {
        self.requests.end_all();
        self.only_firsts.end_all();
        self.requests.finished(|request| self.told.push(request.clone()));
        assert_eq!(self.requests.memory(), 0);
        let counts = self.requests.counts();
        let count = counts.http + counts.tls + counts.quic;
        assert_eq!(self.told.len() as u64, count);
        let answered = self.told.iter().filter_map(Request::http);
        let answered = answered.filter(|http| http.response.is_some());
        assert_eq!(answered.count() as u64, counts.responses);
        self.told.sort_by_key(|request| request.number);
        let numbers = self.told.iter().map(|request| request.number);
        assert!(numbers.eq(1..=count as u32));
        let firsts: Vec<First> = self.requests.firsts().collect();
        let known = firsts.iter().filter(|first| first.content.is_some());
        let is_first = self.told.iter().filter(|request| request.is_first);
        assert_eq!(known.count(), is_first.count());
        assert!(self.only_firsts.firsts().eq(firsts));
        self.told
    }
}

/// All but times.
fn told(requests: &[Request]) -> Vec<Request> {
    let mut told = requests.to_vec();
    for request in &mut told {
        request.time = Timestamp(0);
        if let Content::Http(http) = &mut request.content
            && let Some(response) = &mut http.response
        {
            (response.time, response.last) = (Timestamp(0), Timestamp(0));
        }
    }
    told
}
