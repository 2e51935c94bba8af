//! A sliding window over a reader: the bytes not yet taken, in one reused buffer.

use std::io::{self, Read};

const FIRST_CAPACITY: usize = 256 << 10;

pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    taken: u64,
}

impl Window {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self {
            reader,
            buffer: vec![0; FIRST_CAPACITY],
            start: 0,
            end: 0,
            taken: 0,
        }
    }

    /// What was read and not yet taken.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Where [`Window::bytes`] begins in the (decompressed) stream.
    pub(super) fn offset(&self) -> u64 {
        self.taken
    }

    /// Moves past the next `length` bytes, which must be at hand, and returns them.
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let taken = self.start..self.start + length;
        self.start = taken.end;
        self.taken += length as u64;
        &self.buffer[taken]
    }

    /// Reads once; false at the end of the stream. The buffer grows only when it is full of bytes
    /// that were really there, so that a claim allocates nothing.
    pub(super) fn read_more(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
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
}
