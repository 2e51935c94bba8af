//! Finds and reads what tests need: fixtures of the repository, and folders beside it.

use std::io::Read;
use std::path::{Path, PathBuf};

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder that `variable` names, or `beside` from the repository's root where it exists.
///
/// # Panics
/// Where the variable names something that is not a folder: a test that was told where its data
/// is must not pass without it.
pub fn folder(variable: &str, beside: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        let path = PathBuf::from(named);
        assert!(
            path.is_dir(),
            "{variable} names {}, which is not a folder",
            path.display()
        );
        return Some(path);
    }
    let path = repository().join(beside);
    path.is_dir().then_some(path)
}

/// A text file, unpacked where its name ends in `.zst`.
///
/// # Panics
/// Where it cannot be read.
pub fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    let result = if path.extension().is_some_and(|extension| extension == "zst") {
        ruzstd::decoding::StreamingDecoder::new(&bytes[..])
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .read_to_string(&mut text)
    } else {
        (&bytes[..]).read_to_string(&mut text)
    };
    result.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text
}

/// The files of a folder whose names satisfy `wanted`, sorted.
///
/// # Panics
/// Where the folder cannot be read.
pub fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(&wanted)
        })
        .collect();
    paths.sort();
    paths
}
