//! How fast a whole replay is: read, decode, track, decide with one policy and report, on one
//! thread, beside what `tcpdump -r FILE -w /dev/null` and `capinfos` take for the same file.
//!
//! `cargo bench --package equipoise-replay --bench replay`. The file is the bundled capture, played
//! many times with other client addresses. Peers that are not installed are left out.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use equipoise_replay::capture::Source;
use equipoise_replay::policy::Policies;
use equipoise_replay::replay::{Options, replay};
use equipoise_replay::setup::{Item, Options as Written, Setup};
use equipoise_wasm::{Engine, Limits};

const COPIES: u32 = 200;
const ROUNDS: usize = 5;
/// Header of a classic capture file, and of each record in it.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// The last two bytes of the source and destination address in an Ethernet frame of IPv4.
const ADDRESS_TAILS: [usize; 2] = [14 + 12 + 2, 14 + 16 + 2];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("long.pcap");
    let packets = lengthen(&shop(), &file)?;
    let bytes = fs::metadata(&file)?.len();
    println!(
        "{packets} packets, {} MB, one thread, median of {ROUNDS}",
        bytes / 1_000_000
    );

    let path = file.display().to_string();
    let peers: [(&str, Vec<&str>); 2] = [
        (
            "tcpdump -r FILE -w /dev/null",
            vec!["tcpdump", "-r", &path, "-w", "/dev/null"],
        ),
        ("capinfos FILE", vec!["capinfos", &path]),
    ];
    let mut ours = Vec::new();
    let mut theirs: Vec<Vec<Duration>> = vec![Vec::new(); peers.len()];
    // In turn, so that a machine that changes its speed changes it for all.
    for _ in 0..ROUNDS {
        ours.push(timed(|| whole_job(&file))?);
        for ((_, command), times) in peers.iter().zip(&mut theirs) {
            times.extend(timed(|| run(command)).ok());
        }
    }
    let own = median(&mut ours).ok_or("no round was timed")?;
    show("equipoise replay, wlc", own, packets, own);
    for ((name, _), times) in peers.iter().zip(&mut theirs) {
        match median(times) {
            Some(time) => show(name, time, packets, own),
            None => println!("{name:32} not installed"),
        }
    }
    Ok(())
}

fn shop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/capture/shop.pcap")
}

/// The capture over and over, each time with client addresses of its own and a later clock.
fn lengthen(capture: &Path, to: &Path) -> Result<u64, Box<dyn Error>> {
    let bytes = fs::read(capture)?;
    let (header, records) = bytes.split_at(FILE_HEADER);
    let mut out = BufWriter::new(File::create(to)?);
    out.write_all(header)?;
    let mut packets = 0;
    for copy in 0..COPIES {
        let mut rest = records;
        while rest.len() >= RECORD_HEADER {
            let word = |at: usize| -> Result<u32, Box<dyn Error>> {
                Ok(u32::from_le_bytes(rest[at..at + 4].try_into()?))
            };
            let (seconds, length) = (word(0)?, word(8)? as usize);
            let mut record = rest[..RECORD_HEADER + length].to_vec();
            record[..4].copy_from_slice(&(seconds + 40 * copy).to_le_bytes());
            for tail in ADDRESS_TAILS {
                change_client(&mut record[RECORD_HEADER..], tail, copy);
            }
            out.write_all(&record)?;
            packets += 1;
            rest = &rest[RECORD_HEADER + length..];
        }
    }
    out.flush()?;
    Ok(packets)
}

/// Clients are in 198.18.0.0/15; nothing else is touched.
fn change_client(frame: &mut [u8], tail: usize, copy: u32) {
    if frame.len() > tail + 1 && frame[12..14] == [8, 0] && frame[tail - 2] == 198 {
        let address = u16::from_be_bytes([frame[tail], frame[tail + 1]]);
        let moved = address.wrapping_add((copy as u16).wrapping_mul(257));
        frame[tail..=tail + 1].copy_from_slice(&moved.to_be_bytes());
    }
}

fn whole_job(file: &Path) -> Result<(), Box<dyn Error>> {
    let written = Written {
        items: vec![Item::Service("10.0.0.1:80".to_owned())],
        policies: vec!["wlc".to_owned()],
        ..Written::default()
    };
    let setup = Setup::assemble(&written)?;
    let engine = Engine::new(Limits::default())?;
    let mut policies = Policies::new(engine, None, setup.kernel, setup.switches);
    let options = Options {
        threads: 1,
        ..Options::default()
    };
    let outcome = replay(&[Source::new(file)?], setup, &mut policies, &options)?;
    let connections: u64 = outcome
        .report
        .runs
        .iter()
        .flat_map(|run| &run.services)
        .map(|s| s.connections)
        .sum();
    if connections == 0 {
        return Err("nothing was replayed".into());
    }
    Ok(())
}

fn run(command: &[&str]) -> Result<(), Box<dyn Error>> {
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", command[0]).into())
    }
}

fn timed(job: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let begin = Instant::now();
    job()?;
    Ok(begin.elapsed())
}

fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

fn show(name: &str, time: Duration, packets: u64, own: Duration) {
    let seconds = time.as_secs_f64();
    println!(
        "{name:32} {:7.3} s  {:6.2} M packets/s  {:5.0} ns/packet  takes {:.2} times ours",
        seconds,
        packets as f64 / seconds / 1e6,
        seconds / packets as f64 * 1e9,
        seconds / own.as_secs_f64()
    );
}
