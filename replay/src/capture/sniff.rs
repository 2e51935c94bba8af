//! Recognises what a stream holds by its first bytes, through one layer of compression.

use std::fmt;
use std::io::{self, Read};

use pcap_file::pcap::PcapHeader;

use super::compression::{Broken, Compression, Place};
use super::pcap::{self, Pcap};
use super::pcapng::Pcapng;
use super::window::Window;
use super::{CaptureError, Format};

/// What was found in place of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// No byte at all.
    Empty,
    /// Readable text.
    Text,
    /// A pcap or pcapng that ends within its first header.
    Headless,
    /// Compressed data within compressed data.
    CompressedTwice,
    /// A capture of another kind, which other tools convert.
    OtherCapture(&'static str),
    /// Parquet, which is a trace where `equipoise extract` wrote it, and then stands alone.
    Parquet,
    /// Compressed in a way that is not read.
    OtherCompression(&'static str),
    /// Anything else: its first bytes.
    Unknown(Vec<u8>),
}

impl Found {
    /// What to do about it, to be appended to a message.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::OtherCapture(_) => "; `editcap -F pcap IN OUT` converts it",
            Self::Parquet => "; a table that `equipoise extract` wrote is read alone",
            Self::OtherCompression(_) | Self::CompressedTwice => "; decompress it first",
            _ => "",
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Text => f.write_str("text"),
            Self::Headless => f.write_str("cut short within its first header"),
            Self::CompressedTwice => f.write_str("compressed twice"),
            Self::OtherCapture(kind) => write!(f, "a {kind} file"),
            Self::Parquet => f.write_str("a Parquet file"),
            Self::OtherCompression(kind) => write!(f, "a {kind} archive"),
            Self::Unknown(bytes) => {
                f.write_str("data that begins with")?;
                bytes.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
        }
    }
}

enum Content {
    Pcap(Pcap),
    Pcapng,
    Compressed(Compression),
    Other(Found),
}

/// What a stream holds.
pub(super) struct Recognised {
    pub(super) format: Format,
    /// At the first record or block.
    pub(super) window: Window,
    /// How it is compressed, and where in the file the decompressor is.
    pub(super) compression: Option<(Compression, Place)>,
}

/// Finds format and compression.
pub(super) fn recognise(
    name: &str,
    reader: Box<dyn Read + Send>,
) -> Result<Recognised, CaptureError> {
    let mut window = Window::new(reader);
    let mut compression: Option<(Compression, Place)> = None;
    let refuse = |found| CaptureError::NotACapture {
        name: name.to_owned(),
        found,
    };
    loop {
        match window.fill(pcap::HEADER) {
            Ok(()) => {}
            // A compressed stream that breaks off may still have given enough to judge by.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                if window.bytes().is_empty() {
                    return Err(refuse(Found::Headless));
                }
            }
            Err(error) if matches!(Broken::of(&error), Some(Broken::Garbage { .. })) => {}
            Err(error) => return Err(CaptureError::unreadable(name, 0, 0, error)),
        }
        let format = match content(window.bytes()) {
            Content::Pcap(pcap) => {
                window.take(pcap::HEADER);
                Format::Pcap(pcap)
            }
            Content::Pcapng => Format::Pcapng(Pcapng::default()),
            Content::Other(found) => return Err(refuse(found)),
            Content::Compressed(_) if compression.is_some() => {
                return Err(refuse(Found::CompressedTwice));
            }
            Content::Compressed(kind) => {
                let (reader, place) = kind.reader(window.into_reader());
                window = Window::new(reader);
                compression = Some((kind, place));
                continue;
            }
        };
        return Ok(Recognised {
            format,
            window,
            compression,
        });
    }
}

fn content(bytes: &[u8]) -> Content {
    if let Ok((_, header)) = PcapHeader::from_slice(bytes) {
        return Content::Pcap(Pcap::new(&header));
    }
    Content::Other(match bytes {
        [] => Found::Empty,
        [0x0a, 0x0d, 0x0d, 0x0a, rest @ ..] if rest.len() >= 8 => return Content::Pcapng,
        [0x1f, 0x8b, ..] => return Content::Compressed(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            return Content::Compressed(Compression::Zstd);
        }
        [0x0a, 0x0d, 0x0d, 0x0a, ..]
        | [0xa1, 0xb2, 0xc3, 0xd4, ..]
        | [0xd4, 0xc3, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0x3c, 0x4d, ..]
        | [0x4d, 0x3c, 0xb2, 0xa1, ..] => Found::Headless,
        // Its longer record headers are not in the crate that frames pcap.
        [0xa1, 0xb2, 0xcd, 0x34, ..] | [0x34, 0xcd, 0xb2, 0xa1, ..] => {
            Found::OtherCapture("modified pcap (magic a1b2cd34)")
        }
        [b's', b'n', b'o', b'o', b'p', 0, ..] => Found::OtherCapture("Solaris snoop"),
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => {
            Found::OtherCapture("Network Monitor")
        }
        [b'B', b'Z', b'h', ..] => Found::OtherCompression("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Found::OtherCompression("xz"),
        [0x04, 0x22, 0x4d, 0x18, ..] => Found::OtherCompression("lz4"),
        [b'P', b'A', b'R', b'1', ..] => Found::Parquet,
        [b'P', b'K', 3, 4, ..] => Found::OtherCompression("zip"),
        _ if bytes
            .iter()
            .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) =>
        {
            Found::Text
        }
        _ => Found::Unknown(bytes.iter().copied().take(8).collect()),
    })
}
