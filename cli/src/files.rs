//! Files that the user names: captures to read, and what is written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use equipoise_replay::capture::{Expanded, Source};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::NamedTempFile;

use crate::failure::{Failure, USAGE, say};
use crate::interrupts::{self, Temporary, Watched};
use crate::progress::Spinner;

/// What is read.
pub(crate) struct Inputs {
    pub(crate) sources: Vec<Source>,
    /// Files that could not be read at all were left out.
    pub(crate) is_incomplete: bool,
    /// What else must not be replaced: rules, policies, captures that could not be read.
    others: Vec<PathBuf>,
}

impl Inputs {
    /// The captures that arguments stand for; `others` is what is read besides.
    pub(crate) fn of(captures: &[PathBuf], mut others: Vec<PathBuf>) -> Result<Self, Failure> {
        let inputs = captures.iter().filter(|path| path.as_os_str() == "-");
        if inputs.count() > 1 {
            let line = "- stands for standard input, which can be read once: give one -, and files";
            return Err(Failure(line.to_owned(), USAGE));
        }
        // An interrupt ends the input, and what came of it until then is taken for all.
        let _watched = Watched::new();
        let spinner = Spinner::new();
        let is_over = || {
            spinner.turn();
            interrupts::asked().is_some()
        };
        let mut found = Expanded::default();
        for path in captures {
            let expanded = Source::expand(path, &is_over).map_err(Failure::input)?;
            found.sources.extend(expanded.sources);
            found.left_out.extend(expanded.left_out);
            found.errors.extend(expanded.errors);
            others.extend(expanded.unread);
            if is_over() {
                break;
            }
        }
        drop(spinner);
        let came = |source: &Source| source.is_cut() && source.size() > Some(0);
        if let Some(code) = interrupts::asked()
            && !found.sources.iter().any(came)
        {
            return Err(Failure(
                "interrupted before anything was read".to_owned(),
                code,
            ));
        }
        for warning in &found.left_out {
            say(&format!("warning: {warning}"));
        }
        for error in &found.errors {
            say(&format!("warning: {error}; it is left out"));
        }
        Ok(Self {
            sources: once(found.sources),
            is_incomplete: !found.errors.is_empty(),
            others,
        })
    }

    /// What is written must not take the place of what it is made from; `option` named it.
    pub(crate) fn spare(&self, option: &str, path: &Path) -> Result<(), Failure> {
        // What is no file yet, or no regular one, is nobody's content.
        let target = identity(path).filter(|_| !is_stdout(path));
        let Some(target) = target else {
            return Ok(());
        };
        let captures = self.sources.iter().filter_map(Source::path);
        let others = self.others.iter().map(PathBuf::as_path);
        let stdin = (self.sources.iter()).any(|source| source.path().is_none());
        let stdin = stdin.then_some(Path::new("/dev/stdin"));
        let mut all = captures.chain(others).chain(stdin);
        if !all.any(|input| identity(input) == Some(target)) {
            return Ok(());
        }
        let line = format!(
            "{option} {}: it is an input and would be replaced: name another file",
            path.display()
        );
        Err(Failure(line, USAGE))
    }

    /// As [`Inputs::spare`], for what is written into a folder.
    pub(crate) fn spare_in(&self, option: &str, folder: &Path) -> Result<(), Failure> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if matches!(ending, Some("json" | "csv" | "svg")) {
                self.spare(option, &path)?;
            }
        }
        Ok(())
    }
}

/// Each file once, whatever paths lead to it; a hard link is a file of its own.
fn once(mut sources: Vec<Source>) -> Vec<Source> {
    let mut seen = BTreeSet::new();
    let mut again = Vec::new();
    sources.retain(|source| {
        let path = source.path().and_then(|path| fs::canonicalize(path).ok());
        let is_new = path.is_none_or(|path| seen.insert(path));
        if !is_new {
            again.push(source.name().to_owned());
        }
        is_new
    });
    match &again[..] {
        [] => {}
        [name] => say(&format!("warning: {name} is given twice and read once")),
        [name, rest @ ..] => say(&format!(
            "warning: {name} and {} more captures are given twice and read once",
            rest.len()
        )),
    }
    sources
}

/// What tells files apart, whatever their names; none for what is no regular file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}

/// As many open files as the system lets: captures that overlap are open side by side.
pub(crate) fn allow_many() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Where it is not to be had, what cannot be opened is told.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Whether a path that is written to stands for standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    let names = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    names.iter().any(|name| path == Path::new(name))
}

/// A file appears whole or not at all; a pipe or a device is written as it is, and a link keeps
/// pointing where it does. `-` is standard output.
pub(crate) fn write_whole<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    if is_stdout(path) {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        return write(&File::from(stdout));
    }
    if is_open(path) {
        return write(&File::options().append(true).open(path)?);
    }
    let Some(target) = replaced(path) else {
        return write(&File::options().write(true).open(path)?);
    };
    let file = beside(&target)?;
    // Who may read what is replaced may read what takes its place, and nobody else.
    if let Ok(metadata) = fs::metadata(&target) {
        // To give a file away takes root; of one's own there is nothing to change.
        let _ = fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()));
        let mode = metadata.mode() & 0o777;
        file.as_file()
            .set_permissions(PermissionsExt::from_mode(mode))?;
    }
    let _temporary = Temporary::new(file.path());
    let written = write(file.as_file())?;
    file.persist(&target).map_err(|error| error.error)?;
    Ok(written)
}

/// Whether a file will be there to write, as far as can be told before what goes into it is made,
/// which may take long.
pub(crate) fn can_write(path: &Path) -> io::Result<()> {
    if is_stdout(path) || is_open(path) {
        return Ok(());
    }
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    replaced(path).map_or(Ok(()), |target| beside(&target).map(drop))
}

/// Whether files will be there to write in a folder that may have to be made.
pub(crate) fn can_write_into(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.exists());
    tempfile::tempfile_in(there.unwrap_or(Path::new("."))).map(drop)
}

/// What is open already, perhaps to be added to; a file behind it is somebody else's.
fn is_open(path: &Path) -> bool {
    let open = ["/dev/fd", "/dev/stdin", "/dev/stderr", "/proc"];
    open.iter().any(|open| path.starts_with(open))
}

/// The file whose place is taken; none where it is a pipe or a device.
fn replaced(path: &Path) -> Option<PathBuf> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let is_file = fs::metadata(&target).is_ok_and(|metadata| metadata.is_file());
    (is_file || !target.exists()).then_some(target)
}

fn beside(target: &Path) -> io::Result<NamedTempFile> {
    let folder = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
}
