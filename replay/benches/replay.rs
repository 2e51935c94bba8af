//! How fast a whole replay is: read, decode, track, decide and report, beside what `tcpdump -r
//! FILE -w /dev/null`, `capinfos` and `tshark -q -z conv,tcp` take for the same file; and what
//! further policies cost in the same run.
//!
//! `cargo bench --package equipoise-replay --bench replay`. Made traffic: frames of 120 bytes, 20
//! packets a connection and more, 20,000 packets a second, for longer than entries outlive their
//! connections (120 s), so that as many of them end as begin. Peers that are not installed are left
//! out.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use equipoise_schedulers::registry;

mod common;

use common::traffic::Traffic;
use common::{cpu, job};

/// Packets of all connections together.
const PACKETS: u64 = 4_000_000;
const PACKETS_A_SECOND: u64 = 20_000;
/// Of a connection, in what is measured in turn. TCP connections of real captures have 34 in the
/// mean, one of a SYN flood aside (4,520 connections of 24 captures).
const LENGTHS: [u64; 4] = [20, 34, 100, 1_000];
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    for packets_each in LENGTHS {
        let traffic = Traffic {
            connections: PACKETS / packets_each,
            per_second: PACKETS_A_SECOND / packets_each,
            data_packets: packets_each - 6,
            frame_length: 120,
        };
        let file = folder.path().join("made.pcap");
        traffic.write(&file)?;
        println!(
            "{} packets of {} bytes, {} connections of {packets_each}, 16 servers, median of {ROUNDS}",
            traffic.packets(),
            traffic.frame_length,
            traffic.connections
        );
        // The first replay compiles the policies.
        job::run(&file, &names(), 2)?;
        beside_peers(&file, &traffic)?;
        further_policies(&file, &traffic)?;
        all_policies(&file)?;
    }
    Ok(())
}

/// Processor time of one policy on one thread, and of each peer.
fn beside_peers(file: &Path, traffic: &Traffic) -> Result<(), Box<dyn Error>> {
    let path = file.display().to_string();
    let peers: [(&str, Vec<&str>, usize); 3] = [
        (
            "tcpdump -r FILE -w /dev/null",
            vec!["tcpdump", "-r", &path, "-w", "/dev/null"],
            ROUNDS,
        ),
        ("capinfos FILE", vec!["capinfos", &path], ROUNDS),
        // Slow enough that one round tells.
        (
            "tshark -q -z conv,tcp -r FILE",
            vec!["tshark", "-q", "-z", "conv,tcp", "-r", &path],
            1,
        ),
    ];
    let mut ours = Vec::new();
    let mut theirs: Vec<Vec<f64>> = vec![Vec::new(); peers.len()];
    // In turn, so that a machine that changes its speed changes it for all.
    for round in 0..ROUNDS {
        let begin = cpu::seconds()?.0;
        job::run(file, &["wlc"], 1)?;
        ours.push(cpu::seconds()?.0 - begin);
        for ((_, command, rounds), times) in peers.iter().zip(&mut theirs) {
            if round < *rounds {
                let begin = cpu::seconds()?.1;
                if run(command).is_ok() {
                    times.push(cpu::seconds()?.1 - begin);
                }
            }
        }
    }
    let own = median(&mut ours).ok_or("no round was timed")?;
    show("equipoise replay, wlc, 1 thread", traffic, own, own);
    for ((name, ..), times) in peers.iter().zip(&mut theirs) {
        match median(times) {
            Some(time) => show(name, traffic, time, own),
            None => println!("{name:34} not installed"),
        }
    }
    Ok(())
}

/// What the second to the fifth policy cost, by the packet and by the connection.
fn further_policies(capture: &Path, traffic: &Traffic) -> Result<(), Box<dyn Error>> {
    const FURTHER: [&str; 4] = ["rr", "wrr", "lc", "sed"];
    let (mut one, mut five) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = cpu::seconds()?.0;
        job::run(capture, &["wlc"], 1)?;
        let middle = cpu::seconds()?.0;
        let all: Vec<&str> = std::iter::once("wlc").chain(FURTHER).collect();
        job::run(capture, &all, 1)?;
        one.push(middle - begin);
        five.push(cpu::seconds()?.0 - middle);
    }
    let both = median(&mut one).zip(median(&mut five));
    let (one, five) = both.ok_or("no round was timed")?;
    let each = (five - one) / FURTHER.len() as f64;
    println!(
        "each further policy: {:.0} ns a connection with its {} packets (3 ns a packet and 300 ns a connection make {})",
        each / traffic.connections as f64 * 1e9,
        traffic.packets_each(),
        3 * traffic.packets_each() + 300,
    );
    Ok(())
}

/// Wall time of all policies on two threads beside one on one.
fn all_policies(file: &Path) -> Result<(), Box<dyn Error>> {
    let all = names();
    let (mut one, mut every) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        job::run(file, &["wlc"], 1)?;
        one.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        job::run(file, &all, 2)?;
        every.push(begin.elapsed().as_secs_f64());
    }
    let both = median(&mut one).zip(median(&mut every));
    let (one, every) = both.ok_or("no round was timed")?;
    println!(
        "all {} policies on 2 threads: {:.2} times the wall time of one on one",
        all.len(),
        every / one
    );
    Ok(())
}

fn names() -> Vec<&'static str> {
    let all = registry::all().iter();
    all.filter(|entry| !entry.reads_requests)
        .map(|entry| entry.name)
        .collect()
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

fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn show(name: &str, traffic: &Traffic, seconds: f64, own: f64) {
    let packets = traffic.packets() as f64;
    println!(
        "{name:34} {seconds:7.3} s of CPU  {:6.2} M packets/s  {:5.0} ns/packet  {:6.2} times ours",
        packets / seconds / 1e6,
        seconds / packets * 1e9,
        seconds / own
    );
}
