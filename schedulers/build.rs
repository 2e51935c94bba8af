//! Lists `src/policies/*.rs` as modules and as registry entries, so that adding a policy touches
//! one file; with the feature `host` also embeds `components/<name>.wasm`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let host = env::var_os("CARGO_FEATURE_HOST").is_some();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/policies");
    if host {
        println!("cargo::rerun-if-changed=components");
    }

    let mut modules = String::new();
    let mut entries = String::new();
    let mut files = String::new();
    for (name, path) in policies(&root.join("src/policies"))? {
        writeln!(modules, "#[path = {}]\npub mod {name};", literal(&path)?)?;
        let component = root.join("components").join(format!("{name}.wasm"));
        let component = if host && component.is_file() {
            format!("Some(include_bytes!({}))", literal(&component)?)
        } else {
            "None".to_owned()
        };
        let algorithm = algorithm(&name);
        writeln!(
            entries,
            "    Entry::of::<crate::policies::{name}::{algorithm}>({component}),"
        )?;
        write!(files, "{name:?}, ")?;
    }
    fs::write(out.join("policies.rs"), modules)?;
    fs::write(
        out.join("registry.rs"),
        format!(
            "static ENTRIES: &[Entry] = &[\n{entries}];\n\
             #[cfg(test)]\nconst FILES: &[&str] = &[{files}];\n"
        ),
    )?;
    Ok(())
}

fn policies(folder: &Path) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
        {
            found.push((name.to_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

/// The path as a string literal of the language.
fn literal(path: &Path) -> Result<String, Box<dyn Error>> {
    let path = path.to_str().ok_or("the path of this crate is not UTF-8")?;
    Ok(format!("{path:?}"))
}

/// The algorithm in `least_time.rs` is `LeastTime`.
fn algorithm(name: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    name.split('_').filter_map(capitalised).collect()
}
