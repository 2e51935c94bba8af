//! Processor time and peak memory, as Linux tells them.

use std::error::Error;
use std::fs;

/// Ticks of the times in `/proc/self/stat`: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time that this process took, and that its ended children took.
pub(crate) fn seconds() -> Result<(f64, f64), Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name may hold anything; the fields behind it do not.
    let fields = stat.rsplit_once(')').ok_or("no name in stat")?.1;
    let numbers: Vec<f64> = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [user, system, child_user, child_system] = numbers[..] else {
        return Err("too few fields in stat".into());
    };
    Ok((
        (user + system) / TICKS_PER_SECOND,
        (child_user + child_system) / TICKS_PER_SECOND,
    ))
}

/// The most memory that this process ever held, in bytes.
pub(crate) fn peak_memory() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM in status")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}
