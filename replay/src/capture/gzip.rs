//! gzip streams of several members, and what stands behind them: as `gzip` does, zeros are passed
//! over, and so is anything else, which is told.

use std::io::{self, BufRead, Chain, Read};

use flate2::bufread::GzDecoder;

use super::compression::{Broken, Compression, Place};

/// How a member begins.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Decompresses one member after the other.
pub(super) struct GzipReader<R> {
    /// None at the end.
    member: Option<Member<R>>,
    place: Place,
    /// Where the member begins in the file.
    start: u64,
}

/// What was read to recognise it comes first.
type Member<R> = GzDecoder<Chain<&'static [u8], R>>;

impl<R: BufRead> GzipReader<R> {
    /// `place` is where `source` is in the file.
    pub(super) fn new(source: R, place: Place) -> Self {
        Self {
            start: place.get(),
            place,
            member: Some(GzDecoder::new((&[][..]).chain(source))),
        }
    }

    /// Begins the next member, if there is one.
    fn next_member(&mut self, mut source: R) -> io::Result<()> {
        self.start = self.place.get();
        let mut magic = Vec::new();
        (&mut source).take(2).read_to_end(&mut magic)?;
        if magic == MAGIC {
            self.member = Some(GzDecoder::new((&MAGIC[..]).chain(source)));
            return Ok(());
        }
        // What tapes and disks are filled up with.
        let mut is_zero = magic.iter().all(|&byte| byte == 0);
        while is_zero {
            let bytes = match source.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            is_zero = bytes.iter().all(|&byte| byte == 0);
            let count = bytes.len();
            source.consume(count);
        }
        Err(self.garbage())
    }

    fn garbage(&self) -> io::Error {
        io::Error::other(Broken::Garbage { start: self.start })
    }

    fn failed(&self, member: &Member<R>, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::InvalidInput {
            return error;
        }
        if member.header().is_none() && self.start > 0 {
            return self.garbage();
        }
        io::Error::other(Broken::Damaged {
            compression: Compression::Gzip,
            start: self.start,
            end: self.place.get(),
            what: error.to_string(),
        })
    }
}

impl<R: BufRead> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(mut member) = self.member.take() {
            match member.read(buffer) {
                Ok(0) => self.next_member(member.into_inner().into_inner().1)?,
                Ok(count) => {
                    self.member = Some(member);
                    return Ok(count);
                }
                Err(error) => {
                    let error = self.failed(&member, error);
                    self.member = Some(member);
                    return Err(error);
                }
            }
        }
        Ok(0)
    }
}
