//! Captures that can be opened more than once.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Capture, CaptureError};

/// Where a capture comes from. A survey and the run after it open it twice, so what cannot be
/// read twice (standard input, a pipe) is kept in memory as it came.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

impl Source {
    /// From an argument: a path, or `-` for standard input, which is read to its end at once.
    pub fn new(argument: &Path) -> Result<Self, CaptureError> {
        if argument.as_os_str() == "-" {
            return Self::read_whole("standard input".to_owned(), io::stdin().lock());
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
            let place = Place::File(argument.to_owned());
            return Ok(Self { name, place });
        }
        match File::open(argument) {
            Ok(file) => Self::read_whole(name, file),
            Err(source) => Err(CaptureError::Open { name, source }),
        }
    }

    /// From bytes; `name` is for messages.
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self {
            name: name.into(),
            place: Place::Memory(bytes.into()),
        }
    }

    /// The name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens the capture at its beginning.
    pub fn open(&self) -> Result<Capture, CaptureError> {
        match &self.place {
            Place::File(path) => match File::open(path) {
                Ok(file) => Capture::from_read(&self.name, file),
                Err(source) => Err(CaptureError::Open {
                    name: self.name.clone(),
                    source,
                }),
            },
            Place::Memory(bytes) => {
                Capture::from_read(&self.name, io::Cursor::new(Arc::clone(bytes)))
            }
        }
    }

    fn read_whole(name: String, mut reader: impl Read) -> Result<Self, CaptureError> {
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(Self::from_bytes(name, bytes)),
            Err(source) => Err(CaptureError::Open { name, source }),
        }
    }
}
