//! Stands between cargo and rustc while components are built, so that their bytes do not depend on
//! where the repository lies.
//!
//! Cargo tells packages apart by a hash (`-C metadata`) into which goes the absolute path of those
//! outside its workspace, as ours are for a component; and rustc orders a crate's data by that
//! hash. Here our crates get their names instead. Nothing else is touched.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Set where this program is to be rustc.
const MARK: &str = "EQUIPOISE_XTASK_IS_RUSTC";

/// What makes cargo call this program instead of rustc.
pub(super) fn environment() -> Result<[(&'static str, OsString); 2]> {
    let xtask = env::current_exe().context("finding this program")?;
    Ok([
        ("RUSTC_WRAPPER", xtask.into_os_string()),
        (MARK, OsString::from("1")),
    ])
}

/// Whether cargo called.
pub(crate) fn is_wanted() -> bool {
    env::var_os(MARK).is_some()
}

/// Calls rustc as cargo would have.
pub(crate) fn run() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let rustc = arguments.next().context("cargo named no rustc")?;
    let arguments: Vec<OsString> = arguments.collect();
    let status = Command::new(&rustc)
        .args(named(arguments))
        .status()
        .with_context(|| format!("running {}", rustc.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn named(arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments
        .iter()
        .skip_while(|argument| *argument != "--crate-name")
        .nth(1)
        .and_then(|name| name.to_str())
        .filter(|name| name.starts_with("equipoise_"))
        .map(|name| OsString::from(format!("metadata={name}")));
    let Some(name) = name else {
        return arguments;
    };
    let is_hash = |argument: &OsStr| {
        let text = argument.to_str();
        text.is_some_and(|text| text.starts_with("metadata="))
    };
    let rename = |argument: OsString| {
        if is_hash(&argument) {
            name.clone()
        } else {
            argument
        }
    };
    arguments.into_iter().map(rename).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;

    fn after(line: &str) -> String {
        let arguments = named(line.split(' ').map(OsString::from).collect());
        arguments.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn our_crates_alone_are_renamed() {
        assert_eq!(
            after("--crate-name equipoise_core -C metadata=1f -C extra-filename=-1f"),
            "--crate-name equipoise_core -C metadata=equipoise_core -C extra-filename=-1f"
        );
        let other = "--crate-name dlmalloc -C metadata=1f -C extra-filename=-1f";
        assert_eq!(after(other), other);
        assert_eq!(after("-vV"), "-vV");
    }
}
