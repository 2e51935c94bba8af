//! `equipoise inspect`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use equipoise_replay::capture::Source;
use equipoise_replay::decode::Decoder;
use equipoise_replay::inspect::{self, Options, Outcome};
use equipoise_reports::inspect::Inspection;
use equipoise_reports::table::{self, Colour};

use crate::args::{Inspect, InspectFormat, Tunnels};
use crate::failure::{FAILED, Failure, USAGE, say, unless_reader_left};
use crate::progress::{Bar, INTERRUPTED};

pub(crate) fn run(args: &Inspect) -> Result<ExitCode, Failure> {
    let sources = sources(&args.captures)?;
    let options = Options {
        decoder: Decoder {
            tunnels: args.tunnels.into(),
            ..Decoder::default()
        },
        top: args.top,
    };
    let mut bar = Bar::new();
    let outcome = inspect::inspect(&sources, options, &mut bar);
    let is_interrupted = bar.finish();
    let Outcome {
        mut inspection,
        capture_errors,
    } = outcome.map_err(Failure::input)?;
    inspection.replay = inspection
        .busiest
        .as_deref()
        .map(|service| replay_line(service, args));
    tell(&inspection, &capture_errors);
    print(&inspection, args.format)?;
    Ok(if is_interrupted {
        ExitCode::from(INTERRUPTED)
    } else if capture_errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}
