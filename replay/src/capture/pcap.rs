//! Classic pcap: one header, then records. Micro- and nanoseconds, both byte orders.

use byteorder_slice::{BigEndian, ByteOrder, LittleEndian};
use pcap_file::Endianness;
use pcap_file::pcap::{PcapHeader, PcapTsResolution};

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

    /// As [`super::Capture::file_type`] tells it.
    pub(super) fn file_type(&self) -> String {
        let resolution = match self.nanoseconds_per_fraction {
            1 => "nanoseconds",
            _ => "microseconds",
        };
        let order = match self.endianness {
            Endianness::Big => "big-endian",
            Endianness::Little => "little-endian",
        };
        format!("pcap ({resolution}, {order})")
    }

    // The crate's parser of records gives the same, proved below, but only when the compiler happens
    // to inline it as fast: else it costs half as much again. Its packets are not used because they
    // refuse what real files hold, such as frames longer than the snapshot length or than their
    // original length, nor its reader, which buffers 8 MB per capture, cannot tell a truncated last
    // record from a claim of gigabytes, and knows no offsets.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Capture::at_hand`")]
    pub(super) fn step(&self, bytes: &[u8]) -> Result<Step, Damage> {
        match self.endianness {
            Endianness::Big => self.step_in::<BigEndian>(bytes),
            Endianness::Little => self.step_in::<LittleEndian>(bytes),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Capture::at_hand`")]
    fn step_in<B: ByteOrder>(&self, bytes: &[u8]) -> Result<Step, Damage> {
        let Some(header) = bytes.first_chunk::<RECORD_HEADER>() else {
            return Ok(Step::Incomplete);
        };
        let seconds = u64::from(B::read_u32(header));
        let fraction = u64::from(B::read_u32(&header[4..]));
        let captured = B::read_u32(&header[8..]) as usize;
        if captured > self.longest {
            return Err(Damage::TooLong {
                claimed: captured as u64,
                accepted: self.longest as u64,
            });
        }
        let end = RECORD_HEADER + captured;
        if end > bytes.len() {
            return Ok(Step::Incomplete);
        }
        let record = Record {
            time_ns: Some(seconds * 1_000_000_000 + fraction * self.nanoseconds_per_fraction),
            link_type: self.link_type,
            original_length: B::read_u32(&header[12..]),
            bytes: RECORD_HEADER..end,
        };
        Ok(Step::Frame {
            record,
            length: end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcap::{PcapParseError, RawPcapPacket};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_are_what_the_crate_finds(
            mut bytes in prop::collection::vec(any::<u8>(), 0..100),
            length in prop_oneof![0..90_u32, any::<u32>()],
        ) {
            if let Some(place) = bytes.get_mut(8..12) {
                LittleEndian::write_u32(place, length);
            }
            same::<LittleEndian>(Endianness::Little, &bytes)?;
            if let Some(place) = bytes.get_mut(8..12) {
                BigEndian::write_u32(place, length);
            }
            same::<BigEndian>(Endianness::Big, &bytes)?;
        }
    }

    fn same<B: ByteOrder>(endianness: Endianness, bytes: &[u8]) -> Result<(), TestCaseError> {
        let pcap = Pcap::new(&PcapHeader {
            endianness,
            ..PcapHeader::default()
        });
        match (pcap.step(bytes), RawPcapPacket::from_slice::<B>(bytes)) {
            (Ok(Step::Frame { record, length }), Ok((rest, packet))) => {
                let time =
                    u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_frac) * 1_000;
                prop_assert_eq!(record.time_ns, Some(time));
                prop_assert_eq!(record.original_length, packet.orig_len);
                prop_assert_eq!(&bytes[record.bytes], &packet.data[..]);
                prop_assert_eq!(&bytes[length..], rest);
            }
            (Ok(Step::Incomplete), Err(PcapParseError::IncompleteBuffer(needed, _))) => {
                prop_assert!(needed <= LONGEST_FRAME as usize);
            }
            (Err(_), Err(PcapParseError::IncompleteBuffer(needed, _))) => {
                prop_assert!(needed > LONGEST_FRAME as usize);
            }
            (_, other) => prop_assert!(false, "{other:?}"),
        }
        Ok(())
    }
}
