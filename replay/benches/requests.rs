//! What reading requests costs: a trace read and tracked as a replay does it, without, with first
//! requests as a replay with such a policy reads them, and with all of them as `inspect` and
//! `extract` do; what that is of a whole replay with one policy; and a whole replay with a policy
//! that reads requests.
//!
//! `cargo bench --package equipoise-replay --bench requests`. Made traffic: connections kept alive
//! for ten requests of 400 bytes, answered with 1 to 10 KB in segments of 1,448 bytes, every second
//! of which is acknowledged. With the environment variable `EQUIPOISE_TRACES`, real captures too.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use equipoise_core::Settings;
use equipoise_replay::capture::Source;
use equipoise_replay::decode::Decoder;
use equipoise_replay::request::Requests;
use equipoise_replay::trace::Trace;
use equipoise_replay::track::{Holding, Retention, Tracker};

mod common;

use common::{cpu, job};

const CONNECTIONS: u32 = 20_000;
/// That are open at a time.
const AT_A_TIME: u32 = 2_000;
const REQUESTS_EACH: u32 = 10;
const SEGMENT: usize = 1_448;
const ROUNDS: usize = 5;
/// Real captures are small: read so often in a round.
const AGAIN: usize = 200;
const REAL: [&str; 5] = [
    "cs_http_espn.pcapng",
    "lucid_webddos.pcap",
    "ppp_example_337http.pcap",
    "zeek_http_1000req_v6lo.pcap",
    "zeek_wikipedia.pcap",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("made.pcap");
    write(&file)?;
    // The first replay compiles the policy.
    job::run(&file, &["wlc", "url_hash"], 1)?;
    let mut times: [Vec<f64>; 5] = Default::default();
    let mut read = Read::default();
    for _ in 0..ROUNDS {
        times[0].push(timed(|| Read::of(&[&file], None))?.0);
        times[1].push(timed(|| Read::of(&[&file], Some(Requests::only_firsts())))?.0);
        let (time, of_round) = timed(|| Read::of(&[&file], Some(Requests::default())))?;
        times[2].push(time);
        read = of_round;
        times[3].push(timed(|| job::run(&file, &["wlc"], 1))?.0);
        times[4].push(timed(|| job::run(&file, &["url_hash"], 1))?.0);
    }
    let [without, firsts, with, whole, reader] = times.map(median);
    let (packets, requests) = (read.packets as f64, read.requests as f64);
    println!("{packets} packets, {requests} requests, 16 servers, one thread, median of {ROUNDS}");
    let by_packet = |seconds: f64| seconds / packets * 1e9;
    println!(
        "read and tracked:               {:6.1} ns a packet",
        by_packet(without)
    );
    println!(
        "the same, with first requests:  {:6.1} ns a packet",
        by_packet(firsts)
    );
    println!(
        "the same, with all requests:    {:6.1} ns a packet",
        by_packet(with)
    );
    println!(
        "whole replay, wlc:              {:6.1} ns a packet",
        by_packet(whole)
    );
    println!(
        "whole replay, url_hash:         {:6.1} ns a packet",
        by_packet(reader)
    );
    println!(
        "first requests: {:.0} ns each; the whole replay {:.2} times (at most 1.30), with url_hash in place of wlc {:.2} times",
        (firsts - without) / f64::from(CONNECTIONS) * 1e9,
        (whole + firsts - without) / whole,
        reader / whole
    );
    println!(
        "all requests: {:.0} ns each; read and tracked {:.2} times, what a whole replay takes {:.2} times",
        (with - without) / requests * 1e9,
        with / without,
        (whole + with - without) / whole
    );
    match std::env::var_os("EQUIPOISE_TRACES") {
        Some(traces) => real(Path::new(&traces)),
        None => Ok(()),
    }
}

fn real(traces: &Path) -> Result<(), Box<dyn Error>> {
    let files: Vec<PathBuf> = REAL.map(|file| traces.join("pool").join(file)).into();
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let (mut without, mut with, mut read) = (Vec::new(), Vec::new(), Read::default());
    let again = |with_requests: bool| {
        let mut sum = Read::default();
        for _ in 0..AGAIN {
            // One after the other, for they are of different times.
            for file in &files {
                let read = Read::of(&[file], with_requests.then(Requests::default))?;
                sum.packets += read.packets;
                sum.requests += read.requests;
            }
        }
        Ok(sum)
    };
    for _ in 0..ROUNDS {
        without.push(timed(|| again(false))?.0);
        let (time, of_round) = timed(|| again(true))?;
        with.push(time);
        read = of_round;
    }
    let [without, with] = [without, with].map(median);
    println!(
        "real captures: {} packets, {} requests: read and tracked {:.2} times, {:.0} ns a request",
        read.packets,
        read.requests,
        with / without,
        (with - without) / read.requests as f64 * 1e9
    );
    Ok(())
}

#[derive(Default)]
struct Read {
    packets: u64,
    requests: u64,
}

