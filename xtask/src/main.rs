//! Development tasks: `cargo xtask TASK`, one file each.

mod docs;
mod policies;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Development tasks of Equipoise.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Docs(docs::Arguments),
    Policies(policies::Arguments),
    Test(test::Arguments),
}

fn main() -> Result<ExitCode> {
    if policies::rustc::is_wanted() {
        return policies::rustc::run();
    }
    match Task::parse() {
        Task::Docs(arguments) => docs::run(&arguments)?,
        Task::Policies(arguments) => policies::run(&arguments)?,
        Task::Test(arguments) => test::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
