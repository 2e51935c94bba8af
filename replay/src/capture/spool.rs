//! What can be read only once, kept so that it can be read again: in memory while it is small,
//! then in a temporary file without a name, which goes when the process does.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Capture, CaptureError, Content, Found};

const MOST_IN_MEMORY: usize = 4 << 20;
const CHUNK: usize = 256 << 10;
/// Chunks that are read before they are taken.
const CHUNKS_AHEAD: usize = 2;
/// How soon a reading that waits for more hears that it is to end.
const PATIENCE: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
pub(super) enum Spool {
    Memory(Arc<[u8]>),
    File { file: Arc<Mutex<File>>, size: u64 },
}

impl Spool {
    /// Reads to the end at once, or as far as it came when `is_over` says so.
    pub(super) fn of(
        name: String,
        reader: impl Read + Send + 'static,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, CaptureError> {
        Self::with(name, reader, is_over, refused, tempfile::tempfile)
    }

    fn with(
        name: String,
        reader: impl Read + Send + 'static,
        is_over: &dyn Fn() -> bool,
        refused: impl FnOnce(&str, &[u8]) -> Option<CaptureError>,
        create: impl FnOnce() -> io::Result<File>,
    ) -> Result<Self, CaptureError> {
        let cannot_keep = |name, source| CaptureError::Keep {
            name,
            folder: std::env::temp_dir().display().to_string(),
            source,
        };
        let chunks = match chunks(reader) {
            Ok(chunks) => chunks,
            Err(source) => return Err(CaptureError::Open { name, source }),
        };
        let mut memory = Vec::new();
        while memory.len() <= MOST_IN_MEMORY {
            match next(&chunks, is_over) {
                Ok(Some(chunk)) => memory.extend(chunk),
                Ok(None) => return Ok(Self::Memory(memory.into())),
                Err(source) => return Err(CaptureError::Open { name, source }),
            }
        }
        if let Some(refused) = refused(&name, &memory) {
            return Err(refused);
        }
        let mut file = match create() {
            Ok(file) => file,
            Err(source) => return Err(cannot_keep(name, source)),
        };
        let mut size = 0;
        let mut chunk = memory;
        loop {
            if let Err(source) = file.write_all(&chunk) {
                return Err(cannot_keep(name, source));
            }
            size += chunk.len() as u64;
            chunk = match next(&chunks, is_over) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(source) => return Err(CaptureError::Open { name, source }),
            };
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

/// Why it is not worth keeping: what begins like that is neither a capture nor a table. What has
/// not shown yet what it is may be one.
fn refused(name: &str, beginning: &[u8]) -> Option<CaptureError> {
    let beginning = io::Cursor::new(beginning.to_vec());
    match Capture::from_read(name, beginning).err()? {
        CaptureError::NotACapture {
            found: Found::Parquet | Found::Empty | Found::Headless,
            ..
        } => None,
        error @ CaptureError::NotACapture { .. } => Some(error),
        _ => None,
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

/// What is read, by a thread of its own: nothing else ends a reading that waits for more.
fn chunks(mut reader: impl Read + Send + 'static) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = mpsc::sync_channel(CHUNKS_AHEAD);
    let read = move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            if sender.send(read).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().spawn(read)?;
    Ok(receiver)
}

/// None at the end.
fn next(
    chunks: &Receiver<io::Result<Vec<u8>>>,
    is_over: &dyn Fn() -> bool,
) -> io::Result<Option<Vec<u8>>> {
    while !is_over() {
        match chunks.recv_timeout(PATIENCE) {
            Ok(chunk) => return chunk.map(Some),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(None)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// Of anything, capture or not.
    fn spool(
        reader: impl Read + Send + 'static,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Spool, CaptureError> {
        let name = "test".to_owned();
        Spool::with(name, reader, is_over, |_, _| None, tempfile::tempfile)
    }

    #[test]
    fn what_is_small_stays_in_memory_and_what_is_large_does_not() {
        for (length, in_memory) in [
            (0, true),
            (MOST_IN_MEMORY, true),
            (MOST_IN_MEMORY + 1, false),
            (MOST_IN_MEMORY * 3 + 7, false),
        ] {
            let bytes: Vec<u8> = (0..length).map(|place| (place / 251) as u8).collect();
            let reader = io::Cursor::new(bytes.clone());
            let spool = spool(reader, &|| false).unwrap();
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

    /// Never more than the chunks under way is read ahead, however slowly it is taken.
    #[test]
    fn memory_is_bounded() {
        struct Counted(io::Repeat, Arc<AtomicUsize>);
        impl Read for Counted {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1.fetch_add(buffer.len(), SeqCst);
                self.0.read(buffer)
            }
        }
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let chunks = chunks(Counted(io::repeat(7), counter)).unwrap();
        for _ in 0..3 {
            chunks.recv().unwrap().unwrap();
        }
        thread::sleep(Duration::from_millis(50));
        let most = (3 + CHUNKS_AHEAD + 1) * CHUNK;
        assert!(taken.load(SeqCst) <= most, "{taken:?}");
    }

    #[test]
    fn what_was_read_is_kept_where_the_reading_is_ended() {
        /// Never ends, and says nothing more after so many bytes.
        struct Waiting(usize, Arc<AtomicUsize>);
        impl Read for Waiting {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0 == 0 {
                    self.1.fetch_add(1, SeqCst);
                    loop {
                        thread::park();
                    }
                }
                let count = self.0.min(buffer.len());
                self.0 -= count;
                Ok(count)
            }
        }
        for length in [0, 10, MOST_IN_MEMORY * 2] {
            let waits = Arc::new(AtomicUsize::new(0));
            let reader = Waiting(length, Arc::clone(&waits));
            let asked = AtomicUsize::new(0);
            // Once it waits, and all that came has been taken.
            let is_over =
                || waits.load(SeqCst) == 1 && asked.fetch_add(1, SeqCst) > 10 + CHUNKS_AHEAD;
            let spool = spool(reader, &is_over).unwrap();
            assert_eq!(spool.size(), length as u64);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told() {
        let full = || File::options().write(true).open("/dev/full");
        let error = Spool::with(
            "standard input".to_owned(),
            io::repeat(7),
            &|| false,
            |_, _| None,
            full,
        )
        .unwrap_err();
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
            let error = spool(reader, &|| false).unwrap_err();
            assert!(matches!(error, CaptureError::Open { .. }), "{error}");
        }
    }
}
