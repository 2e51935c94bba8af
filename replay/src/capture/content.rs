//! The bytes of a source at any place, for what is not read from its beginning to its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// An open source; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Content(Place);

#[derive(Clone, Debug)]
enum Place {
    Memory(Arc<[u8]>),
    File { file: Arc<File>, size: u64 },
    Shared { file: Arc<Mutex<File>>, size: u64 },
}

impl Content {
    pub(super) fn memory(bytes: Arc<[u8]>) -> Self {
        Self(Place::Memory(bytes))
    }

    pub(super) fn file(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let file = Arc::new(file);
        Ok(Self(Place::File { file, size }))
    }

    pub(super) fn shared(file: Arc<Mutex<File>>, size: u64) -> Self {
        Self(Place::Shared { file, size })
    }

    pub(crate) fn len(&self) -> u64 {
        match &self.0 {
            Place::Memory(bytes) => bytes.len() as u64,
            Place::File { size, .. } | Place::Shared { size, .. } => *size,
        }
    }

    /// Reads once; 0 bytes at the end.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Place::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = bytes.get(start..).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Place::File { file, .. } => file.read_at(buffer, offset),
            Place::Shared { file, .. } => {
                let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.read_at(buffer, offset)
            }
        }
    }
}
