//! Folders and patterns as the captures that they stand for. The content decides what is a
//! capture, never the name.

use std::fs;
use std::path::{Path, PathBuf};

use glob::MatchOptions;

use super::{CaptureError, Source, Warning};

/// As shells match, where hidden files want to be named.
const AS_SHELLS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

pub(super) fn expand(
    argument: &Path,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Source>, CaptureError> {
    if argument.is_dir() {
        return folder(argument, warnings);
    }
    match argument.to_str() {
        Some(pattern) if pattern.contains(['*', '?', '[']) && !argument.exists() => {
            matches(pattern, warnings)
        }
        _ => Ok(vec![Source::new(argument)?]),
    }
}

fn folder(folder: &Path, warnings: &mut Vec<Warning>) -> Result<Vec<Source>, CaptureError> {
    let name = folder.display().to_string();
    let listed =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = match listed {
        Ok(paths) => paths,
        Err(source) => return Err(CaptureError::Open { name, source }),
    };
    // A pipe in a folder would be waited for.
    paths.retain(|path| path.is_file());
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let source = Source::new(&path)?;
        match source.open() {
            Err(CaptureError::NotACapture { name, found }) => {
                warnings.push(Warning::LeftOut { name, found });
            }
            // Whoever opens it again is told what else is wrong with it.
            _ => sources.push(source),
        }
    }
    if sources.is_empty() {
        return Err(CaptureError::NoCapture { name });
    }
    Ok(sources)
}

fn matches(pattern: &str, warnings: &mut Vec<Warning>) -> Result<Vec<Source>, CaptureError> {
    let paths = match glob::glob_with(pattern, AS_SHELLS) {
        Ok(paths) => paths,
        Err(source) => {
            return Err(CaptureError::Pattern {
                name: pattern.to_owned(),
                source,
            });
        }
    };
    let mut sources = Vec::new();
    for path in paths {
        let path = path.map_err(|error| CaptureError::Open {
            name: error.path().display().to_string(),
            source: error.into(),
        })?;
        if path.is_dir() {
            sources.extend(folder(&path, warnings)?);
        } else {
            sources.push(Source::new(&path)?);
        }
    }
    if sources.is_empty() {
        return Err(CaptureError::NoMatch {
            name: pattern.to_owned(),
        });
    }
    Ok(sources)
}
