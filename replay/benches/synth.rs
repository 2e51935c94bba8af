//! How fast a model becomes a capture in a file, on one thread: beside writing the same bytes when
//! they are there already, and beside `tcpdump -r FILE -w COPY`, which only copies packets.
//!
//! `cargo bench --package equipoise-replay --bench synth`. Seconds are those of the processor, the
//! system's part in writing included. A peer that is not installed is left out.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use equipoise_replay::synth::{self, Model, Preset, Rate, Span, Written};

mod common;

use common::cpu;

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let long = |name: &str, seconds: f64| -> Result<Model, Box<dyn Error>> {
        let mut model = Preset::find(name)?.model()?;
        model.duration_s = Some(Span::try_from(seconds)?);
        Ok(model)
    };
    let mut busy = long("steady", 60.0)?;
    busy.arrivals.rate = Rate::try_from(1_000.0)?;
    let mut large = long("dual", 60.0)?;
    large.arrivals.rate = Rate::try_from(500.0)?;
    let mut flood = long("flood", 30.0)?;
    if let Some(flood) = &mut flood.flood {
        flood.rate = Rate::try_from(100_000.0)?;
    }
    for (name, model) in [
        ("packets", Preset::find("packets")?.model()?),
        ("reuse, 20 times as long", long("reuse", 2_400.0)?),
        ("steady, 1,000 connections a second", busy),
        ("dual, 500 connections a second", large),
        ("flood, 100,000 SYNs a second", flood),
    ] {
        measure(name, &model, folder.path())?;
    }
    Ok(())
}

fn measure(name: &str, model: &Model, folder: &Path) -> Result<(), Box<dyn Error>> {
    let (file, copy) = (folder.join("made.pcap"), folder.join("copy.pcap"));
    let (mut ours, mut plain, mut tcpdump) = (Vec::new(), Vec::new(), Vec::new());
    let mut written = None;
    // In turn, so that a machine that changes its speed changes it for all.
    for _ in 0..ROUNDS {
        let begin = cpu::seconds()?.0;
        written = Some(make(model, &file)?);
        ours.push(cpu::seconds()?.0 - begin);

        let bytes = fs::read(&file)?;
        let begin = cpu::seconds()?.0;
        let mut out = File::create(&copy)?;
        for piece in bytes.chunks(1 << 18) {
            out.write_all(piece)?;
        }
        plain.push(cpu::seconds()?.0 - begin);

        let begin = cpu::seconds()?.1;
        let status = Command::new("tcpdump")
            .arg("-r")
            .arg(&file)
            .arg("-w")
            .arg(&copy)
            .stderr(Stdio::null())
            .status();
        if status.is_ok_and(|status| status.success()) {
            tcpdump.push(cpu::seconds()?.1 - begin);
        }
    }
    let written = written.ok_or("no round was timed")?;
    println!(
        "{name}: {} packets of {} bytes on average, median of {ROUNDS}",
        written.packets,
        written.bytes / written.packets
    );
    let own = median(&mut ours).ok_or("no round was timed")?;
    for (what, times) in [
        ("equipoise synth", &mut ours),
        ("writing the same bytes", &mut plain),
        ("tcpdump -r FILE -w COPY", &mut tcpdump),
    ] {
        let Some(seconds) = median(times) else {
            println!("  {what:24} not installed");
            continue;
        };
        println!(
            "  {what:24} {seconds:6.2} s of CPU  {:6.2} M packets/s  {:6.0} MB/s  {:5.2} times ours",
            written.packets as f64 / seconds / 1e6,
            written.bytes as f64 / seconds / 1e6,
            seconds / own
        );
    }
    Ok(())
}

fn make(model: &Model, file: &Path) -> Result<Written, Box<dyn Error>> {
    let file = File::create(file)?;
    Ok(synth::write(model, file, &mut |_| {
        ControlFlow::Continue(())
    })?)
}

fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}
