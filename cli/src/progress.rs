//! A bar while the user waits, and the key with which he stops waiting.

use std::ops::ControlFlow;
use std::process;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use equipoise_replay::replay::{Phase, Progress, Watcher};
use indicatif::{ProgressBar, ProgressStyle};

/// Ended by the user: 128 and the number of SIGINT, as shells count.
pub(crate) const INTERRUPTED: u8 = 130;

/// What an interrupt means at present.
static STATE: AtomicU8 = AtomicU8::new(IDLE);
/// There is nothing to report yet.
const IDLE: u8 = 0;
const WATCHING: u8 = 1;
const ASKED_TO_END: u8 = 2;

/// From now on an interrupt ends a replay with a partial report, and everything else at once; so
/// does a second one. Without a handler the first would end everything, which is no worse.
pub(crate) fn catch_interrupts() {
    let _ = ctrlc::set_handler(|| {
        if STATE
            .compare_exchange(WATCHING, ASKED_TO_END, SeqCst, SeqCst)
            .is_err()
        {
            process::exit(i32::from(INTERRUPTED));
        }
    });
}

/// Draws the bar on standard error, if that is a terminal, and looks for interrupts.
pub(crate) struct Bar {
    bar: ProgressBar,
    phase: Option<Phase>,
}

impl Bar {
    pub(crate) fn new() -> Self {
        STATE.store(WATCHING, SeqCst);
        Self {
            // Hidden where standard error is no terminal.
            bar: ProgressBar::new(0),
            phase: None,
        }
    }

    /// Clears the bar. Whether the user asked to end.
    pub(crate) fn finish(self) -> bool {
        self.bar.finish_and_clear();
        STATE.swap(IDLE, SeqCst) == ASKED_TO_END
    }

    fn begin(&mut self, phase: Phase) {
        self.phase = Some(phase);
        let name = match phase {
            Phase::Survey => "looking for the service",
            Phase::Replay => "replaying",
            Phase::Inspection => "reading",
            Phase::Extract => "extracting",
        };
        let template = format!(
            "{name} {{wide_bar}} {{bytes}}/{{total_bytes}}, {{msg}}, {{binary_bytes_per_sec}}, {{eta}} left"
        );
        if let Ok(style) = ProgressStyle::with_template(&template) {
            self.bar.set_style(style);
        }
        self.bar.reset();
    }
}

impl Watcher for Bar {
    fn watch(&mut self, progress: &Progress) -> ControlFlow<()> {
        if self.phase != Some(progress.phase) {
            self.begin(progress.phase);
        }
        if !self.bar.is_hidden() {
            let seconds = progress.traffic_ns as f64 / 1e9;
            let packets = progress.packets;
            self.bar.set_length(progress.bytes_total);
            self.bar.set_position(progress.bytes_read);
            self.bar
                .set_message(format!("{packets} packets, {seconds:.0} s of traffic"));
        }
        if STATE.load(SeqCst) == ASKED_TO_END {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
