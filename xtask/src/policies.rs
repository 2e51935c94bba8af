//! `cargo xtask policies`: builds the components in `schedulers/components`, or checks that they
//! are what the sources give.

mod c;
mod debian;
mod manifest;
mod rust;
pub(crate) mod rustc;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use equipoise_schedulers::registry;

use self::manifest::{Manifest, Record};

/// Builds the policies into schedulers/components, with a manifest of their digests.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Policies to build; all without any. c/wlc is the one in C.
    names: Vec<String>,
    /// Builds into a temporary folder and compares with what is there: byte for byte if the
    /// compiler is the recorded one, else decision for decision, by the test `rebuilt`.
    #[arg(long)]
    check: bool,
}

/// What a name stands for.
enum Source {
    Rust,
    C,
}

/// One built component.
struct Built {
    bytes: Vec<u8>,
    compiler: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = root()?;
    let folder = root.join("schedulers/components");
    let mut manifest = Manifest::read(&folder)?;
    let mut rust = None;
    let rebuilt = tempfile::tempdir()?;
    let mut other_compilers = false;
    for (name, source) in sources(&arguments.names)? {
        let built = match source {
            Source::Rust => {
                if rust.is_none() {
                    rust = Some(rust::Compiler::find(&root)?);
                }
                rust.as_ref()
                    .context("no Rust compiler")?
                    .build(&root, &name)?
            }
            Source::C => match c::build(&root)? {
                Ok(built) => built,
                Err(reason) => {
                    println!("{name}: skipped, {reason}");
                    continue;
                }
            },
        };
        if arguments.check {
            if check(&folder, &manifest, &name, &built)? == Checked::OtherCompiler {
                put(rebuilt.path(), &name, &built.bytes)?;
                other_compilers = true;
            }
        } else {
            write(&folder, &mut manifest, &name, built)?;
        }
    }
    if other_compilers {
        compare_decisions(&root, rebuilt.path())?;
    }
    Ok(())
}

fn put(folder: &Path, name: &str, component: &[u8]) -> Result<()> {
    let path = component_path(folder, name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, component).with_context(|| format!("writing {}", path.display()))
}

fn write(folder: &Path, manifest: &mut Manifest, name: &str, built: Built) -> Result<()> {
    put(folder, name, &built.bytes)?;
    let record = Record::of(name, &built.bytes, built.compiler);
    println!("{name}: {} bytes, {}", record.bytes, record.sha256);
    manifest.put(record);
    manifest.write(folder)
}

/// What a comparison of bytes came to, where it found nothing wrong.
#[derive(PartialEq, Eq)]
enum Checked {
    Same,
    OtherCompiler,
}

fn check(folder: &Path, manifest: &Manifest, name: &str, built: &Built) -> Result<Checked> {
    let path = component_path(folder, name);
    let committed = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let record = manifest
        .get(name)
        .with_context(|| format!("{name} is not in the manifest: run cargo xtask policies"))?;
    ensure!(
        *record == Record::of(name, &committed, record.compiler.clone()),
        "{name}: size or digest is not the manifest's: run cargo xtask policies {name}"
    );
    if committed == built.bytes {
        println!("{name}: the same bytes");
        return Ok(Checked::Same);
    }
    ensure!(
        record.compiler != built.compiler,
        "{name}: the sources give other bytes: run cargo xtask policies {name}"
    );
    println!(
        "{name}: other bytes, since {} built it and {} is recorded",
        built.compiler, record.compiler
    );
    Ok(Checked::OtherCompiler)
}

/// Leaves it to a test whether the components in `rebuilt` decide as the committed ones. Tests
/// have a host for components, which these tasks do not have to compile.
fn compare_decisions(root: &Path, rebuilt: &Path) -> Result<()> {
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--workspace", "--locked", "--test", "rebuilt"])
        .args(["rebuilt_components", "--", "--nocapture"])
        .current_dir(root)
        .env("EQUIPOISE_REBUILT", rebuilt)
        .status()
        .context("starting cargo")?;
    ensure!(
        status.success(),
        "what the sources give decides otherwise: run cargo xtask policies"
    );
    Ok(())
}

fn sources(names: &[String]) -> Result<Vec<(String, Source)>> {
    if names.is_empty() {
        let rust = registry::all()
            .iter()
            .map(|entry| (entry.name.to_owned(), Source::Rust));
        return Ok(rust.chain([(c::NAME.to_owned(), Source::C)]).collect());
    }
    let source = |name: &String| {
        let source = match registry::find(name) {
            Some(_) => Source::Rust,
            None if name == c::NAME => Source::C,
            None => bail!("there is no policy `{name}`"),
        };
        Ok((name.clone(), source))
    };
    names.iter().map(source).collect()
}

fn component_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.wasm"))
}

fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().context("finding the repository")
}

/// Runs a command to its end; its output is the user's to see only if it fails.
fn finish(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("running {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_that_of_the_files() {
        let folder = root().unwrap().join("schedulers/components");
        let manifest = Manifest::read(&folder).unwrap();
        for (name, _) in sources(&[]).unwrap() {
            let record = manifest.get(&name).unwrap();
            let committed = fs::read(component_path(&folder, &name)).unwrap();
            let expected = Record::of(&name, &committed, record.compiler.clone());
            assert_eq!(*record, expected);
        }
    }
}
