//! The compression around a capture, and where in the file it does not hold.

use std::io::{self, BufReader, Read};

use super::gzip::GzipReader;
use super::window::BytesRead;
use super::zstd::ZstdReader;

/// Compressed bytes that are read at once.
const CHUNK: usize = 32 << 10;

/// Where a decompressor is in the file.
pub(super) type Place = BytesRead;

/// How a capture is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

/// What a decompressor says of a file that does not just end too early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Bytes between these places are wrong.
    #[error("{what}")]
    Damaged {
        compression: Compression,
        start: u64,
        end: u64,
        what: String,
    },
    /// Behind the compressed data stands something else.
    #[error("garbage from byte {start} on")]
    Garbage { start: u64 },
}

impl Broken {
    /// What the error is, where a decompressor made it.
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl Compression {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Decompresses a file that is read from its beginning; and where in it.
    pub(super) fn reader(self, file: impl Read + Send + 'static) -> (Box<dyn Read + Send>, Place) {
        let (source, place) = BytesRead::of(BufReader::with_capacity(CHUNK, file));
        let reader: Box<dyn Read + Send> = match self {
            Self::Gzip => Box::new(GzipReader::new(source, place.clone())),
            Self::Zstd => Box::new(ZstdReader::new(source, place.clone())),
        };
        (reader, place)
    }
}
