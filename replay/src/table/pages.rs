//! The bytes of a Parquet file, and the pages of its columns. Nothing that a file claims is believed
//! before it is checked, so memory stays bounded.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crc32fast::Hasher;
use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnDescriptor;

use super::encoding;
use crate::capture::Content;

/// The longest page, or footer, that is read. Tables have pages of a few megabytes: of one segment
/// and column at most.
const LONGEST: usize = 256 << 20;
/// What is read at once where the length is not known.
const BUFFER: usize = 4 << 10;
/// What is read at once for a checksum.
const CHUNK: usize = 256 << 10;

/// The content of a file, for the Parquet crate.
pub(super) struct File {
    content: Content,
    bytes_read: AtomicU64,
}

impl File {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            bytes_read: AtomicU64::new(0),
        }
    }

    /// Bytes of pages that were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// The checksum of the bytes from `start` to `end`.
    pub(super) fn checksum(&self, start: u64, end: u64) -> io::Result<u32> {
        let mut checksum = Hasher::new();
        let mut buffer = vec![0; CHUNK];
        let mut place = start;
        while place < end {
            let most = buffer.len().min((end - place) as usize);
            match self.content.read_at(place, &mut buffer[..most])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    checksum.update(&buffer[..count]);
                    place += count as u64;
                }
            }
        }
        Ok(checksum.finalize())
    }

    fn from(&self, place: u64) -> From {
        From {
            content: self.content.clone(),
            place,
        }
    }
}

impl Length for File {
    fn len(&self) -> u64 {
        self.content.len()
    }
}

impl ChunkReader for File {
    type T = io::BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(io::BufReader::with_capacity(BUFFER, self.from(start)))
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
        self.from(start).read_exact(&mut bytes)?;
        self.bytes_read.fetch_add(length as u64, Ordering::Relaxed);
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

/// What a column has for each element: a value, and whether a row begins with it.
pub(super) struct Column<T> {
    /// The values that are defined.
    pub(super) values: Vec<T>,
    pub(super) is_defined: Vec<bool>,
    pub(super) begins_row: Vec<bool>,
}

/// How values of a type are read.
pub(super) trait Values<T> {
    fn plain(&self, bytes: &[u8], count: usize) -> Option<Vec<T>>;

    /// None also where the type has no differences.
    fn differences(&self, bytes: &[u8], count: usize) -> Option<Vec<T>>;
}

/// Numbers of so many bytes.
pub(super) struct Numbers(pub(super) usize);

/// Truths: 0 and 1.
pub(super) struct Bits;

/// Texts that are made something else.
pub(super) struct Texts<F>(pub(super) F);

impl Values<u64> for Numbers {
    fn plain(&self, bytes: &[u8], count: usize) -> Option<Vec<u64>> {
        encoding::plain(bytes, self.0, count)
    }

    fn differences(&self, bytes: &[u8], count: usize) -> Option<Vec<u64>> {
        encoding::differences(bytes, self.0, count)
    }
}

impl Values<u64> for Bits {
    fn plain(&self, bytes: &[u8], count: usize) -> Option<Vec<u64>> {
        encoding::plain_bits(bytes, count)
    }

    fn differences(&self, _: &[u8], _: usize) -> Option<Vec<u64>> {
        None
    }
}

impl<T, F: Fn(&[u8]) -> Option<T>> Values<T> for Texts<F> {
    fn plain(&self, bytes: &[u8], count: usize) -> Option<Vec<T>> {
        encoding::plain_texts(bytes, count, &self.0)
    }

    fn differences(&self, _: &[u8], _: usize) -> Option<Vec<T>> {
        None
    }
}

/// Reads the pages of a column, of `most` elements together.
pub(super) fn read<T: Copy>(
    pages: impl Iterator<Item = Result<Page>>,
    of: &ColumnDescriptor,
    most: usize,
    values: &impl Values<T>,
) -> Result<Column<T>> {
    let mut column = Column {
        values: Vec::new(),
        is_defined: Vec::new(),
        begins_row: Vec::new(),
    };
    let mut dictionary: Vec<T> = Vec::new();
    for page in pages {
        let page = page?;
        let count = page.num_values() as usize;
        // An entry of a dictionary is there for some element.
        if count > most - column.is_defined.len() {
            return Err(general(format!("a page claims {count} of {most} elements")));
        }
        match page {
            Page::DictionaryPage { buf, .. } => {
                let entries = values.plain(&buf, count);
                dictionary = entries.ok_or_else(|| general("a dictionary cannot be read"))?;
            }
            Page::DataPage { buf, encoding, .. } => {
                let read = read_page(&buf, encoding, of, count, &dictionary, values, &mut column);
                read.ok_or_else(|| general(format!("a page of {encoding} cannot be read")))?;
            }
            Page::DataPageV2 { .. } => return Err(general("a page of another version")),
        }
    }
    Ok(column)
}

fn read_page<T: Copy>(
    mut bytes: &[u8],
    encoding: Encoding,
    of: &ColumnDescriptor,
    count: usize,
    dictionary: &[T],
    values: &impl Values<T>,
    column: &mut Column<T>,
) -> Option<()> {
    let mut levels = |deepest, wanted| match deepest {
        0 => Some(vec![true; count]),
        _ => encoding::levels(&mut bytes, deepest, wanted, count),
    };
    let mut begins_row = levels(of.max_rep_level(), 0)?;
    let mut is_defined = levels(of.max_def_level(), of.max_def_level())?;
    let count = is_defined.iter().filter(|&&is_defined| is_defined).count();
    column.begins_row.append(&mut begins_row);
    column.is_defined.append(&mut is_defined);
    match encoding {
        Encoding::PLAIN => column.values.append(&mut values.plain(bytes, count)?),
        Encoding::DELTA_BINARY_PACKED => {
            column.values.append(&mut values.differences(bytes, count)?);
        }
        Encoding::RLE_DICTIONARY => {
            let mut entries = encoding::entries(bytes, dictionary, count)?;
            column.values.append(&mut entries);
        }
        _ => return None,
    }
    Some(())
}

fn general(what: impl Into<String>) -> ParquetError {
    ParquetError::General(what.into())
}
