//! How time and memory grow with the number of connections, and with the number of runs.
//!
//! `cargo bench --package equipoise-replay --bench scale` goes to a million connections; with
//! `-- --full` to ten million, a million of them in the table at a time, for which it writes a
//! file of 6 GB. Each replay is a process of its own, so that its peak memory is its own.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

mod common;

use common::traffic::Traffic;
use common::{cpu, job};

/// Seconds for which an entry outlives its connection: `TIME_WAIT` of IPVS.
const LINGERS_S: u64 = 120;
const ANY: [&str; 3] = ["wlc", "rr", "sh"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, word, file, runs] = &arguments[..]
        && word == "--child"
    {
        return child(Path::new(file), runs.parse()?);
    }
    let is_full = arguments.iter().any(|argument| argument == "--full");
    let folder = tempfile::tempdir()?;
    println!("connections  concurrent   packets  runs   seconds  us/connection  peak MB");
    let longest = if is_full { 10_000_000 } else { 1_000_000 };
    // Ever more connections, and as many at a time.
    let mut connections = 10_000;
    while connections <= longest {
        row(folder.path(), connections, 10_000, &[1])?;
        connections *= 10;
    }
    // As many connections, and ever more at a time.
    let mut concurrent = 10_000;
    while concurrent < longest {
        let runs: &[usize] = if concurrent * 10 >= longest {
            &[1, 2, 3]
        } else {
            &[1]
        };
        row(folder.path(), longest, concurrent, runs)?;
        concurrent *= 10;
    }
    Ok(())
}

fn row(
    folder: &Path,
    connections: u64,
    concurrent: u64,
    runs: &[usize],
) -> Result<(), Box<dyn Error>> {
    let traffic = Traffic {
        connections,
        per_second: (concurrent / LINGERS_S).max(1),
        data_packets: 2,
        frame_length: 60,
    };
    let file = folder.join("made.pcap");
    traffic.write(&file)?;
    for &runs in runs {
        let begin = Instant::now();
        let output = Command::new(env::current_exe()?)
            .arg("--child")
            .arg(&file)
            .arg(runs.to_string())
            .output()?;
        let seconds = begin.elapsed().as_secs_f64();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let peak: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
        println!(
            "{connections:>11} {concurrent:>11} {:>9} {runs:>5} {seconds:>9.3} {:>14.2} {:>8.1}",
            traffic.packets(),
            seconds / connections as f64 * 1e6,
            peak as f64 / 1e6
        );
    }
    Ok(())
}

fn child(file: &Path, runs: usize) -> Result<(), Box<dyn Error>> {
    job::run(file, &ANY[..runs.min(ANY.len())], 1)?;
    println!("{}", cpu::peak_memory()?);
    Ok(())
}
