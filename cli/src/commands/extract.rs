//! `equipoise extract`.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use equipoise_replay::request::Counts;
use equipoise_replay::table::{self, ExtractError, Extracted, Format, Options, Rows, SEGMENT};

use crate::args::{self, Extract, TableFormat};
use crate::failure::{FAILED, Failure, USAGE, say};
use crate::files::{self, Inputs};
use crate::interrupts;
use crate::progress::Bar;

pub(crate) fn run(args: &Extract) -> Result<ExitCode, Failure> {
    let path = &args.out;
    let options = Options {
        decoder: args::decoder(args.tunnels, &args.tunnel_port)?,
        selection: args.part.selection()?,
        rows: if args.requests {
            Rows::Requests
        } else {
            Rows::Connections
        },
        format: format(args)?,
    };
    let is_text = options.format == Format::Csv;
    if files::is_stdout(path) && io::stdout().is_terminal() && !is_text {
        let line =
            "-o -: Parquet is nothing to read on a terminal: name a file, or give --format csv";
        return Err(Failure(line.to_owned(), USAGE));
    }
    let inputs = Inputs::of(&args.captures, Vec::new())?;
    inputs.spare("-o", path)?;
    if let Some(code) = interrupts::asked() {
        return Err(interrupted(path, code));
    }
    let mut bar = Bar::new();
    let extracted = files::write_whole(path, |file| {
        table::extract(&inputs.sources, options, file, &mut bar)
    });
    let asked = bar.finish();
    match extracted {
        Ok(extracted) => Ok(tell(&extracted, inputs.is_incomplete)),
        Err(error) => failed(path, error, asked),
    }
}

/// `--format`, or what the name of the file says.
fn format(args: &Extract) -> Result<Format, Failure> {
    let parquet = Format::Parquet { segment: SEGMENT };
    let suffix = args.out.extension().and_then(|suffix| suffix.to_str());
    match (args.format, suffix) {
        (Some(TableFormat::Parquet), _) | (None, Some("parquet")) => Ok(parquet),
        (Some(TableFormat::Csv), _) | (None, Some("csv")) => Ok(Format::Csv),
        (None, _) => Err(Failure(
            format!(
                "-o {}: a table is Parquet or CSV: end the name in .parquet or .csv, or give --format",
                args.out.display()
            ),
            USAGE,
        )),
    }
}

/// Warnings and failures go to standard error.
fn tell(extracted: &Extracted, is_incomplete: bool) -> ExitCode {
    for warning in &extracted.warnings {
        say(&format!("warning: {warning}"));
    }
    if let Some(unread) = extracted.requests.as_ref().and_then(unread) {
        say(&format!("warning: {unread}"));
    }
    for error in &extracted.capture_errors {
        say(&error.to_string());
    }
    if extracted.capture_errors.is_empty() && !is_incomplete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

/// What of requests was odd, given up or left out, as `inspect --requests` counts it.
fn unread(counts: &Counts) -> Option<String> {
    let reasons = counts.reasons.iter();
    let reasons: Vec<String> = reasons
        .map(|(reason, count)| format!("{reason} ({count})"))
        .collect();
    let told = format!("odd, given up or left out: {}", reasons.join(", "));
    (!reasons.is_empty()).then_some(told)
}

fn failed(path: &Path, error: ExtractError, asked: Option<u8>) -> Result<ExitCode, Failure> {
    Err(match error {
        // That whoever read it has gone is no error of theirs or ours.
        ExtractError::Write(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        ExtractError::Write(error) => Failure::writing(path, &error),
        ExtractError::Interrupted => interrupted(path, asked.unwrap_or(FAILED)),
        other => Failure::input(other),
    })
}

fn interrupted(path: &Path, code: u8) -> Failure {
    let what = if files::is_stdout(path) {
        "what was printed is not the whole table".to_owned()
    } else {
        format!("{} was not written", path.display())
    };
    Failure(format!("interrupted: {what}"), code)
}
