//! `equipoise synth`: its part of the command line, and the command.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of options are help texts, which show no backticks"
)]

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgGroup;
use equipoise_replay::synth::{
    self, Model, PRESETS, Preset, Rate, Share, Span, SynthError, Written,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::{FAILED, Failure, USAGE, unless_reader_left};
use crate::files::{self, Inputs};
use crate::interrupts::{self, Watched};

/// Write a capture from a model of traffic
///
/// A model is TOML (docs/synth.md has its keys) or a preset. It tells when connections begin, from
/// whom, and what HTTP/1.1 requests and responses they carry. The capture is a pcap with
/// nanoseconds, in the order of time, and the same bytes for the same model on every machine.
///
/// The file appears whole or not at all: an interrupt leaves none.
///
/// Exit codes: 0 done, 1 the model is wrong or the capture cannot be written, 2 wrong usage, 130
/// interrupted (143 by SIGTERM, 129 by SIGHUP).
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[command(group(ArgGroup::new("source").args(["model", "preset", "list_presets", "show_preset"]).required(true)))]
pub(crate) struct Synth {
    /// The model; `-` is standard input
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,

    // What is exclusive waives it.
    /// The capture to write; `-` is standard output
    #[arg(short, long, value_name = "FILE", required = true)]
    out: Option<PathBuf>,

    /// A model in the box in place of a file
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,

    /// List the presets and write nothing
    #[arg(long, exclusive = true)]
    list_presets: bool,

    /// Print the model of a preset, to begin one's own with, and write nothing
    #[arg(long, value_name = "NAME", exclusive = true)]
    show_preset: Option<String>,

    /// Seed of everything random, in place of the model's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Seconds in which connections begin, in place of the model's duration_s
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    duration: Option<Span>,

    /// Connections at most, in place of the model's
    #[arg(long, value_name = "N")]
    connections: Option<u64>,

    /// Connections a second, in place of the model's arrivals.rate
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    rate: Option<Rate>,

    /// Share of connections by IPv6, in place of the model's clients.ipv6_share
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    ipv6_share: Option<Share>,

    /// The most bytes that the capture may have, in place of the model's max_bytes
    #[arg(long, value_name = "N")]
    max_bytes: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  equipoise synth --preset flash -o flash.pcap
  equipoise synth --preset steady --rate 500 --seed 7 -o - | equipoise inspect -
  equipoise synth --show-preset steady > mine.toml; equipoise synth mine.toml -o mine.pcap";

/// Steps of the bar.
const WHOLE: u64 = 10_000;

pub(crate) fn run(args: &Synth) -> Result<ExitCode, Failure> {
    if args.list_presets {
        return print(&list());
    }
    if let Some(name) = &args.show_preset {
        return print(Preset::find(name).map_err(usage)?.text);
    }
    let Some(path) = args.out.as_deref() else {
        return Err(Failure(
            "name the capture to write: -o FILE".to_owned(),
            USAGE,
        ));
    };
    if files::is_stdout(path) && io::stdout().is_terminal() {
        let line = "-o -: a capture is nothing to read on a terminal: name a file";
        return Err(Failure(line.to_owned(), USAGE));
    }
    let model = model(args)?;
    // Before a file is opened that could not be filled.
    model.check().map_err(Failure::input)?;
    Inputs::of(&[], args.model.clone().into_iter().collect())?.spare("-o", path)?;
    let bar = Bar::new();
    let written = files::write_whole(path, |file| {
        synth::write(&model, file, &mut |written| bar.watch(written))
    });
    match (written, bar.finish()) {
        (Ok(_), _) => Ok(ExitCode::SUCCESS),
        (Err(error), asked) => failed(path, error, asked),
    }
}

fn list() -> String {
    let width = PRESETS.iter().map(|preset| preset.name.len()).max();
    let width = width.unwrap_or_default();
    let mut out = String::new();
    for preset in PRESETS {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:width$}  {}", preset.name, preset.summary());
    }
    out
}

fn print(text: &str) -> Result<ExitCode, Failure> {
    unless_reader_left(io::stdout().write_all(text.as_bytes()))
        .map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// What is written, options in place of keys.
fn model(args: &Synth) -> Result<Model, Failure> {
    let mut model = match (&args.preset, &args.model) {
        (Some(name), _) => {
            let preset = Preset::find(name).map_err(usage)?;
            preset.model().map_err(Failure::input)?
        }
        (None, Some(path)) => {
            let (name, text) = read(path)?;
            Model::parse(&name, &text).map_err(Failure::input)?
        }
        (None, None) => Model::default(),
    };
    model.seed = args.seed.unwrap_or(model.seed);
    model.duration_s = args.duration.or(model.duration_s);
    model.connections = args.connections.or(model.connections);
    model.arrivals.rate = args.rate.unwrap_or(model.arrivals.rate);
    model.clients.ipv6_share = args.ipv6_share.unwrap_or(model.clients.ipv6_share);
    model.max_bytes = args.max_bytes.unwrap_or(model.max_bytes);
    Ok(model)
}

fn read(path: &Path) -> Result<(String, String), Failure> {
    let (name, text) = if files::is_stdout(path) {
        ("standard input".to_owned(), io::read_to_string(io::stdin()))
    } else {
        (path.display().to_string(), std::fs::read_to_string(path))
    };
    match text {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(Failure::input(format!(
            "{name}: cannot read the model: {error}"
        ))),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that map_err takes it by name"
)]
fn usage(error: SynthError) -> Failure {
    Failure(format!("{error} (equipoise synth --list-presets)"), USAGE)
}

fn failed(path: &Path, error: SynthError, asked: Option<u8>) -> Result<ExitCode, Failure> {
    Err(match error {
        // That whoever read it has gone is no error of theirs or ours.
        SynthError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        SynthError::Write(error) => Failure::writing(path, &error),
        SynthError::Interrupted => {
            let what = if files::is_stdout(path) {
                "what was printed is not the whole capture".to_owned()
            } else {
                format!("{} was not written", path.display())
            };
            Failure(format!("interrupted: {what}"), asked.unwrap_or(FAILED))
        }
        other => Failure::input(other),
    })
}

/// A bar while the user waits, on standard error where that is a terminal; looks for interrupts.
struct Bar {
    drawn: ProgressBar,
    _watched: Watched,
}

impl Bar {
    fn new() -> Self {
        let drawn = ProgressBar::new(WHOLE);
        let template = "writing {wide_bar} {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            drawn.set_style(style);
        }
        Self {
            drawn,
            _watched: Watched::new(),
        }
    }

    fn watch(&self, written: &Written) -> ControlFlow<()> {
        if !self.drawn.is_hidden() {
            #[expect(clippy::cast_sign_loss, reason = "a part is not negative")]
            let position = (written.part * WHOLE as f64) as u64;
            self.drawn.set_position(position);
            let (packets, megabytes) = (written.packets, written.bytes / 1_000_000);
            self.drawn
                .set_message(format!("{packets} packets, {megabytes} MB"));
        }
        match interrupts::asked() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    /// Clears the bar. The exit code where the user asked to end.
    fn finish(self) -> Option<u8> {
        self.drawn.finish_and_clear();
        interrupts::asked()
    }
}
