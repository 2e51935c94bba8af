//! The `equipoise` command. Types of the command line in [`args`], one file for each command; no
//! logic of its own.
//!
//! Exit codes: 0 done, 1 the input or a policy failed, 2 wrong usage, 70 a bug of ours, 130
//! interrupted (143 by SIGTERM, 129 by SIGHUP).

mod args;
mod commands;
mod failure;
mod files;
mod interrupts;
mod progress;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Args, Command, PolicyCommand};
use failure::{Failure, SOFTWARE, say};

fn main() -> ExitCode {
    // The hook prints where it happened; this says whose fault it is.
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => failure.report(),
        Err(_) => {
            say("this is a bug in equipoise: please report it with the command line");
            ExitCode::from(SOFTWARE)
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let matches = Args::command().get_matches();
    // clap has checked them: this only names the fields.
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    interrupts::catch();
    files::allow_many();
    match args.command {
        Command::Replay(replay) => {
            let order = matches
                .subcommand_matches("replay")
                .map(args::items)
                .unwrap_or_default();
            commands::replay::run(*replay, order)
        }
        Command::Inspect(inspect) => commands::inspect::run(&inspect),
        Command::Extract(extract) => commands::extract::run(&extract),
        Command::Synth(synth) => commands::synth::run(&synth),
        Command::Policy {
            command: PolicyCommand::List,
        } => commands::policy::list(),
    }
}
