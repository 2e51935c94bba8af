//! `equipoise replay`.

use std::fs;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use equipoise_replay::policy::Policies;
use equipoise_replay::replay::{self, Options, Outcome};
use equipoise_replay::scenario::Scenario;
use equipoise_replay::setup::{self, Item, PolicySource, Setup};
use equipoise_replay::{Decisions, DecisionsError};
use equipoise_reports::model::{self, Costs, Fault};
use equipoise_reports::output::OutputError;
use equipoise_reports::table::{Colour, Style};
use equipoise_reports::{Report, output, runs, table};
use equipoise_wasm::{CodeCache, Engine, Limits};

use crate::args::{self, Format, Replay};
use crate::failure::{FAILED, Failure, USAGE, say, unless_reader_left};
use crate::files::{self, Inputs};
use crate::progress::Bar;

pub(crate) fn run(args: Replay, items: Vec<Item>) -> Result<ExitCode, Failure> {
    for (option, path) in [("--decisions", &args.decisions), ("--out", &args.out)] {
        if path.as_deref() == Some(Path::new("-")) {
            let line = format!("{option} -: standard output has the report: name another place");
            return Err(Failure(line, USAGE));
        }
    }
    let decoder = args::decoder(args.tunnels, &args.tunnel_port)?;
    let setup = Setup::assemble(&written(&args, items)?)?;
    let scenario = args.scenario.as_deref().map(scenario).transpose()?;
    let engine = Engine::new(Limits::default()).map_err(Failure::input)?;
    let mut policies = Policies::new(engine, cache(), setup.kernel, setup.switches);
    let inputs = Inputs::of(&args.captures, others(&args, &setup))?;
    if let Some(path) = &args.decisions {
        inputs.spare("--decisions", path)?;
        if args
            .out
            .as_deref()
            .is_some_and(|folder| is_of_report(path, folder))
        {
            let line = format!(
                "--decisions {}: a file of --out has that name: name another one",
                path.display()
            );
            return Err(Failure(line, USAGE));
        }
        files::can_write(path).map_err(|error| Failure::writing(path, &error))?;
    }
    if let Some(folder) = &args.out {
        inputs.spare_in("--out", folder)?;
        files::can_write_into(folder).map_err(|source| {
            let path = folder.clone();
            Failure::input(OutputError::Directory { path, source })
        })?;
    }
    let mut bar = Bar::new();
    let options = Options {
        time_scale: args.time_scale,
        seed: args.part.seed,
        threads: args.threads.map_or(0, usize::from),
        fallback: args.fallback,
        decisions: args.decisions.is_some(),
        decoder,
        scenario,
        selection: args.part.selection()?,
        clients: args.clients,
        ..Options::default()
    };
    let outcome = replay::replay(&inputs.sources, setup, &mut policies, &options, &mut bar);
    let asked = bar.finish();
    let outcome = outcome?;
    let mut failed = tell(&outcome) || inputs.is_incomplete;
    let Outcome {
        report, decisions, ..
    } = outcome;

    // Files first, so that a reader who leaves early does not cost them; where one of them cannot
    // be written, the rest is none the worse for it.
    let mut outputs = Vec::new();
    if let Some((decisions, path)) = decisions.zip(args.decisions.as_deref()) {
        outputs.push(write_decisions(decisions, path));
    }
    if let Some(folder) = &args.out {
        let written = output::write_dir(folder, &report);
        outputs.push(written.map(|_| ()).map_err(Failure::input));
    }
    outputs.push(print(&report, args.format));
    // The table and the JSON say so themselves.
    if asked.is_some() && matches!(args.format, Format::Csv) {
        say("warning: interrupted: what is reported is of what was read by then");
    }
    for Failure(line, _) in outputs.into_iter().filter_map(Result::err) {
        say(&line);
        failed = true;
    }
    Ok(match asked {
        Some(code) => ExitCode::from(code),
        None if failed => ExitCode::from(FAILED),
        None => ExitCode::SUCCESS,
    })
}

/// Whether a report that is written into the folder would replace the file.
fn is_of_report(path: &Path, folder: &Path) -> bool {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let both = fs::canonicalize(parent)
        .ok()
        .zip(fs::canonicalize(folder).ok());
    let is_there = parent == folder || both.is_some_and(|(parent, folder)| parent == folder);
    let name = path.file_name().and_then(|name| name.to_str());
    let is_plot = path.extension().is_some_and(|ending| ending == "svg");
    is_there && (is_plot || matches!(name, Some("report.json" | "runs.csv" | "measured.json")))
}

fn write_decisions(decisions: Decisions, path: &Path) -> Result<(), Failure> {
    let written = files::write_whole(path, |file| decisions.write_to(BufWriter::new(file)));
    match written {
        Err(DecisionsError::Write(error)) => {
            unless_reader_left(Err(error)).map_err(|error| Failure::writing(path, &error))
        }
        other => other.map_err(Failure::input),
    }
}

/// What is read besides captures.
fn others(args: &Replay, setup: &Setup) -> Vec<PathBuf> {
    let policies = setup.policies.iter();
    let files = policies.filter_map(|policy| match &policy.source {
        PolicySource::File(path) => Some(path.clone()),
        PolicySource::Name(_) => None,
    });
    let own = args.rules.iter().chain(&args.scenario);
    files.chain(own.cloned()).collect()
}

fn scenario(path: &Path) -> Result<Scenario, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read(path)
        .map_err(|error| Failure::input(format!("{name}: cannot read the scenario: {error}")))?;
    Scenario::parse(&name, &text).map_err(Failure::input)
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
