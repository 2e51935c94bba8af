//! `equipoise policy`: what is in the box.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use equipoise_schedulers::registry;

use crate::failure::{Failure, unless_reader_left};

/// `equipoise policy list`.
pub(crate) fn list() -> Result<ExitCode, Failure> {
    let width = registry::all()
        .iter()
        .map(|entry| entry.name.len())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for entry in registry::all() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:width$}  {}", entry.name, entry.summary);
        for parameter in entry.parameters {
            let _ = writeln!(
                out,
                "{:width$}    {}: {} ({}, default {})",
                "",
                parameter.key,
                parameter.doc,
                parameter.accepts,
                parameter.accepts.default_text()
            );
        }
    }
    unless_reader_left(std::io::stdout().write_all(out.as_bytes()))
        .map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}
