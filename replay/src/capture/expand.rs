//! Folders and patterns as the captures that they stand for. The content decides what is a
//! capture, never the name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::{CaptureError, Source, Warning};

/// What an argument stands for.
#[derive(Debug, Default)]
pub struct Expanded {
    /// The captures.
    pub sources: Vec<Source>,
    /// Files of a folder or pattern that are none.
    pub left_out: Vec<Warning>,
    /// Why of others that cannot be told,
    pub errors: Vec<CaptureError>,
    /// and which these are, in the same order.
    pub unread: Vec<PathBuf>,
}

/// As shells match, where hidden files want to be named.
const AS_SHELLS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

pub(super) fn expand(
    argument: &Path,
    is_over: &dyn Fn() -> bool,
) -> Result<Expanded, CaptureError> {
    let mut expanded = Expanded::default();
    if argument.is_dir() {
        let paths = listed(argument).map_err(cannot_open(argument))?;
        let name = argument.display().to_string();
        expanded.add(paths, is_over, || CaptureError::NoCapture { name })?;
    } else if is_pattern(argument) && !argument.exists() {
        let name = argument.display().to_string();
        // Checked as a whole, so that the place of a mistake is one in what was written.
        if let Err(source) = Pattern::new(&argument.to_string_lossy()) {
            return Err(CaptureError::Pattern { name, source });
        }
        let mut paths = Vec::new();
        for path in matches(argument)? {
            if path.is_dir() {
                paths.extend(listed(&path).map_err(cannot_open(&path))?);
            } else {
                paths.push(path);
            }
        }
        if paths.len() > 1 {
            paths.retain(|path| may_be_read(path));
        }
        match &paths[..] {
            [] => return Err(CaptureError::NoMatch { name }),
            // As if it had been named: it may be a table, which stands alone.
            [path] => expanded.sources.push(Source::read(path, is_over)?),
            _ => expanded.add(paths, is_over, || CaptureError::NoCapture { name })?,
        }
    } else {
        expanded.sources.push(Source::read(argument, is_over)?);
    }
    Ok(expanded)
}

impl Expanded {
    /// Takes in what is a capture of files that were not named one by one.
    fn add(
        &mut self,
        paths: Vec<PathBuf>,
        is_over: &dyn Fn() -> bool,
        none: impl FnOnce() -> CaptureError,
    ) -> Result<(), CaptureError> {
        for path in paths {
            let source = Source::read(&path, is_over);
            match source.and_then(|source| source.open().map(|_| source)) {
                Ok(source) => self.sources.push(source),
                Err(CaptureError::NotACapture { name, found }) => {
                    self.left_out.push(Warning::LeftOut { name, found });
                }
                Err(error) => {
                    self.errors.push(error);
                    self.unread.push(path);
                }
            }
        }
        if !self.sources.is_empty() {
            return Ok(());
        }
        Err(self.errors.pop().unwrap_or_else(none))
    }
}

/// The files of a folder, by name, hidden ones not: what is being copied is hidden, and there twice.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names: Vec<OsString> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()?;
    names.retain(|name| !is_hidden(name));
    names.sort();
    let paths = names.into_iter().map(|name| folder.join(name));
    Ok(paths.filter(|path| may_be_read(path)).collect())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// No folder and no pipe, which would be waited for. A link to nothing is told of when it is read.
fn may_be_read(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

fn is_pattern(argument: &Path) -> bool {
    let bytes = argument.as_os_str().as_encoded_bytes();
    bytes.iter().any(|byte| b"*?[".contains(byte))
}

/// What there is of that form, folders included, by name within each folder. Names are compared as
/// they are shown, for they need not be text.
fn matches(pattern: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        if !matches!(part, Component::Normal(_)) || !is_pattern(part.as_ref()) {
            for path in &mut found {
                path.push(part);
            }
            found.retain(|path| path.symlink_metadata().is_ok());
            continue;
        }
        let text = part.as_os_str().to_string_lossy();
        if text == "**" {
            found = found.iter().flat_map(|path| folders(path)).collect();
            continue;
        }
        let wanted = Pattern::new(&text).map_err(|source| CaptureError::Pattern {
            name: pattern.display().to_string(),
            source,
        })?;
        let mut next = Vec::new();
        for folder in &found {
            for name in names(folder)? {
                if wanted.matches_with(&name.to_string_lossy(), AS_SHELLS) {
                    next.push(folder.join(name));
                }
            }
        }
        found = next;
    }
    Ok(found)
}

/// What is in a folder, sorted; nothing where it is none.
fn names(folder: &Path) -> Result<Vec<OsString>, CaptureError> {
    let place = here(folder);
    if !place.is_dir() {
        return Ok(Vec::new());
    }
    let listed = fs::read_dir(place)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    let mut names: Vec<OsString> = listed.map_err(cannot_open(folder))?;
    names.sort();
    Ok(names)
}

/// A folder and all folders in it, however deep; hidden ones, links and those that cannot be read
/// not.
fn folders(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    for name in names(top).unwrap_or_default() {
        let path = top.join(&name);
        let is_folder = path.symlink_metadata().is_ok_and(|data| data.is_dir());
        if is_folder && !is_hidden(&name) {
            found.extend(folders(&path));
        }
    }
    found
}

fn here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    }
}

fn cannot_open(path: &Path) -> impl FnOnce(io::Error) -> CaptureError {
    let name = path.display().to_string();
    move |source| CaptureError::Open { name, source }
}
