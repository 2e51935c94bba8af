//! `cargo xtask policies`: builds the components in `schedulers/components`, or checks that they
//! are what the sources give.

mod c;
mod compare;
mod debian;
mod manifest;
mod rust;
pub(crate) mod rustc;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use equipoise_core::{Parameter, Policy};
use equipoise_schedulers::registry::{self, Entry};
use equipoise_wasm::{ComponentPolicy, Engine, Limits};

use self::manifest::{Manifest, Record};

/// Decisions that two components of different compilers must have in common.
const COMPARED_STEPS: usize = 20_000;

/// Builds the policies into schedulers/components, with a manifest of their digests.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Policies to build; all without any. c/wlc is the one in C.
    names: Vec<String>,
    /// Builds into a temporary folder and compares with what is there: byte for byte if the
    /// compiler is the recorded one, else decision for decision.
    #[arg(long)]
    check: bool,
}

/// What a name stands for.
enum Source {
    Rust(&'static Entry),
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
    for (name, source) in sources(&arguments.names)? {
        let built = match source {
            Source::Rust(_) => {
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
            check(&folder, &manifest, &name, &source, &built)?;
        } else {
            write(&folder, &mut manifest, &name, built)?;
        }
    }
    Ok(())
}

fn write(folder: &Path, manifest: &mut Manifest, name: &str, built: Built) -> Result<()> {
    let path = component(folder, name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, &built.bytes).with_context(|| format!("writing {}", path.display()))?;
    let record = Record::of(name, &built.bytes, built.compiler);
    println!("{name}: {} bytes, {}", record.bytes, record.sha256);
    manifest.put(record);
    manifest.write(folder)
}

fn check(
    folder: &Path,
    manifest: &Manifest,
    name: &str,
    source: &Source,
    built: &Built,
) -> Result<()> {
    let path = component(folder, name);
    let committed = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let record = manifest
        .get(name)
        .with_context(|| format!("{name} is not in the manifest: run cargo xtask policies"))?;
    ensure!(
        *record == Record::of(name, &committed, record.compiler.clone()),
        "{name}: size or digest is not the manifest's: run cargo xtask policies {name}"
    );
    if record.compiler == built.compiler {
        ensure!(
            committed == built.bytes,
            "{name}: the sources give other bytes: run cargo xtask policies {name}"
        );
        println!("{name}: the same bytes");
        return Ok(());
    }
    let entry = match source {
        Source::Rust(entry) => *entry,
        Source::C => registry::find("wlc").context("wlc is not among the policies")?,
    };
    let decisions = same_decisions(entry, &committed, Some(&built.bytes))?;
    println!(
        "{name}: the same {decisions} decisions (built by {}, recorded is {})",
        built.compiler, record.compiler
    );
    Ok(())
}

/// Compares a component, and another build of it, with the native twin.
fn same_decisions(entry: &Entry, committed: &[u8], built: Option<&[u8]>) -> Result<usize> {
    let engine = Engine::new(Limits::default())?;
    let mut components = vec![ComponentPolicy::load(
        &engine,
        committed,
        "the committed one",
    )?];
    if let Some(built) = built {
        components.push(ComponentPolicy::load(&engine, built, "the one just built")?);
    }
    let others: Vec<(&str, &dyn Policy)> = components
        .iter()
        .map(|component| (component.name(), component as &dyn Policy))
        .collect();
    let mut decisions = 0;
    for parameters in variants(entry) {
        for seed in 0..4 {
            decisions += compare::alike(entry.native, &others, &parameters, seed, COMPARED_STEPS)
                .with_context(|| format!("{} with {parameters:?}", entry.name))?;
        }
    }
    Ok(decisions)
}

/// No parameters, and every one of them with something else than its default.
fn variants(entry: &Entry) -> Vec<Vec<Parameter>> {
    use equipoise_schedulers::sdk::Accepts;
    let mut variants = vec![Vec::new()];
    for spec in entry.parameters {
        let value = match spec.accepts {
            Accepts::Switch => String::from("true"),
            Accepts::Number { min, max, default } => {
                (if default == min { max } else { min }).to_string()
            }
            Accepts::OneOf(words) => words.last().copied().unwrap_or_default().to_owned(),
        };
        let key = spec.key.to_owned();
        variants.push(vec![Parameter { key, value }]);
    }
    variants
}

fn sources(names: &[String]) -> Result<Vec<(String, Source)>> {
    if names.is_empty() {
        let rust = registry::all()
            .iter()
            .map(|entry| (entry.name.to_owned(), Source::Rust(entry)));
        return Ok(rust.chain([(c::NAME.to_owned(), Source::C)]).collect());
    }
    let source = |name: &String| {
        let source = match registry::find(name) {
            Some(entry) => Source::Rust(entry),
            None if name == c::NAME => Source::C,
            None => bail!("there is no policy `{name}`"),
        };
        Ok((name.clone(), source))
    };
    names.iter().map(source).collect()
}

fn component(folder: &Path, name: &str) -> PathBuf {
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

    fn committed(name: &str) -> Vec<u8> {
        fs::read(component(
            &root().unwrap().join("schedulers/components"),
            name,
        ))
        .unwrap()
    }

    #[test]
    fn every_component_decides_as_its_native_twin() {
        for entry in registry::all() {
            let decisions = same_decisions(entry, &committed(entry.name), None).unwrap();
            assert!(decisions > COMPARED_STEPS, "{}: {decisions}", entry.name);
        }
    }

    #[test]
    fn wlc_in_c_decides_as_wlc_in_rust() {
        let wlc = registry::find("wlc").unwrap();
        same_decisions(wlc, &committed(c::NAME), None).unwrap();
    }

    #[test]
    fn different_policies_are_told_apart() {
        let wlc = registry::find("wlc").unwrap();
        let error = same_decisions(wlc, &committed("lc"), None).unwrap_err();
        assert!(format!("{error:#}").contains("decision"), "{error:#}");
    }

    #[test]
    fn the_manifest_is_that_of_the_files() {
        let folder = root().unwrap().join("schedulers/components");
        let manifest = Manifest::read(&folder).unwrap();
        for (name, _) in sources(&[]).unwrap() {
            let record = manifest.get(&name).unwrap();
            let expected = Record::of(&name, &committed(&name), record.compiler.clone());
            assert_eq!(*record, expected);
        }
    }
}
