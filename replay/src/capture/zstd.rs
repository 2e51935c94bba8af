//! zstd streams of several frames, skippable ones among them.
//!
//! A frame that breaks off gives every block that was whole, then the error.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::BlockDecodingStrategy;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::compression::{Broken, Compression, Place};

/// Decompresses one frame after the other: the crate's own reader ends with the first.
pub(super) struct ZstdReader<R> {
    source: R,
    place: Place,
    /// Where the frame begins in the file.
    start: u64,
    decoder: FrameDecoder,
    in_frame: bool,
    /// What broke the frame, told once all before it is read.
    broken: Option<io::Error>,
}

/// An uncompressed block of no bytes, the last of its frame, and four bytes where a frame with a
/// checksum has it (the decoder does not compare it).
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

impl<R: BufRead> ZstdReader<R> {
    /// `place` is where `source` is in the file.
    pub(super) fn new(source: R, place: Place) -> Self {
        Self {
            source,
            start: place.get(),
            place,
            decoder: FrameDecoder::new(),
            in_frame: false,
            broken: None,
        }
    }

    /// Begins the next frame; false at the end of the stream.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            self.start = self.place.get();
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(self.failed(&error)),
            }
        }
        Ok(false)
    }

    /// Decodes until something can be read, or the frame ends or breaks.
    fn decode(&mut self) {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            if let Err(error) = self.decoder.decode_blocks(&mut self.source, one) {
                self.broken = Some(self.failed(&error));
                // The decoder keeps a window for blocks to come: after the last it gives all.
                let one = BlockDecodingStrategy::UptoBlocks(1);
                if self.decoder.decode_blocks(&LAST_BLOCK[..], one).is_err() {
                    return;
                }
            }
        }
    }

    /// The crate wraps what it met at the end of its input in errors of its own.
    fn failed(&mut self, error: &FrameDecoderError) -> io::Error {
        match self.source.fill_buf() {
            Ok([]) => io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => io::Error::other(Broken::Damaged {
                compression: Compression::Zstd,
                start: self.start,
                end: self.place.get(),
                what: error.to_string(),
            }),
            Err(error) => error,
        }
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.begin_frame()? {
                return Ok(0);
            }
            self.decode();
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.in_frame = false;
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
        }
    }
}
