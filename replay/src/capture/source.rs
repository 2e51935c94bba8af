//! Captures that can be opened more than once.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expand;
use super::spool::Spool;
use super::{Capture, CaptureError, Content, Expanded};

/// How it is named in messages.
pub(super) const STANDARD_INPUT: &str = "standard input";

/// Where a capture comes from: a name, not an open file. A survey and the run after it open it
/// twice, so what cannot be read twice (standard input, a pipe) is kept as it came.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    place: Place,
    is_cut: bool,
}

/// Opened with the first reading, which may wait: a pipe that nobody writes to yet does.
struct Late {
    path: PathBuf,
    file: Option<File>,
}

impl Read for Late {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        file.read(buffer)
    }
}

#[derive(Clone, Debug)]
enum Place {
    File { path: PathBuf, size: u64 },
    Kept(Spool),
}

impl Source {
    /// From an argument: a path, or `-` for standard input, which is read to its end at once.
    pub fn new(argument: &Path) -> Result<Self, CaptureError> {
        Self::read(argument, &|| false)
    }

    /// As [`Source::new`]; what is kept ends where it has come when `is_over` says so.
    pub(super) fn read(argument: &Path, is_over: &dyn Fn() -> bool) -> Result<Self, CaptureError> {
        if argument.as_os_str() == "-" {
            let name = STANDARD_INPUT.to_owned();
            let spool = Spool::of(name.clone(), io::stdin(), is_over)?;
            return Ok(Self::kept(name, spool).cut(is_over()));
        }
        let name = argument.display().to_string();
        let metadata = match fs::metadata(argument) {
            Ok(metadata) => metadata,
            Err(source) => return Err(CaptureError::Open { name, source }),
        };
        if metadata.is_dir() {
            return Err(CaptureError::Directory { name });
        }
        if metadata.is_file() {
            let place = Place::File {
                path: argument.to_owned(),
                size: metadata.len(),
            };
            return Ok(Self {
                name,
                place,
                is_cut: false,
            });
        }
        let late = Late {
            path: argument.to_owned(),
            file: None,
        };
        let spool = Spool::of(name.clone(), late, is_over)?;
        Ok(Self::kept(name, spool).cut(is_over()))
    }

    /// From an argument that may stand for several captures: as [`Source::new`], or a folder for
    /// the captures in it, by name, those of folders in it not; or, where nothing has that name, a
    /// pattern with `*`, `?` and `[…]` for what it matches.
    ///
    /// Of a pipe and of standard input what came until `is_over` says so.
    pub fn expand(argument: &Path, is_over: &dyn Fn() -> bool) -> Result<Expanded, CaptureError> {
        expand::expand(argument, is_over)
    }

    /// From bytes; `name` is for messages.
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::kept(name.into(), Spool::Memory(bytes.into()))
    }

    fn kept(name: String, spool: Spool) -> Self {
        Self {
            name,
            place: Place::Kept(spool),
            is_cut: false,
        }
    }

    fn cut(self, is_cut: bool) -> Self {
        Self { is_cut, ..self }
    }

    /// The name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file; none for what is kept.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File { path, .. } => Some(path),
            Place::Kept(_) => None,
        }
    }

    /// Whether more of it might have come when the reading was ended.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Its size in bytes (compressed, where it is) when the source was made; none where the
    /// system does not tell.
    pub fn size(&self) -> Option<u64> {
        match &self.place {
            // The files of /proc and the like say 0 and hold something.
            Place::File { size, .. } => (*size > 0).then_some(*size),
            Place::Kept(spool) => Some(spool.size()),
        }
    }

    /// Its bytes at any place.
    pub(crate) fn content(&self) -> Result<Content, CaptureError> {
        match &self.place {
            Place::File { path, .. } => {
                File::open(path)
                    .and_then(Content::file)
                    .map_err(|source| CaptureError::Open {
                        name: self.name.clone(),
                        source,
                    })
            }
            Place::Kept(spool) => Ok(spool.content()),
        }
    }

    /// Opens the capture at its beginning.
    pub fn open(&self) -> Result<Capture, CaptureError> {
        match &self.place {
            Place::File { path, .. } => match File::open(path) {
                Ok(file) => Capture::from_read(&self.name, file),
                Err(source) => Err(CaptureError::Open {
                    name: self.name.clone(),
                    source,
                }),
            },
            Place::Kept(spool) => Capture::from_read(&self.name, spool.reader()),
        }
    }
}
