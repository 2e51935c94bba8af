//! A table in place of the captures that it was made of.
//!
//! Gives the packets in the order that they had, and tells of the captures what was recorded. How
//! many packets a capture has, skipped ones included, is told at the end only.

use equipoise_core::Timestamp;

use super::reader::Head;
use super::{CaptureFacts, CaptureView, Totals, Trace};
use crate::capture::{CaptureError, Source, Warning};
use crate::decode::{Decoder, TunnelPorts, Tunnels};
use crate::table::{Facts, Part, Reader, Segment, TableError};

pub(super) struct Table {
    name: String,
    size: u64,
    decoder: Decoder,
    part: Option<Part>,
    reader: Reader,
    segment: Segment,
    next: usize,
    /// Packets that are still to come.
    left: u64,
    /// What was recorded, until it is told.
    facts: Option<Facts>,
    captures: Vec<Captured>,
}

/// When a packet comes, and in which capture.
type Place = (Timestamp, u32);

/// One capture that the table was made of.
struct Captured {
    name: String,
    facts: CaptureFacts,
    warning: Option<Warning>,
}

impl Trace {
    /// What of its captures a table was made of, where that is not all.
    pub(crate) fn part(&self) -> Option<Part> {
        self.table.as_ref()?.part
    }
}

impl Table {
    /// None where the source is no table.
    pub(super) fn open(source: &Source, decoder: Decoder) -> Result<Option<Self>, CaptureError> {
        let content = source.content()?;
        let mut magic = [0; 4];
        // Who reads it as a capture is told why it cannot be read.
        if content.read_at(0, &mut magic).unwrap_or(0) < 4 || &magic != b"PAR1" {
            return Ok(None);
        }
        let size = content.len();
        let name = source.name().to_owned();
        let of_table = |source| CaptureError::Table {
            name: name.clone(),
            source,
        };
        let (reader, facts) = Reader::open(content).map_err(of_table)?;
        match (decoder.tunnels, facts.decoder().tunnels) {
            (Tunnels::Inner, Tunnels::Outer) => return Err(of_table(TableError::OuterPackets)),
            (Tunnels::Outer, Tunnels::Inner) => return Err(of_table(TableError::InnerPackets)),
            _ => {}
        }
        if ![TunnelPorts::NONE, facts.decoder().ports].contains(&decoder.ports) {
            return Err(of_table(TableError::TunnelPorts));
        }
        let captures = facts.captures.iter().map(|capture| Captured {
            name: capture.name.clone(),
            // Its times are known, the rest is counted.
            facts: CaptureFacts {
                packets: 0,
                bytes: 0,
                ..capture.facts()
            },
            warning: None,
        });
        Ok(Some(Self {
            captures: captures.collect(),
            name,
            size,
            decoder: facts.decoder(),
            part: facts.selection,
            reader,
            segment: Segment::default(),
            next: 0,
            left: facts.packets,
            facts: Some(facts),
        }))
    }

    /// The next packet with its time and capture; none at the end, which an error is, too.
    #[inline]
    pub(super) fn next(
        &mut self,
        totals: &mut Totals,
    ) -> Result<Option<(Place, Head)>, CaptureError> {
        if self.next == self.segment.len() && !self.load()? {
            return Ok(None);
        }
        let Some(packet) = self.segment.packet(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        self.left = self.left.saturating_sub(1);
        totals.frames += 1;
        match packet.raw_time_ns {
            Some(raw) if raw < packet.time.0 => totals.retimed(packet.time.0 - raw),
            Some(_) => {}
            None => totals.without_time += 1,
        }
        if let Some(capture) = self.captures.get_mut(packet.capture as usize) {
            capture.facts.packets += 1;
            capture.facts.bytes += u64::from(packet.decoded.packet.length);
        }
        let head = Head {
            number: packet.number,
            raw_time_ns: packet.raw_time_ns,
            decoded: packet.decoded,
        };
        Ok(Some(((packet.time, packet.capture), head)))
    }

    /// How frames became packets.
    pub(super) fn decoder(&self) -> Decoder {
        self.decoder
    }

    /// Whether the last packet was given.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// From now on it is over.
    pub(super) fn break_off(&mut self) {
        self.left = 0;
        self.facts = None;
        self.segment = Segment::default();
        self.next = 0;
    }

    /// Once it is over, tells what was recorded, unless it broke off.
    pub(super) fn finish(&mut self, totals: &mut Totals, errors: &mut Vec<CaptureError>) {
        if !self.is_over() {
            return;
        }
        let Some(facts) = self.facts.take() else {
            return;
        };
        *totals = facts.totals();
        for (capture, recorded) in self.captures.iter_mut().zip(facts.captures) {
            capture.facts = recorded.facts();
            capture.warning = recorded.warning.map(|text| Warning::Recorded { text });
        }
        let texts = facts.errors.into_iter();
        errors.extend(texts.map(|text| CaptureError::Recorded { text }));
    }

    /// Bytes of the file that were read, and that it has.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.reader.bytes_read().min(self.size), self.size)
    }

    pub(super) fn captures(&self) -> impl Iterator<Item = CaptureView<'_>> {
        self.captures.iter().map(|capture| CaptureView {
            name: &capture.name,
            facts: &capture.facts,
            warning: capture.warning.as_ref(),
        })
    }

    /// Loads the next segment; false at the end.
    #[cold]
    fn load(&mut self) -> Result<bool, CaptureError> {
        self.next = 0;
        if self.is_over() {
            self.segment = Segment::default();
            return Ok(false);
        }
        match self.reader.next_segment() {
            Ok(Some(segment)) => {
                self.segment = segment;
                Ok(true)
            }
            Ok(None) => {
                self.break_off();
                Ok(false)
            }
            Err(source) => {
                self.break_off();
                Err(CaptureError::Table {
                    name: self.name.clone(),
                    source,
                })
            }
        }
    }
}
