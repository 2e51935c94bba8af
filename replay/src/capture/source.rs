//! Captures that can be opened more than once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expand;
use super::spool::Spool;
use super::{Capture, CaptureError, Content, Warning};

/// Where a capture comes from: a name, not an open file. A survey and the run after it open it
/// twice, so what cannot be read twice (standard input, a pipe) is kept as it came.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    File { path: PathBuf, size: u64 },
    Kept(Spool),
}

impl Source {
    /// From an argument: a path, or `-` for standard input, which is read to its end at once.
    pub fn new(argument: &Path) -> Result<Self, CaptureError> {
        if argument.as_os_str() == "-" {
            let name = "standard input".to_owned();
            let spool = Spool::of(name.clone(), io::stdin().lock())?;
            return Ok(Self::kept(name, spool));
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
            return Ok(Self { name, place });
        }
        match File::open(argument) {
            Ok(file) => {
                let spool = Spool::of(name.clone(), file)?;
                Ok(Self::kept(name, spool))
            }
            Err(source) => Err(CaptureError::Open { name, source }),
        }
    }

    /// From an argument that may stand for several captures: as [`Source::new`], or a folder for
    /// the captures in it, by name, those of folders in it not; or, where nothing has that name, a
    /// pattern with `*`, `?` and `[…]` for what it matches.
    ///
    /// The warnings tell which files of a folder are no captures and were left out.
    pub fn expand(argument: &Path) -> Result<(Vec<Self>, Vec<Warning>), CaptureError> {
        let mut warnings = Vec::new();
        let sources = expand::expand(argument, &mut warnings)?;
        Ok((sources, warnings))
    }

    /// From bytes; `name` is for messages.
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::kept(name.into(), Spool::Memory(bytes.into()))
    }

    fn kept(name: String, spool: Spool) -> Self {
        let place = Place::Kept(spool);
        Self { name, place }
    }

    /// The name for messages.
    pub fn name(&self) -> &str {
        &self.name
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