impl Read {
    /// Reads and tracks as a replay does.
    fn of(files: &[&Path], requests: Option<Requests>) -> Result<Self, Box<dyn Error>> {
        let sources: Result<Vec<Source>, _> = files.iter().map(|file| Source::new(file)).collect();
        let holding = Holding::new(Settings::default().quiet_limit());
        let tracker = Tracker::new(Retention::default(), Some(holding));
        let mut trace = Trace::open(&sources?, Decoder::default(), tracker)?;
        if let Some(requests) = requests {
            trace = trace.with_requests(requests);
        }
        let (mut batch, mut requests) = (Vec::new(), 0);
        while trace.next_batch(&mut batch)? {
            std::hint::black_box(&batch);
            if let Some(read) = trace.requests() {
                read.finished(|_| requests += 1);
            }
            trace.ended().for_each(drop);
        }
        Ok(Self {
            packets: trace.totals().frames,
            requests,
        })
    }
}

fn timed<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(f64, T), Box<dyn Error>> {
    let begin = cpu::seconds()?.0;
    let result = work()?;
    Ok((cpu::seconds()?.0 - begin, result))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A connection while it is written.
struct Wire {
    client: (u32, u16),
    next: [u32; 2],
    /// What is still to be sent, the last first: whether by the client, flags, payload.
    script: Vec<(bool, u8, Vec<u8>)>,
}

const SYN: u8 = 2;
const FIN: u8 = 1;
const ACK: u8 = 16;

fn script(number: u32) -> Vec<(bool, u8, Vec<u8>)> {
    let mut script = vec![
        (true, SYN, vec![]),
        (false, SYN | ACK, vec![]),
        (true, ACK, vec![]),
    ];
    for request in 0..REQUESTS_EACH {
        let which = number.wrapping_mul(REQUESTS_EACH).wrapping_add(request);
        let mixed = which.wrapping_mul(0x9e37_79b9) >> 8;
        let mut head = format!(
            "GET /shop/{}/item-{mixed}.html?session={which:08x} HTTP/1.1\r\nHost: shop.example\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
             Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
             Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n\
             Connection: keep-alive\r\nCookie: a=",
            mixed % 100
        );
        while head.len() < 396 {
            head.push('c');
        }
        head.push_str("\r\n\r\n");
        script.push((true, ACK, head.into_bytes()));
        let length = 1_000 + mixed as usize % 9_000;
        let mut response = format!(
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\n\
             Content-Length: {length}\r\nConnection: keep-alive\r\nVary: Accept-Encoding\r\n\
             Cache-Control: max-age=60\r\n\r\n"
        )
        .into_bytes();
        response.resize(response.len() + length, b'.');
        for (place, segment) in response.chunks(SEGMENT).enumerate() {
            script.push((false, ACK, segment.to_vec()));
            if place % 2 == 1 {
                script.push((true, ACK, vec![]));
            }
        }
    }
    script.extend([
        (true, FIN | ACK, vec![]),
        (false, FIN | ACK, vec![]),
        (true, ACK, vec![]),
    ]);
    script.reverse();
    script
}

/// Writes a nanosecond pcap: of each open connection in turn a request with its response, which is
/// sent in a row, as servers send what fits into a first window.
fn write(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut at_ns = 1_700_000_000_000_000_000_u64;
    let mut number = 0_u16;
    for group in 0..CONNECTIONS / AT_A_TIME {
        let open = (0..AT_A_TIME).map(|place| {
            let place = group * AT_A_TIME + place;
            Wire {
                client: (0xc612_0000 + place, 40_000),
                next: [place, place],
                script: script(place),
            }
        });
        let mut open: Vec<Wire> = open.collect();
        while !open.is_empty() {
            for wire in &mut open {
                while let Some((from_client, flags, payload)) = wire.script.pop() {
                    at_ns += 10_000;
                    number = number.wrapping_add(1);
                    let packet = (from_client, flags, &payload[..]);
                    write_packet(&mut out, wire, (at_ns, number), packet)?;
                    let next = wire.script.last();
                    if next
                        .is_some_and(|(is_request, _, content)| *is_request && !content.is_empty())
                    {
                        break;
                    }
                }
            }
            open.retain(|wire| !wire.script.is_empty());
        }
    }
    out.flush()?;
    Ok(())
}

fn write_packet(
    out: &mut impl std::io::Write,
    wire: &mut Wire,
    (at_ns, number): (u64, u16),
    (from_client, flags, payload): (bool, u8, &[u8]),
) -> std::io::Result<()> {
    let server = (0x0a00_0001_u32, 80_u16);
    let (own, from, to) = if from_client {
        (0, wire.client, server)
    } else {
        (1, server, wire.client)
    };
    let length = 54 + payload.len() as u32;
    let seconds = (at_ns / 1_000_000_000) as u32;
    for word in [seconds, (at_ns % 1_000_000_000) as u32, length, length] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut frame = [0; 54];
    frame[12] = 8;
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&((length - 14) as u16).to_be_bytes());
    frame[18..20].copy_from_slice(&number.to_be_bytes());
    (frame[22], frame[23], frame[46], frame[47]) = (64, 6, 0x50, flags);
    frame[26..30].copy_from_slice(&from.0.to_be_bytes());
    frame[30..34].copy_from_slice(&to.0.to_be_bytes());
    frame[34..36].copy_from_slice(&from.1.to_be_bytes());
    frame[36..38].copy_from_slice(&to.1.to_be_bytes());
    frame[38..42].copy_from_slice(&wire.next[own].to_be_bytes());
    frame[42..46].copy_from_slice(&wire.next[1 - own].to_be_bytes());
    out.write_all(&frame)?;
    out.write_all(payload)?;
    let counted = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
    wire.next[own] = wire.next[own].wrapping_add(counted);
    Ok(())
}
