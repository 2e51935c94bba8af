//! Captures as a stream of timed, numbered frames.
//!
//! Owns pcap and pcapng, plain or compressed, from files and from standard input. The content
//! decides what a file is, never its name. Looks at no byte of a frame: `decode` does. Memory is
//! one buffer per open capture, bounded whatever a file claims.

mod compression;
mod content;
mod error;
mod expand;
mod gzip;
mod pcap;
mod pcapng;
mod sniff;
mod source;
mod spool;
mod window;
mod zstd;

pub(crate) use content::Content;
pub use error::{CaptureError, Damage, Warning};
pub use expand::Expanded;
pub use sniff::Found;
pub use source::Source;

use std::io::{self, Read};
use std::ops::Range;

use compression::{Broken, Compression, Place};
use pcap::Pcap;
use pcapng::Pcapng;
use sniff::Recognised;
use window::{BytesRead, Window};

/// The longest record or block that is believed, in bytes. Real ones stay far below: the largest
/// segmentation offload makes half a megabyte.
pub const LONGEST_RECORD: usize = 16 << 20;

/// Bytes behind a record that cannot be, which are decompressed to learn whether the compression is
/// what is damaged. Most flipped bits of a gzip stream show only in the checksum at its end.
const LOOKED_THROUGH: u64 = 256 << 20;

/// One frame as the capture has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its place in the capture, from 1.
    pub number: u64,
    /// Nanoseconds since the Unix epoch; none for a simple packet block, nor where the capture's
    /// time lies outside what 64 bits hold.
    pub time_ns: Option<u64>,
    /// `LINKTYPE_` number, without the frame check sequence bits.
    pub link_type: u16,
    /// Length on the wire in bytes.
    pub original_length: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
}

/// An open capture.
pub struct Capture {
    name: String,
    window: Window,
    format: Format,
    compression: Option<(Compression, Place)>,
    packets: u64,
    bytes_read: BytesRead,
    warning: Option<Warning>,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// What a format makes of the bytes at hand.
enum Step {
    /// A frame; its bytes lie at `bytes`, and `length` bytes are done with.
    Frame { record: Record, length: usize },
    /// Nothing of interest in the next so many bytes.
    Skip(usize),
    /// More bytes are needed, or the capture ends in mid-record.
    Incomplete,
}

struct Record {
    time_ns: Option<u64>,
    link_type: u16,
    original_length: u32,
    bytes: Range<usize>,
}

impl Capture {
    /// Recognises what `reader` holds; `name` is for messages.
    pub fn from_read(
        name: impl Into<String>,
        reader: impl Read + Send + 'static,
    ) -> Result<Self, CaptureError> {
        let name = name.into();
        let (reader, bytes_read) = BytesRead::of(reader);
        let Recognised {
            format,
            window,
            compression,
        } = sniff::recognise(&name, Box::new(reader))?;
        Ok(Self {
            name,
            window,
            format,
            compression,
            packets: 0,
            bytes_read,
            warning: None,
        })
    }

