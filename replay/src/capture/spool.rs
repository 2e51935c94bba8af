//! What can be read only once, kept so that it can be read again: in memory while it is small,
//! then in a temporary file without a name, which goes when the process does.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::{CaptureError, Content};

const MOST_IN_MEMORY: usize = 4 << 20;
const CHUNK: usize = 256 << 10;

#[derive(Clone, Debug)]
pub(super) enum Spool {
    Memory(Arc<[u8]>),
    File { file: Arc<Mutex<File>>, size: u64 },
}

impl Spool {
    /// Reads to the end at once.
    pub(super) fn of(name: String, reader: impl Read) -> Result<Self, CaptureError> {
        Self::with(name, reader, tempfile::tempfile)
    }

    fn with(
        name: String,
        mut reader: impl Read,
        create: impl FnOnce() -> io::Result<File>,
    ) -> Result<Self, CaptureError> {
        let mut chunk = Vec::new();
        let mut read = |chunk: &mut Vec<u8>, most: usize| {
            chunk.clear();
            (&mut reader).take(most as u64).read_to_end(chunk)
        };
        match read(&mut chunk, MOST_IN_MEMORY + 1) {
            Ok(count) if count <= MOST_IN_MEMORY => return Ok(Self::Memory(chunk.into())),
            Ok(_) => {}
            Err(source) => return Err(CaptureError::Open { name, source }),
        }
        let cannot_keep = |name, source| CaptureError::Keep {
            name,
            folder: std::env::temp_dir().display().to_string(),
            source,
        };
        let mut file = match create() {
            Ok(file) => file,
            Err(source) => return Err(cannot_keep(name, source)),
        };
        let mut size = 0;
        while !chunk.is_empty() {
            if let Err(source) = file.write_all(&chunk) {
                return Err(cannot_keep(name, source));
            }
            size += chunk.len() as u64;
            if let Err(source) = read(&mut chunk, CHUNK) {
                return Err(CaptureError::Open { name, source });
            }
        }
        let file = Arc::new(Mutex::new(file));
        Ok(Self::File { file, size })
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }

    /// At any place.
    pub(super) fn content(&self) -> Content {
        match self {
            Self::Memory(bytes) => Content::memory(Arc::clone(bytes)),
            Self::File { file, size } => Content::shared(Arc::clone(file), *size),
        }
    }

    /// From its beginning; several readers do not disturb each other.
    pub(super) fn reader(&self) -> Box<dyn Read + Send> {
        match self {
            Self::Memory(bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
            Self::File { file, .. } => Box::new(SpoolReader {
                file: Arc::clone(file),
                place: 0,
            }),
        }
    }
}

/// Without a name the file can be opened once only: readers share its cursor, each with a place
/// of its own.
struct SpoolReader {
    file: Arc<Mutex<File>>,
    place: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.place))?;
        let count = file.read(buffer)?;
        self.place += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_stays_in_memory_and_what_is_large_does_not() {
        for (length, in_memory) in [
            (0, true),
            (MOST_IN_MEMORY, true),
            (MOST_IN_MEMORY + 1, false),
            (MOST_IN_MEMORY * 3 + 7, false),
        ] {
            let bytes: Vec<u8> = (0..length).map(|place| (place / 251) as u8).collect();
            let spool = Spool::of("test".to_owned(), &bytes[..]).unwrap();
            assert_eq!(matches!(spool, Spool::Memory(_)), in_memory, "{length}");
            assert_eq!(spool.size(), length as u64);
            let (mut first, mut second) = (spool.reader(), spool.reader());
            let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
            (&mut first).take(1_000).read_to_end(&mut of_first).unwrap();
            second.read_to_end(&mut of_second).unwrap();
            first.read_to_end(&mut of_first).unwrap();
            assert!(of_first == bytes && of_second == bytes, "{length}");
        }
    }

    /// However much there is to read.
    #[test]
    fn memory_is_bounded() {
        struct Watched(io::Take<io::Repeat>, usize);
        impl Read for Watched {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1 = self.1.max(buffer.len());
                self.0.read(buffer)
            }
        }
        let mut reader = Watched(io::repeat(7).take(40 << 20), 0);
        let spool = Spool::of("test".to_owned(), &mut reader).unwrap();
        assert_eq!(spool.size(), 40 << 20);
        assert!(reader.1 <= MOST_IN_MEMORY + 1, "{}", reader.1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told() {
        let full = || File::options().write(true).open("/dev/full");
        let error = Spool::with("standard input".to_owned(), io::repeat(7), full).unwrap_err();
        let folder = std::env::temp_dir();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot keep standard input in {}, to read it twice: No space left on device (os \
                 error 28); name a folder with more room in TMPDIR, or give a file \
                 instead",
                folder.display()
            )
        );
    }

    #[test]
    fn a_broken_pipe_is_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        for before in [0, MOST_IN_MEMORY as u64 * 2] {
            let reader = io::repeat(7).take(before).chain(Broken);
            let error = Spool::of("test".to_owned(), reader).unwrap_err();
            assert!(matches!(error, CaptureError::Open { .. }), "{error}");
        }
    }
}
