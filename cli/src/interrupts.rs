//! Signals that ask to end, and what is cleared away then.
//!
//! The first one ends the reading of captures, so that there is a report of what was read; the next
//! one, or the first where nothing is being read, ends the command at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// The exit code that the first signal asked for, 0 while there was none.
static ASKED: AtomicU8 = AtomicU8::new(0);
/// Whether somebody looks at [`ASKED`].
static IS_WATCHED: AtomicBool = AtomicBool::new(false);
/// The file that is being written.
static TEMPORARY: Mutex<Option<PathBuf>> = Mutex::new(None);

/// From now on listens. Where that is not to be had, signals end everything, which is no worse.
pub(crate) fn catch() {
    // What it is set to is of no interest: caught, the signal becomes an error of the write.
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    let Ok(mut signals) = Signals::new(signals) else {
        return;
    };
    thread::spawn(move || {
        for signal in signals.forever() {
            // 128 and the number of the signal, as shells count.
            let code = 128 + signal.unsigned_abs() as u8;
            let is_first = ASKED.compare_exchange(0, code, SeqCst, SeqCst).is_ok();
            if !is_first || !IS_WATCHED.load(SeqCst) {
                remove_temporary();
                process::exit(i32::from(code));
            }
        }
    });
}

/// Until it is dropped, a first signal is left to whoever asks for it.
pub(crate) struct Watched(());

impl Watched {
    pub(crate) fn new() -> Self {
        IS_WATCHED.store(true, SeqCst);
        Self(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        IS_WATCHED.store(false, SeqCst);
    }
}

/// The exit code of whoever was asked to end.
pub(crate) fn asked() -> Option<u8> {
    match ASKED.load(SeqCst) {
        0 => None,
        code => Some(code),
    }
}

/// A file that is to have another name in the end: gone where the command ends before.
pub(crate) struct Temporary(());

impl Temporary {
    pub(crate) fn new(path: &Path) -> Self {
        set_temporary(Some(path.to_owned()));
        Self(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        set_temporary(None);
    }
}

fn set_temporary(path: Option<PathBuf>) {
    *TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner) = path;
}

fn remove_temporary() {
    let path = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*path {
        let _ = fs::remove_file(path);
    }
}

/// Whether the command was started with a signal ignored, as `nohup` does. Known on Linux.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
