//! `equipoise replay`.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use equipoise_replay::decode::Decoder;
use equipoise_replay::policy::Policies;
use equipoise_replay::replay::{self, Options, Outcome};
use equipoise_replay::setup::{self, Item, Setup};
use equipoise_reports::model::{self, Costs, Fault};
use equipoise_reports::table::{Colour, Style};
use equipoise_reports::{Report, output, runs, table};
use equipoise_wasm::{CodeCache, Engine, Limits};

use crate::args::{Format, Replay};
use crate::failure::{FAILED, Failure, say, unless_reader_left};
use crate::files;
use crate::progress::{Bar, INTERRUPTED};

pub(crate) fn run(args: Replay, items: Vec<Item>) -> Result<ExitCode, Failure> {
    if let Some(path) = &args.decisions {
        files::spare(args.captures.iter().chain(&args.rules), "--decisions", path)?;
    }
    let setup = Setup::assemble(&written(&args, items)?)?;
    let engine = Engine::new(Limits::default()).map_err(Failure::input)?;
    let mut policies = Policies::new(engine, cache(), setup.kernel, setup.switches);
    let sources = files::sources(&args.captures)?;
    let mut bar = Bar::new();
    let options = Options {
        time_scale: args.time_scale,
        seed: args.seed,
        threads: args.threads.map_or(0, usize::from),
        fallback: args.fallback,
        decisions: args.decisions.is_some(),
        decoder: Decoder {
            tunnels: args.tunnels.into(),
            ..Decoder::default()
        },
        ..Options::default()
    };
    let outcome = replay::replay(&sources, setup, &mut policies, &options, &mut bar);
    let is_interrupted = bar.finish();
    let outcome = outcome?;
    let failed = tell(&outcome);
    let Outcome {
        report, decisions, ..
    } = outcome;

    // Files first, so that a reader who leaves early does not cost them.
    if let Some((decisions, path)) = decisions.zip(args.decisions.as_deref()) {
        let written = files::write_whole(path, |file| decisions.write_to(BufWriter::new(file)));
        unless_reader_left(written).map_err(|error| Failure::writing(path, &error))?;
    }
    if let Some(folder) = &args.out {
        output::write_dir(folder, &report).map_err(Failure::input)?;
    }
    print(&report, args.format)?;
    Ok(if is_interrupted {
        ExitCode::from(INTERRUPTED)
    } else if failed {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

fn written(args: &Replay, items: Vec<Item>) -> Result<setup::Options, Failure> {
    let rules = match &args.rules {
        None => None,
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|error| {
                Failure::input(format!(
                    "{}: cannot read the rules: {error}",
                    path.display()
                ))
            })?;
            Some((path.display().to_string(), bytes))
        }
    };
    Ok(setup::Options {
        items,
        rules,
        persistent: args.persistent.clone(),
        one_packet: args.ops,
        timeouts: args.timeouts.clone(),
        sysctls: args.sysctl.clone(),
        kernel: args.kernel.clone(),
        policies: args.policy.clone(),
    })
}

/// Compiled components stay in the user's cache; without one they are compiled each time.
fn cache() -> Option<CodeCache> {
    let folder = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) if Path::new(&folder).is_absolute() => PathBuf::from(folder),
        _ => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    CodeCache::open(&folder.join("equipoise")).ok()
}

/// Warnings and failures go to standard error. Whether something failed.
fn tell(outcome: &Outcome) -> bool {
    let errors: Vec<String> = outcome
        .capture_errors
        .iter()
        .map(ToString::to_string)
        .collect();
    for warning in &outcome.report.warnings {
        if !errors.contains(warning) {
            say(&format!("warning: {warning}"));
        }
    }
    for capture in &outcome.report.trace.captures {
        for warning in &capture.warnings {
            say(&format!("warning: {warning}"));
        }
    }
    for run in &outcome.report.runs {
        if let Some(fault) = &run.fault {
            say(&fault_line(run, fault));
        }
    }
    for error in &errors {
        say(error);
    }
    outcome.has_ended_runs() || !outcome.capture_errors.is_empty()
}

/// What befell a policy, and what came of it.
fn fault_line(run: &model::Run, fault: &Fault) -> String {
    let place = fault.capture.as_ref().zip(fault.packet);
    let place = place.map_or_else(String::new, |(capture, packet)| {
        format!(" at {capture}, packet {packet}")
    });
    let what = format!(
        "policy {} for {}{place}: {}",
        run.policy, fault.service, fault.what
    );
    match fault.outcome {
        model::Outcome::Ended => {
            format!("{what}; its run ends there: mend it, or let --fallback NAME go on")
        }
        model::Outcome::Fallback => {
            let reasons = run.services.iter().map(|service| &service.reasons);
            let decided: u64 = reasons
                .filter_map(|reasons| reasons.get(&model::Reason::Fallback))
                .sum();
            format!("warning: {what}; the fallback decided {decided} connections")
        }
    }
}

fn print(report: &Report, format: Format) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = match format {
        Format::Table => stdout.write_all(table::render(report, style()).as_bytes()),
        Format::Json => match report.to_json(Costs::Omitted) {
            Ok(json) => stdout.write_all(json.as_bytes()),
            Err(error) => return Err(Failure::input(format!("cannot write the report: {error}"))),
        },
        Format::Csv => runs::write(report, Vec::new()).and_then(|csv| stdout.write_all(&csv)),
    };
    unless_reader_left(written.and_then(|()| stdout.flush()))
        .map_err(|error| Failure::output(&error))
}

/// What differs from run to run is shown to people only: redirected output can be compared.
fn style() -> Style {
    let is_terminal = io::stdout().is_terminal();
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let width = terminal_size::terminal_size_of(io::stdout());
    Style {
        width: width.map_or(100, |(terminal_size::Width(width), _)| usize::from(width)),
        colour: if colours { Colour::Ansi } else { Colour::Never },
        costs: if is_terminal {
            Costs::Included
        } else {
            Costs::Omitted
        },
    }
}
