//! Debian's compiler, for machines where rustup cannot fetch the target: its packages are unpacked
//! under `target`, nothing is installed and no rights are needed.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{finish, rust};

const VERSION: &str = "1.96";
const PACKAGES: [&str; 5] = [
    "rustc-web",
    "libstd-rust-web-1.96",
    "libstd-rust-web-dev",
    "libllvm22",
    "rust-web-src",
];

/// Fetches it if it is not there yet.
pub(super) fn compiler(root: &Path) -> Result<rust::Compiler> {
    let folder = root.join("target/debian-rust");
    let unpacked = folder.join("unpacked");
    if !unpacked.is_dir() {
        fetch(&folder, &unpacked).with_context(|| {
            format!(
                "rustup cannot add {}, and Debian's rustc-web {VERSION} cannot be had either",
                rust::TARGET
            )
        })?;
    }
    let rustc = unpacked.join("usr/bin/rustc");
    let libraries = unpacked.join("usr/lib/x86_64-linux-gnu");
    let environment = vec![
        ("RUSTC", rustc.clone().into_os_string()),
        ("RUSTC_BOOTSTRAP", OsString::from("1")),
        ("LD_LIBRARY_PATH", libraries.clone().into_os_string()),
    ];
    let version = finish(
        Command::new(&rustc)
            .arg("--version")
            .env("LD_LIBRARY_PATH", &libraries),
    )?;
    rust::Compiler::with_library_source(rust::first_line(&version), environment)
}

fn fetch(folder: &Path, unpacked: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    finish(
        Command::new("apt-get")
            .current_dir(folder)
            .arg("download")
            .args(PACKAGES),
    )?;
    // Under its name only when it is whole.
    let unfinished = folder.join("unfinished");
    fs::remove_dir_all(&unfinished).ok();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            finish(
                Command::new("dpkg-deb")
                    .arg("-x")
                    .arg(&path)
                    .arg(&unfinished),
            )?;
        }
    }
    fs::rename(&unfinished, unpacked)?;
    Ok(())
}
