//! Captures as a stream of timed, numbered frames.
//!
//! Owns pcap and pcapng, plain or compressed, from files and from standard input. The content
//! decides what a file is, never its name. Looks at no byte of a frame: `decode` does. Memory is
//! one buffer per open capture, bounded whatever a file claims.

mod content;
mod error;
mod expand;
mod pcap;
mod pcapng;
mod sniff;
mod source;
mod spool;
mod window;
mod zstd;

pub(crate) use content::Content;
pub use error::{CaptureError, Damage, Warning};
pub use sniff::Found;
pub use source::Source;

use std::io::{self, Read};
use std::ops::Range;

use pcap::Pcap;
use pcapng::Pcapng;
use window::{BytesRead, Window};

/// The longest record or block that is believed, in bytes. Real ones stay far below: the largest
/// segmentation offload makes half a megabyte.
pub const LONGEST_RECORD: usize = 16 << 20;

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
        let (format, window) = sniff::recognise(&name, Box::new(reader))?;
        Ok(Self {
            name,
            window,
            format,
            packets: 0,
            bytes_read,
            warning: None,
        })
    }

    /// The next frame; none at the end of the capture. After an error there is no next frame.
    ///
    /// A file that grows meanwhile is read to the end that it has when that is reached.
    #[inline]
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
                    return Ok(Some(Frame {
                        number: self.packets,
                        time_ns: record.time_ns,
                        link_type: record.link_type,
                        original_length: record.original_length,
                        bytes: &bytes[record.bytes],
                    }));
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
            Err(source) => {
                let error = CaptureError::Read {
                    name: self.name.clone(),
                    packets: self.packets,
                    offset: self.window.offset(),
                    source,
                };
                self.window.close();
                return Err(error);
            }
        }
        self.window.close();
        Ok(false)
    }

    #[cold]
    fn damaged(&mut self, damage: Damage) -> CaptureError {
        let error = CaptureError::Damaged {
            name: self.name.clone(),
            packets: self.packets,
            offset: self.window.offset(),
            damage,
        };
        self.window.close();
        error
    }

    fn warn_truncated(&mut self) {
        self.warning = Some(Warning::Truncated {
            name: self.name.clone(),
            packets: self.packets,
            offset: self.window.offset(),
        });
    }
}
