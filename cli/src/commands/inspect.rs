//! `equipoise inspect`.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use equipoise_replay::capture::CaptureError;
use equipoise_replay::inspect::{self, Options, Outcome};
use equipoise_replay::shell;
use equipoise_reports::inspect::Inspection;
use equipoise_reports::table::{self, Colour};

use crate::args::{self, Inspect, InspectFormat, Part, Tunnels};
use crate::failure::{FAILED, Failure, say, unless_reader_left};
use crate::files::Inputs;
use crate::progress::Bar;

/// Columns where nobody says how many there are.
const WIDTH: usize = 100;

pub(crate) fn run(args: &Inspect) -> Result<ExitCode, Failure> {
    let decoder = args::decoder(args.tunnels, &args.tunnel_port)?;
    let inputs = Inputs::of(&args.captures, Vec::new())?;
    let options = Options {
        decoder,
        selection: args.part.selection()?,
        requests: args.requests,
        top: args.top as usize,
    };
    let mut bar = Bar::new();
    let outcome = inspect::inspect(&inputs.sources, options, &mut bar);
    let asked = bar.finish();
    let Outcome {
        mut inspection,
        suggested,
        capture_errors,
    } = outcome.map_err(Failure::input)?;
    inspection.replay = suggested.map(|service| replay_line(&service, args));
    tell(&inspection, &capture_errors);
    print(&inspection, args.format)?;
    Ok(if let Some(code) = asked {
        ExitCode::from(code)
    } else if capture_errors.is_empty() && !inputs.is_incomplete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// The command that replays one service of what was inspected, as it was given.
fn replay_line(service: &str, args: &Inspect) -> String {
    let mut words: Vec<&OsStr> = ["equipoise", "replay", "--service", service]
        .map(OsStr::new)
        .into();
    if matches!(args.tunnels, Some(Tunnels::Inner)) {
        words.extend(["--tunnels", "inner"].map(OsStr::new));
    }
    let ports = args.tunnel_port.iter();
    let ports: Vec<String> = ports.map(ToString::to_string).collect();
    for port in &ports {
        words.extend(["--tunnel-port", port].map(OsStr::new));
    }
    let part = part_options(&args.part);
    for (option, value) in &part {
        words.extend([option, value.as_str()].map(OsStr::new));
    }
    let is_option = |path: &std::path::PathBuf| {
        let bytes = path.as_os_str().as_encoded_bytes();
        bytes.len() > 1 && bytes.starts_with(b"-")
    };
    if args.captures.iter().any(is_option) {
        words.push(OsStr::new("--"));
    }
    words.extend(args.captures.iter().map(|path| path.as_os_str()));
    let quoted: Vec<String> = words.into_iter().map(shell::quoted).collect();
    quoted.join(" ")
}

/// The options that say which part of the captures was looked at.
fn part_options(part: &Part) -> Vec<(&'static str, String)> {
    let seed = part.sample.filter(|_| part.seed != 0).map(|_| part.seed);
    let options = [
        ("--from", part.from.map(|bound| bound.to_string())),
        ("--to", part.to.map(|bound| bound.to_string())),
        ("--sample", part.sample.map(|share| share.to_string())),
        ("--seed", seed.map(|seed| seed.to_string())),
    ];
    let given = options.into_iter();
    given
        .filter_map(|(option, value)| Some((option, value?)))
        .collect()
}

/// Warnings and failures go to standard error.
fn tell(inspection: &Inspection, errors: &[CaptureError]) {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let captures = inspection.captures.iter();
    let own = captures.flat_map(|capture| &capture.facts.warnings);
    let warnings = inspection.warnings.iter().filter(|&w| !errors.contains(w));
    for warning in warnings.chain(own) {
        say(&format!("warning: {warning}"));
    }
    for error in &errors {
        say(error);
    }
}

fn print(inspection: &Inspection, format: InspectFormat) -> Result<(), Failure> {
    let text = match format {
        InspectFormat::Table => table(inspection),
        InspectFormat::Json => inspection
            .to_json()
            .map_err(|error| Failure::input(format!("cannot write the inspection: {error}")))?,
    };
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    unless_reader_left(written.and_then(|()| stdout.flush()))
        .map_err(|error| Failure::output(&error))
}

fn table(inspection: &Inspection) -> String {
    let stdout = io::stdout();
    let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let colour = if stdout.is_terminal() && wants_colour {
        Colour::Ansi
    } else {
        Colour::Never
    };
    let width = terminal_size::terminal_size_of(stdout)
        .map_or(WIDTH, |(terminal_size::Width(width), _)| usize::from(width));
    table::inspect::render(inspection, width, colour)
}
