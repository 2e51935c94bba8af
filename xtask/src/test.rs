//! `cargo xtask test`: installs what the tests need, then runs all of them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Install what the tests need (on Debian, as root) and run all of them: format, lints, every
/// crate, the kernel in its virtual machine, and that the built policies are what their sources
/// give.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out the kernel's virtual machine and everything that has to be installed
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = root();
    if !arguments.quick {
        step(
            "what the virtual machine needs",
            Command::new(root.join("tests/vm/setup.sh")),
        )?;
        step("clang", Command::new(root.join("schedulers/c/setup.sh")))?;
    }
    step("format", cargo(&["fmt", "--all", "--check"]))?;
    step(
        "lints",
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    let mut tests = cargo(&["test", "--workspace", "--locked"]);
    if arguments.quick {
        tests.args(["--", "--skip", "kernel_of"]);
    } else {
        // A machine that was set up for it must not skip it.
        tests.env("EQUIPOISE_NEEDS_KERNEL", "1");
    }
    step("tests", tests)?;
    step("built policies", cargo(&["xtask", "policies", "--check"]))
}

fn step(what: &str, mut command: Command) -> Result<()> {
    println!("\n== {what}");
    let status = command
        .current_dir(root())
        .status()
        .with_context(|| format!("{what}: {:?} does not start", command.get_program()))?;
    ensure!(status.success(), "{what}: {status}");
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