    /// The next frame; none at the end of the capture. After an error there is no next frame.
    ///
    /// A file that grows meanwhile is read to the end that it has when that is reached.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        loop {
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.step(self.window.bytes()),
                Format::Pcapng(pcapng) => pcapng.step(self.window.bytes()),
            };
            match step {
                Ok(Step::Frame { record, length }) => {
                    self.packets += 1;
                    let bytes = self.window.take(length);
                    return Ok(Some(frame(self.packets, &record, bytes)));
                }
                Ok(Step::Skip(length)) => {
                    self.window.take(length);
                }
                Ok(Step::Incomplete) => {
                    if !self.read_more()? {
                        return Ok(None);
                    }
                }
                Err(damage) => return Err(self.damaged(damage)),
            }
        }
    }

    /// Gives the next frames of a pcap to `take`, as far as they are at hand and until it says that
    /// this is enough, which is the answer: most frames of most captures, in few steps. All others
    /// are left to [`Capture::next_frame`].
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "called for every frame: handing it over in memory doubles its time"
    )]
    pub(crate) fn at_hand(&mut self, mut take: impl FnMut(Frame<'_>) -> bool) -> bool {
        let Format::Pcap(pcap) = &self.format else {
            return false;
        };
        let mut bytes = self.window.bytes();
        let (before, mut is_enough) = (bytes.len(), false);
        while !is_enough
            && let Ok(Step::Frame { record, length }) = pcap.step(bytes)
            && let Some((of_frame, rest)) = bytes.split_at_checked(length)
        {
            self.packets += 1;
            bytes = rest;
            is_enough = take(frame(self.packets, &record, of_frame));
        }
        let taken = before - bytes.len();
        self.window.take(taken);
        is_enough
    }

    /// How many frames were read so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// How many bytes of the file (compressed, where it is) were read so far, some of them ahead.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }

    /// What the user should know of how the capture ended; complete once there is no next frame.
    pub fn warning(&self) -> Option<&Warning> {
        self.warning.as_ref()
    }

    /// What kind of file it is: `pcap (microseconds, little-endian)`, `pcapng`, either with
    /// `, gzip` or `, zstd` behind it.
    pub fn file_type(&self) -> String {
        let mut text = match &self.format {
            Format::Pcap(pcap) => pcap.file_type(),
            Format::Pcapng(_) => "pcapng".to_owned(),
        };
        if let Some((compression, _)) = &self.compression {
            text.push_str(", ");
            text.push_str(compression.name());
        }
        text
    }

    /// The name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads once; false at the end, also at the one that an error made.
    #[cold]
    fn read_more(&mut self) -> Result<bool, CaptureError> {
        match self.window.read_more() {
            Ok(true) => return Ok(true),
            Ok(false) if self.window.bytes().is_empty() => {}
            Ok(false) => self.warn_truncated(),
            // How decompressors say that their input ends in mid-stream.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.warn_truncated(),
            Err(error) => {
                let Some(Broken::Garbage { start }) = Broken::of(&error) else {
                    let offset = self.window.offset();
                    self.window.close();
                    let (name, packets) = (&self.name, self.packets);
                    return Err(CaptureError::unreadable(name, packets, offset, error));
                };
                self.warning = Some(Warning::TrailingGarbage {
                    name: self.name.clone(),
                    offset: *start,
                });
            }
        }
        self.window.close();
        Ok(false)
    }

    #[cold]
    fn damaged(&mut self, damage: Damage) -> CaptureError {
        let offset = self.window.offset();
        let broken = self.broken_compression();
        self.window.close();
        broken.unwrap_or(CaptureError::Damaged {
            name: self.name.clone(),
            packets: self.packets,
            offset,
            damage,
        })
    }

    /// Whether the compression around what was read by now is damaged, told by what follows.
    fn broken_compression(&mut self) -> Option<CaptureError> {
        let (_, place) = self.compression.as_ref()?;
        let noticed = place.get();
        let error = self.window.drain(LOOKED_THROUGH).err()?;
        match CaptureError::unreadable(&self.name, self.packets, 0, error) {
            CaptureError::Compression {
                name,
                compression,
                packets,
                start,
                end,
                what,
            } if start < noticed => Some(CaptureError::Compression {
                name,
                compression,
                packets,
                start,
                end: end.min(noticed),
                what,
            }),
            _ => None,
        }
    }

    fn warn_truncated(&mut self) {
        self.warning = Some(Warning::Truncated {
            name: self.name.clone(),
            packets: self.packets,
            offset: self.window.offset(),
        });
    }
}

/// The frame whose record is in these bytes.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as `Capture::at_hand`")]
fn frame<'a>(number: u64, record: &Record, bytes: &'a [u8]) -> Frame<'a> {
    Frame {
        number,
        time_ns: record.time_ns,
        link_type: record.link_type,
        original_length: record.original_length,
        bytes: &bytes[record.bytes.clone()],
    }
}
