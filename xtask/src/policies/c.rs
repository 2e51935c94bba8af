//! The policy in C: clang for the object, rustc's own linker for the component.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Built, finish, rust};

/// Its name among the components.
pub(super) const NAME: &str = "c/wlc";

const CLANG: &str = "clang-19";

/// Builds it, or says why it cannot be built here.
pub(super) fn build(root: &Path) -> Result<Result<Built, &'static str>> {
    let Ok(version) = finish(Command::new(CLANG).arg("--version")) else {
        return Ok(Err("clang-19 is not installed (apt-get install clang-19)"));
    };
    let Some(linker) = rust::Linker::find()? else {
        return Ok(Err("rustc has no wasm-component-ld beside it"));
    };
    let folder = tempfile::tempdir()?;
    let object = folder.path().join("wlc.o");
    finish(
        Command::new(CLANG)
            .current_dir(root.join("schedulers/c"))
            .args(["--target=wasm32-unknown-unknown", "-std=c23", "-O2"])
            .args(["-Wall", "-Wextra", "-Wconversion", "-Werror"])
            .args(["-ffreestanding", "-mbulk-memory", "-c", "wlc.c", "-o"])
            .arg(&object),
    )?;
    let world = folder.path().join("world.wit");
    fs::write(&world, typed_world(root)?)?;
    let component = folder.path().join("wlc.wasm");
    finish(
        linker
            .command()
            .arg("--component-type")
            .arg(&world)
            .args(["--no-entry", "--gc-sections", "--strip-all"])
            .args(["-z", "stack-size=4096", "-o"])
            .arg(&component)
            .arg(&object),
    )?;
    Ok(Ok(Built {
        bytes: fs::read(component)?,
        compiler: rust::first_line(&version),
    }))
}

/// The linker takes one file with one world: the contract as a package within another, whose only
/// world is the typed one.
fn typed_world(root: &Path) -> Result<String> {
    let path = root.join("wit/0.1.0/policy.wit");
    let contract = fs::read_to_string(&path)?;
    let package = "package equipoise:policy@0.1.0";
    let (_, interfaces) = contract
        .split_once(&format!("{package};"))
        .with_context(|| format!("{} does not say `{package};`", path.display()))?;
    Ok(format!(
        "package local:wlc;\n\
         world component {{ include equipoise:policy/policy@0.1.0; }}\n\
         {package} {{{interfaces}}}\n"
    ))
}
