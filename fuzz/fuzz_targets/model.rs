//! A model of traffic of any bytes is refused with one line, or the capture that it makes is one:
//! every packet that was counted is read back, in the order of time.
#![no_main]

use std::ops::ControlFlow;

use equipoise_fuzz::assert_one_line;
use equipoise_replay::capture::Source;
use equipoise_replay::decode::Decoder;
use equipoise_replay::synth::{self, Model, SynthError};
use equipoise_replay::trace::Trace;
use equipoise_replay::track::{Retention, Tracker};
use libfuzzer_sys::fuzz_target;

/// As much as is read back in a moment.
const MOST_BYTES: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut model = match Model::parse("model.toml", text) {
        Ok(model) => model,
        Err(error) => return assert_one_line(&error.to_string()),
    };
    model.max_bytes = model.max_bytes.min(MOST_BYTES);
    let mut capture = Vec::new();
    let mut calls = 0;
    let written = synth::write(&model, &mut capture, &mut |_| {
        calls += 1;
        if calls > 1_000 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let written = match written {
        Ok(written) => written,
        Err(SynthError::Interrupted) => return,
        Err(error) => return assert_one_line(&error.to_string()),
    };
    assert_eq!(written.bytes, capture.len() as u64);
    let sources = [Source::from_bytes("made", capture)];
    let tracker = Tracker::new(Retention::FOR_EVER, None);
    let mut trace = Trace::open(&sources, Decoder::default(), tracker).expect("a capture");
    let mut batch = Vec::new();
    while trace.next_batch(&mut batch).expect("a whole capture") {}
    let totals = trace.totals();
    assert_eq!(totals.frames, written.packets);
    assert!(totals.skipped.is_empty());
    assert_eq!(totals.clock_steps_back, 0);
});
