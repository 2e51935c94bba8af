//! What can be wrong with a capture, told so that the user knows what, where and what to do.

use std::io;

use pcap_file::pcapng::PcapNgFormatError;

use super::Found;
use super::compression::Broken;
use super::source::STANDARD_INPUT;
use crate::shell;
use crate::table::TableError;

/// A capture that cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("cannot open {name}: {source}")]
    Open {
        /// The capture.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// More captures overlap than files may be open; the trace ends there.
    #[error(
        "cannot open {name} beside the {open} captures that it overlaps: the limit of open files is reached, and no capture is read any further; raise it (`ulimit -n`), or give fewer captures at a time"
    )]
    TooManyOpen {
        /// The capture.
        name: String,
        /// Captures that are open.
        open: usize,
    },
    /// The path is a directory.
    #[error("{name} is a directory; name the captures in it")]
    Directory {
        /// The path.
        name: String,
    },
    /// A folder in which no file is a capture.
    #[error(
        "{name} holds no capture; accepted are pcap and pcapng, plain or compressed with gzip or zstd"
    )]
    NoCapture {
        /// The folder.
        name: String,
    },
    /// A pattern that no file's name matches.
    #[error("no file is called {name}, and as a pattern it matches none")]
    NoMatch {
        /// The pattern.
        name: String,
    },
    /// A name that is neither a file's nor a pattern.
    #[error(
        "no file is called {name}, and it is no pattern: {} at character {}",
        source.msg,
        source.pos
    )]
    Pattern {
        /// The pattern.
        name: String,
        /// Why.
        source: glob::PatternError,
    },
    /// What can be read once only cannot be kept for a second reading.
    #[error(
        "cannot keep {name} in {folder}, to read it twice: {source}; name a folder with more room in TMPDIR, or give a file instead"
    )]
    Keep {
        /// The capture.
        name: String,
        /// The folder for temporary files.
        folder: String,
        /// Why.
        source: io::Error,
    },
    /// The content is no capture of a kind that is read.
    #[error(
        "{name} is {found}, not a capture; accepted are pcap and pcapng, plain or compressed with gzip or zstd{}",
        found.advice()
    )]
    NotACapture {
        /// The capture.
        name: String,
        /// What it is.
        found: Found,
    },
    /// The file could be read no further.
    #[error("cannot read {name} beyond packet {packets} (byte {offset}): {source}")]
    Read {
        /// The capture.
        name: String,
        /// Packets read before.
        packets: u64,
        /// Bytes of the decompressed content that were read before.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The compression around it does not hold.
    #[error(
        "the {compression} compression of {name} is damaged between bytes {start} and {end} of the file ({what}), noticed {}: packets before that may be wrong, too; copy or capture it anew",
        behind(*packets)
    )]
    Compression {
        /// The capture.
        name: String,
        /// `gzip` or `zstd`.
        compression: &'static str,
        /// Packets read before it was noticed.
        packets: u64,
        /// Where in the file what is damaged begins.
        start: u64,
        /// Where in the file it was noticed.
        end: u64,
        /// What the decompressor said.
        what: String,
    },
    /// A table that is to be read as a trace, but cannot.
    #[error("cannot read the table {name}: {source}")]
    Table {
        /// The table.
        name: String,
        /// Why.
        source: TableError,
    },
    /// What went wrong with a capture when a table was made of it.
    #[error("{text}")]
    Recorded {
        /// What was said then.
        text: String,
    },
    /// The bytes make no sense from some place on.
    #[error(
        "{name} is damaged {}, at byte {offset}: {damage}; {}",
        behind(*packets),
        what_can_be_kept(name, *packets)
    )]
    Damaged {
        /// The capture.
        name: String,
        /// Packets read before.
        packets: u64,
        /// Where the damaged record or block begins in the decompressed content.
        offset: u64,
        /// What is wrong there.
        #[source]
        damage: Damage,
    },
}

impl CaptureError {
    /// From what a file or its decompressor said.
    pub(super) fn unreadable(name: &str, packets: u64, offset: u64, error: io::Error) -> Self {
        let name = name.to_owned();
        match Broken::of(&error) {
            Some(Broken::Damaged {
                compression,
                start,
                end,
                what,
            }) => Self::Compression {
                name,
                compression: compression.name(),
                packets,
                start: *start,
                end: *end,
                what: what.clone(),
            },
            _ => Self::Read {
                name,
                packets,
                offset,
                source: error,
            },
        }
    }
}

fn behind(packets: u64) -> String {
    match packets {
        0 => "before its first packet".to_owned(),
        _ => format!("behind packet {packets}"),
    }
}

fn what_can_be_kept(name: &str, packets: u64) -> String {
    match packets {
        0 => "nothing of it can be kept: copy or capture it anew".to_owned(),
        _ if name == STANDARD_INPUT => {
            format!("saved to a file, `editcap -r FILE OUT 1-{packets}` keeps what comes before")
        }
        _ => format!(
            "`editcap -r {} OUT 1-{packets}` keeps what comes before",
            shell::quoted(name.as_ref())
        ),
    }
}

/// What is wrong with a record or block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It claims an impossible length.
    #[error("a record claims {claimed} bytes, at most {accepted} are accepted")]
    TooLong {
        /// The length it claims.
        claimed: u64,
        /// The longest that is believed.
        accepted: u64,
    },
    /// A block is shorter than what it must hold.
    #[error("a block of type {kind} is too short for its content")]
    ShortBlock {
        /// Block type.
        kind: u32,
    },
    /// A packet of an interface that its section does not describe.
    #[error("a packet names interface {number}, {described} are described")]
    UnknownInterface {
        /// The interface, from 0.
        number: u32,
        /// Interfaces described so far in the section.
        described: usize,
    },
    /// A section describes more interfaces than are kept.
    #[error("a section describes more than {accepted} interfaces")]
    TooManyInterfaces {
        /// The most that are kept.
        accepted: usize,
    },
    /// A pcapng block is malformed.
    #[error("malformed block ({0})")]
    Pcapng(#[source] PcapNgFormatError),
}

/// What the user should know, though the run goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The capture ends in mid-record.
    #[error(
        "{name} is cut short behind packet {packets} (byte {offset}); its last record is ignored"
    )]
    Truncated {
        /// The capture.
        name: String,
        /// Packets read.
        packets: u64,
        /// Where the incomplete record begins.
        offset: u64,
    },
    /// Behind a gzip stream that is whole stands something else, which is ignored as `gzip` does.
    #[error("{name}: what stands behind byte {offset} of the file is no gzip data and is ignored")]
    TrailingGarbage {
        /// The capture.
        name: String,
        /// Where in the file the gzip stream ends.
        offset: u64,
    },
    /// What was said of a capture when a table was made of it.
    #[error("{text}")]
    Recorded {
        /// The warning.
        text: String,
    },
    /// A file of a folder is no capture.
    #[error("{name} is left out: it is {found}, not a capture{}", found.advice())]
    LeftOut {
        /// The file.
        name: String,
        /// What it is.
        found: Found,
    },
}
