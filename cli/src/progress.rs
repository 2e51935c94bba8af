//! A bar while the user waits.

use std::ops::ControlFlow;
use std::time::Duration;

use equipoise_replay::replay::{Phase, Progress, Watcher};
use indicatif::{ProgressBar, ProgressStyle};

use crate::interrupts::{self, Watched};

/// Draws the bar on standard error, if that is a terminal, and looks for interrupts.
pub(crate) struct Bar {
    drawn: ProgressBar,
    phase: Option<Phase>,
    /// One that came before ended the input: what there is of it is read to its end.
    was_asked: bool,
    _watched: Watched,
}

impl Bar {
    pub(crate) fn new() -> Self {
        Self {
            // Hidden where standard error is no terminal.
            drawn: ProgressBar::new(0),
            phase: None,
            was_asked: interrupts::asked().is_some(),
            _watched: Watched::new(),
        }
    }

    /// Clears the bar. The exit code where the user asked to end.
    pub(crate) fn finish(self) -> Option<u8> {
        self.drawn.finish_and_clear();
        interrupts::asked()
    }

    fn begin(&mut self, progress: &Progress) {
        self.phase = Some(progress.phase);
        let name = match progress.phase {
            Phase::Survey => "looking for the service",
            Phase::Replay => "replaying",
            Phase::Inspection => "reading",
            Phase::Extract => "extracting",
        };
        // Two lines, each of which fits 80 columns whatever the capture.
        let template = format!(
            "{name} {{wide_bar}} {{percent}} %, {{eta}} left\n{{bytes}}/{{total_bytes}}, {{msg}}, {{binary_bytes_per_sec}}"
        );
        // Each of these may draw: what is left of an earlier phase goes first.
        self.drawn.reset();
        self.drawn.set_length(progress.bytes_total);
        if let Ok(style) = ProgressStyle::with_template(&template) {
            self.drawn.set_style(style);
        }
    }
}

/// While a pipe is kept, of which nobody knows the length.
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template(
            "{spinner} reading standard input or a pipe to its end, {elapsed}",
        );
        let drawn = ProgressBar::new_spinner();
        Self(match style {
            Ok(style) => drawn.with_style(style),
            Err(_) => drawn,
        })
    }

    /// Turns once something takes long.
    pub(crate) fn turn(&self) {
        if self.0.elapsed() > Duration::from_millis(500) {
            self.0.tick();
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Watcher for Bar {
    fn watch(&mut self, progress: &Progress) -> ControlFlow<()> {
        if self.phase != Some(progress.phase) {
            self.begin(progress);
        }
        if !self.drawn.is_hidden() {
            let seconds = progress.traffic_ns as f64 / 1e9;
            let packets = progress.packets;
            self.drawn.set_length(progress.bytes_total);
            self.drawn.set_position(progress.bytes_read);
            self.drawn
                .set_message(format!("{packets} packets, {seconds:.0} s of traffic"));
        }
        match interrupts::asked() {
            Some(_) if !self.was_asked => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}
