//! Bodies of messages: where they end, without keeping a byte of them.
//!
//! Chunks as RFC 9112 7.1 has them, read as nginx reads them: lines may end in LF alone, and
//! extensions and trailers are passed over.

use super::Reason;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunks),
    /// It ends with the connection.
    UntilClose,
}

/// Where in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In a chunk's size, of so many digits up to now.
    Size(u64, u8),
    /// Behind it, in the same line.
    Extension(u64),
    /// In its data, of which so much is left.
    Data(u64),
    /// Behind its data, before the end of the line.
    DataEnd,
    /// Behind the last chunk, in a line that has or has no content.
    Trailer(bool),
}

impl Body {
    pub(super) const CHUNKED: Self = Self::Chunked(Chunks::Size(0, 0));

    /// Whether there is nothing to it.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// How many bytes are sure to belong to it, whatever they are.
    pub(super) fn surely_left(self) -> u32 {
        match self {
            Self::Length(left) | Self::Chunked(Chunks::Data(left)) => {
                u32::try_from(left).unwrap_or(u32::MAX)
            }
            Self::Chunked(_) => 0,
            Self::UntilClose => u32::MAX,
        }
    }

    /// Passes over so many bytes, less than are sure to belong to it.
    pub(super) fn pass(&mut self, count: u32) {
        if let Self::Length(left) | Self::Chunked(Chunks::Data(left)) = self {
            *left -= u64::from(count);
        }
    }

    /// Passes over what comes next, of which the last `missing` bytes are not at hand; how much
    /// belonged to the body, and what is wrong with the next byte, if anything is. It is over where that is not all, or where bytes are missing that
    /// would be needed.
    pub(super) fn skip(&mut self, bytes: &[u8], missing: u64) -> (u64, Result<(), Reason>) {
        let all = bytes.len() as u64 + missing;
        match self {
            Self::UntilClose => (all, Ok(())),
            Self::Length(left) => {
                let used = all.min(*left);
                *left -= used;
                (used, Ok(()))
            }
            Self::Chunked(chunks) => {
                let mut used = 0;
                loop {
                    let bytes = bytes.get(used as usize..).unwrap_or_default();
                    if let Chunks::Data(left) = chunks {
                        let part = (all - used).min(*left);
                        used += part;
                        *left -= part;
                        if *left > 0 {
                            return (used, Ok(()));
                        }
                        *chunks = Chunks::DataEnd;
                    } else if let Some(&byte) = bytes.first() {
                        let is_last = match chunks.step(byte) {
                            Ok(is_last) => is_last,
                            Err(reason) => return (used, Err(reason)),
                        };
                        used += 1;
                        if is_last {
                            *self = Self::Length(0);
                            return (used, Ok(()));
                        }
                    } else {
                        return (used, Ok(()));
                    }
                }
            }
        }
    }
}

impl Chunks {
    /// Takes in a byte that is no data; whether it is the last of the body.
    fn step(&mut self, byte: u8) -> Result<bool, Reason> {
        *self = match (*self, byte) {
            (Self::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                let size = size.checked_mul(16).ok_or(Reason::Chunk)? + digit;
                Self::Size(size, digits.saturating_add(1))
            }
            (Self::Size(_, 0), _) => return Err(Reason::Chunk),
            (Self::Size(size, _) | Self::Extension(size), b'\n') => match size {
                0 => Self::Trailer(false),
                size => Self::Data(size),
            },
            (Self::Size(size, _), b'\r' | b';' | b' ' | b'\t') | (Self::Extension(size), _) => {
                Self::Extension(size)
            }
            (Self::DataEnd, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::Size(0, 0),
            (Self::Size(..) | Self::Data(_) | Self::DataEnd, _) => return Err(Reason::Chunk),
            (Self::Trailer(false), b'\n') => return Ok(true),
            (Self::Trailer(_), b'\n') => Self::Trailer(false),
            (Self::Trailer(has_content), b'\r') => Self::Trailer(has_content),
            (Self::Trailer(_), _) => Self::Trailer(true),
        };
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of `stream` that belong to a body in chunks, read in pieces of `size`.
    fn chunked(stream: &[u8], size: usize) -> Result<(u64, bool), Reason> {
        let (mut body, mut used) = (Body::CHUNKED, 0);
        for piece in stream.chunks(size) {
            let (part, outcome) = body.skip(piece, 0);
            outcome?;
            used += part;
            if body.is_over() {
                return Ok((used, true));
            }
        }
        Ok((used, false))
    }

    #[test]
    fn chunks_end_where_they_say_however_they_come() {
        let whole =
            b"5\r\nhello\r\n1A;name=value\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nA: b\r\n\r\n";
        let stream = [&whole[..], b"GET"].concat();
        for size in 1..stream.len() {
            assert_eq!(chunked(&stream, size), Ok((whole.len() as u64, true)));
        }
        for cut in 0..whole.len() {
            assert_eq!(chunked(&whole[..cut], 7), Ok((cut as u64, false)));
        }
    }

    #[test]
    fn what_is_no_size_is_an_error() {
        for stream in [
            "x\r\n",
            "\r\n",
            "-1\r\n",
            "ffffffffffffffff1\r\n",
            "1\r\nab",
        ] {
            assert_eq!(
                chunked(stream.as_bytes(), 3),
                Err(Reason::Chunk),
                "{stream}"
            );
        }
    }

    #[test]
    fn data_may_be_missing_and_framing_may_not() {
        let mut body = Body::CHUNKED;
        assert_eq!(body.skip(b"10\r\nab", 10), (16, Ok(())));
        assert_eq!(body.skip(b"cdef\r\n", 0), (6, Ok(())));
        assert_eq!(body.skip(b"10\r\nab", 20), (20, Ok(())));
        assert_eq!(body, Body::Chunked(Chunks::DataEnd));
    }
}
