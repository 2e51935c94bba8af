//! A sliding window over a reader: the bytes not yet taken, in one reused buffer.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Large enough that calls cost nothing, small enough to stay in a core's cache, from which the
/// frames are then read: half and twice as much are no faster. A mapped file would spare the copy,
/// 4 of 20 ns a frame, but ends the process when the file is cut meanwhile.
const FIRST_CAPACITY: usize = 256 << 10;

pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where the buffer begins in the stream.
    before: u64,
}

impl Window {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self {
            reader,
            buffer: vec![0; FIRST_CAPACITY],
            start: 0,
            end: 0,
            before: 0,
        }
    }

    /// What was read and not yet taken.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Where [`Window::bytes`] begins in the (decompressed) stream.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.start as u64
    }

    /// Moves past the next `length` bytes, which must be at hand, and returns them.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let taken = self.start..self.start + length;
        self.start = taken.end;
        &self.buffer[taken]
    }

    /// Reads once; false at the end of the stream. The buffer grows only when it is full of bytes
    /// that were really there, so that a claim allocates nothing.
    pub(super) fn read_more(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.before = self.offset();
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads until `length` bytes are at hand or the stream ends.
    pub(super) fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.bytes().len() < length && self.read_more()? {}
        Ok(())
    }

    /// The whole stream as a reader again, what is at hand first.
    pub(super) fn into_reader(self) -> Box<dyn Read + Send> {
        let mut at_hand = self.buffer;
        at_hand.truncate(self.end);
        at_hand.drain(..self.start);
        Box::new(io::Cursor::new(at_hand).chain(self.reader))
    }

    /// Passes over what is left, or the next `most` bytes.
    pub(super) fn drain(&mut self, mut most: u64) -> io::Result<()> {
        while most > 0 && self.read_more()? {
            most = most.saturating_sub(self.bytes().len() as u64);
            self.start = self.end;
        }
        Ok(())
    }

    /// Gives file and buffer back; from now on the stream is at its end.
    pub(super) fn close(&mut self) {
        *self = Self {
            reader: Box::new(io::empty()),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            before: self.offset(),
        };
    }
}

/// How many bytes a reader gave, wherever the reader went.
#[derive(Clone)]
pub(super) struct BytesRead(Arc<AtomicU64>);

pub(super) struct Counted<R> {
    reader: R,
    count: Arc<AtomicU64>,
}

impl BytesRead {
    pub(super) fn of<R: Read>(reader: R) -> (Counted<R>, Self) {
        let count = Arc::new(AtomicU64::new(0));
        let told = Self(Arc::clone(&count));
        (Counted { reader, count }, told)
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.count.fetch_add(count as u64, Ordering::Relaxed);
    }
}
