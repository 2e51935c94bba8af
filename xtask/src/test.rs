//! `cargo xtask test`: installs what the tests need, then runs all of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

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
    // Rustfmt does not see files that the build script lists.
    let mut policies = Command::new("rustfmt");
    policies
        .args(["--check", "--edition", "2024"])
        .args(sources("schedulers/src/policies")?);
    step("format of the policies", policies)?;
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
    step("generated text", cargo(&["xtask", "docs", "--check"]))?;
    step("built policies", cargo(&["xtask", "policies", "--check"]))
}

fn step(what: &str, mut command: Command) -> Result<()> {
    println!("\n== {what}");
    let status = command
        .current_dir(root())
        .status()
        .with_context(|| format!("{what}: {} does not start", command.get_program().display()))?;
    ensure!(status.success(), "{what}: {status}");
    Ok(())
}

fn sources(folder: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root().join(folder)).with_context(|| folder.to_owned())?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
