//! `cargo xtask docs`: the parts of README.md that are made from the registry of policies.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use equipoise_schedulers::registry;

const BEGIN: &str = "<!-- policies: made by cargo xtask docs -->\n";
const END: &str = "<!-- end of policies -->";

/// Write the table of policies into README.md
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing, and fail where something would change
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(&path).context("README.md")?;
    let (before, rest) = text
        .split_once(BEGIN)
        .context("README.md has no table of policies")?;
    let (_, after) = rest
        .split_once(END)
        .context("the table of policies has no end")?;
    let made = format!("{before}{BEGIN}{}{END}{after}", table());
    if arguments.check {
        ensure!(
            made == text,
            "README.md: the table of policies is old: run cargo xtask docs"
        );
    } else if made != text {
        fs::write(&path, made).context("README.md")?;
    }
    Ok(())
}

fn table() -> String {
    let mut table = String::from("| policy | decides by | parameters |\n|---|---|---|\n");
    for entry in registry::all() {
        let keys: Vec<String> = entry
            .parameters
            .iter()
            .map(|parameter| format!("`{}`", parameter.key))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} |",
            entry.name,
            entry.summary,
            keys.join(", ")
        );
    }
    table
}
