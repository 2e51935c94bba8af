//! `equipoise extract`.

use std::path::Path;
use std::process::ExitCode;

use equipoise_replay::decode::Decoder;
use equipoise_replay::table::{self, ExtractError, Extracted, Format, SEGMENT};

use crate::args::{Extract, TableFormat};
use crate::failure::{FAILED, Failure, USAGE, say};
use crate::files;
use crate::progress::{Bar, INTERRUPTED};

pub(crate) fn run(args: &Extract) -> Result<ExitCode, Failure> {
    let path = &args.out;
    let format = format(args)?;
    files::spare(args.captures.iter(), "-o", path)?;
    let sources = files::sources(&args.captures)?;
    let decoder = Decoder {
        tunnels: args.tunnels.into(),
        ..Decoder::default()
    };
    let mut bar = Bar::new();
    let extracted = files::write_whole(path, |file| {
        table::extract(&sources, decoder, format, file, &mut bar)
    });
    bar.finish();
    match extracted {
        Ok(extracted) => Ok(tell(&extracted)),
        Err(error) => failed(path, error),
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
fn tell(extracted: &Extracted) -> ExitCode {
    for warning in &extracted.warnings {
        say(&format!("warning: {warning}"));
    }
    for error in &extracted.capture_errors {
        say(&error.to_string());
    }
    if extracted.capture_errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

fn failed(path: &Path, error: ExtractError) -> Result<ExitCode, Failure> {
    Err(match error {
        // That whoever read it has gone is no error of theirs or ours.
        ExtractError::Write(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        ExtractError::Write(error) => Failure::writing(path, &error),
        ExtractError::Interrupted => Failure(
            format!("interrupted: {} was not written", path.display()),
            INTERRUPTED,
        ),
        other => Failure::input(other),
    })
}
