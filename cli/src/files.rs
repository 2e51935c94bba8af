//! Files that the user names: captures to read, and what is written.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use equipoise_replay::capture::Source;

use crate::failure::{Failure, USAGE, say};

/// The captures that arguments stand for.
pub(crate) fn sources(captures: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let inputs = captures.iter().filter(|path| path.as_os_str() == "-");
    if inputs.count() > 1 {
        let line =
            "- stands for standard input, which can be read once: give one -, and files".to_owned();
        return Err(Failure(line, USAGE));
    }
    let mut sources = Vec::new();
    for path in captures {
        let (found, warnings) = Source::expand(path).map_err(Failure::input)?;
        for warning in warnings {
            say(&format!("warning: {warning}"));
        }
        sources.extend(found);
    }
    Ok(sources)
}

/// What is written must not take the place of what it is made from; `option` named it.
pub(crate) fn spare<'a>(
    mut inputs: impl Iterator<Item = &'a PathBuf>,
    option: &str,
    path: &Path,
) -> Result<(), Failure> {
    if !path.is_file() {
        return Ok(());
    }
    let target = fs::canonicalize(path).ok();
    if inputs.any(|input| fs::canonicalize(input).ok() == target) {
        let line = format!(
            "{option} {}: it is an input and would be replaced: name another file",
            path.display()
        );
        return Err(Failure(line, USAGE));
    }
    Ok(())
}

/// A file appears whole or not at all; a pipe or a device is written as it is, and a link keeps
/// pointing where it does.
pub(crate) fn write_whole<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let is_stream = ["/dev", "/proc"]
        .iter()
        .any(|folder| path.starts_with(folder));
    let is_special = fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file());
    if is_stream || is_special {
        return write(&File::options().write(true).open(path)?);
    }
    let folder = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    let written = write(file.as_file())?;
    file.persist(&target).map_err(|error| error.error)?;
    Ok(written)
}
