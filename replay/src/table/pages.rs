//! The bytes of a Parquet file, and its pages: nothing that a file claims is believed before it is
//! checked, so that memory stays bounded and decoders are given only what they can take.

use std::io::{self, Read};

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::capture::Content;

/// The longest page, or footer, that is read. Tables have pages of a few megabytes: of one segment
/// and column at most.
const LONGEST: usize = 256 << 20;
/// What is read at once where the length is not known.
const BUFFER: usize = 4 << 10;

/// The content of a file, for the Parquet crate.
pub(super) struct File(pub(super) Content);

impl Length for File {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for File {
    type T = io::BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let from = From {
            content: self.0.clone(),
            place: start,
        };
        Ok(io::BufReader::with_capacity(BUFFER, from))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let left = self.len().saturating_sub(start);
        if length > LONGEST || length as u64 > left {
            return Err(general(format!(
                "{length} bytes are claimed at byte {start}, {} can be read",
                left.min(LONGEST as u64)
            )));
        }
        let mut bytes = vec![0; length];
        let mut reader = From {
            content: self.0.clone(),
            place: start,
        };
        reader.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// A file from some place on.
pub(super) struct From {
    content: Content,
    place: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read_at(self.place, buffer)?;
        self.place += count as u64;
        Ok(count)
    }
}

/// Pages of one column, checked.
pub(super) struct Checked<P> {
    pub(super) pages: P,
    /// Values that are still expected.
    pub(super) values_left: usize,
    pub(super) has_dictionary: bool,
}

impl<P: PageReader> Checked<P> {
    fn check(&mut self, page: &Page) -> Result<()> {
        let values = page.num_values() as usize;
        let encoding = page.encoding();
        if page.is_dictionary_page() {
            let is_first = !std::mem::replace(&mut self.has_dictionary, true);
            // Every entry is there for some value.
            if !is_first || values > self.values_left {
                return Err(general("a dictionary that cannot be"));
            }
            return Ok(());
        }
        let is_readable = match encoding {
            Encoding::RLE_DICTIONARY => self.has_dictionary,
            Encoding::PLAIN | Encoding::RLE | Encoding::DELTA_BINARY_PACKED => true,
            _ => false,
        };
        if !is_readable {
            return Err(general(format!("a page cannot be encoded as {encoding}")));
        }
        match self.values_left.checked_sub(values) {
            Some(left) => self.values_left = left,
            None => {
                return Err(general(format!(
                    "a page claims {values} values, {} are expected",
                    self.values_left
                )));
            }
        }
        Ok(())
    }
}

impl<P: PageReader> PageReader for Checked<P> {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check(page)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl<P: PageReader> Iterator for Checked<P> {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

fn general(what: impl Into<String>) -> ParquetError {
    ParquetError::General(what.into())
}
