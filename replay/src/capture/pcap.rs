//! Classic pcap: one header, then records. Micro- and nanoseconds, both byte orders.

use byteorder_slice::{BigEndian, LittleEndian};
use pcap_file::Endianness;
use pcap_file::pcap::{PcapHeader, PcapParseError, PcapTsResolution, RawPcapPacket};

use super::{Damage, LONGEST_RECORD, Record, Step};

/// Length of the file header.
pub(super) const HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// libpcap's own bound, where the header's snapshot length is smaller.
const LONGEST_FRAME: u32 = 262_144;

pub(super) struct Pcap {
    endianness: Endianness,
    link_type: u16,
    nanoseconds_per_fraction: u64,
    longest: usize,
}

impl Pcap {
    /// From the file header, which the caller has recognised.
    pub(super) fn new(header: &PcapHeader) -> Self {
        Self {
            endianness: header.endianness,
            // The upper half carries the length of the frame check sequence.
            link_type: u32::from(header.datalink) as u16,
            nanoseconds_per_fraction: match header.ts_resolution {
                PcapTsResolution::MicroSecond => 1_000,
                PcapTsResolution::NanoSecond => 1,
            },
            longest: (header.snaplen.max(LONGEST_FRAME) as usize).min(LONGEST_RECORD),
        }
    }

    // The raw record of the crate and not its validated packet: that one refuses what real files
    // hold, such as frames longer than the snapshot length or than their original length. Its
    // reader is not used either: it buffers 8 MB per capture, cannot tell a truncated last record
    // from a claim of gigabytes, and knows no offsets.
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<Step, Damage> {
        let parsed = match self.endianness {
            Endianness::Big => RawPcapPacket::from_slice::<BigEndian>(bytes),
            Endianness::Little => RawPcapPacket::from_slice::<LittleEndian>(bytes),
        };
        let claimed = match &parsed {
            Ok((_, packet)) => packet.incl_len as usize,
            Err(PcapParseError::IncompleteBuffer(needed, _)) => *needed,
            Err(PcapParseError::Validation(_)) => 0,
        };
        if claimed > self.longest {
            return Err(Damage::TooLong {
                claimed: claimed as u64,
                accepted: self.longest as u64,
            });
        }
        match parsed {
            Ok((_, packet)) => {
                let end = RECORD_HEADER + claimed;
                Ok(Step::Frame {
                    record: Record {
                        time_ns: Some(
                            u64::from(packet.ts_sec) * 1_000_000_000
                                + u64::from(packet.ts_frac) * self.nanoseconds_per_fraction,
                        ),
                        link_type: self.link_type,
                        original_length: packet.orig_len,
                        bytes: RECORD_HEADER..end,
                    },
                    length: end,
                })
            }
            Err(PcapParseError::IncompleteBuffer(..)) => Ok(Step::Incomplete),
            Err(PcapParseError::Validation(source)) => Err(Damage::Pcap(source)),
        }
    }
}
