//! pcapng: sections, each with its byte order and interfaces; blocks of unknown kinds are skipped.

use byteorder_slice::{BigEndian, ByteOrder, LittleEndian};
use pcap_file::pcapng::RawBlockParseError;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, PACKET_BLOCK, RawBlock,
    SECTION_HEADER_BLOCK, SIMPLE_PACKET_BLOCK,
};

use super::{Damage, LONGEST_RECORD, Record, Step};

/// Type and length stand before a block's body, the length again behind it.
const BLOCK_HEADER: usize = 8;
const SHORTEST_BLOCK: usize = BLOCK_HEADER + 4;
const PACKET_HEADER: usize = 20;
/// Interfaces of a section that are kept: a few bytes of a compressed capture can repeat without
/// end. Real ones describe a few dozen.
const MOST_INTERFACES: usize = 1 << 16;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_OFFSET: u16 = 14;

#[derive(Default)]
pub(super) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

struct Interface {
    link_type: u16,
    snapshot_length: u32,
    clock: Clock,
}

/// How an interface counts time.
struct Clock {
    unit: Unit,
    offset_s: i64,
}

enum Unit {
    /// A tick is so many nanoseconds.
    Nanoseconds(u64),
    /// So many ticks are a nanosecond.
    PerNanosecond(u128),
    /// A tick is 2 to the minus so many seconds.
    BinaryFraction(u32),
}

impl Pcapng {
    // Only the framing is the crate's. Its block decoding gives up a whole capture over one option
    // it dislikes (an interface name that is not UTF-8, an empty filter, a reserved field), over a
    // frame longer than its original length, or over a time before 1970, and it allocates the
    // options of every packet. Byte order per section is right in both.
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<Step, Damage> {
        if self.big_endian {
            self.step_in::<BigEndian>(bytes)
        } else {
            self.step_in::<LittleEndian>(bytes)
        }
    }

    #[inline]
    fn step_in<B: ByteOrder>(&mut self, bytes: &[u8]) -> Result<Step, Damage> {
        let (kind, length) = match plain::<B>(bytes) {
            Some(block) => block,
            None => match framed::<B>(bytes)? {
                Some(block) => block,
                None => return Ok(Step::Incomplete),
            },
        };
        let body = &bytes[BLOCK_HEADER..length - 4];
        let record = match kind {
            ENHANCED_PACKET_BLOCK | PACKET_BLOCK => {
                if body.len() < PACKET_HEADER {
                    return Err(Damage::ShortBlock { kind });
                }
                let interface = if kind == PACKET_BLOCK {
                    u32::from(B::read_u16(body))
                } else {
                    B::read_u32(body)
                };
                let ticks =
                    u64::from(B::read_u32(&body[4..])) << 32 | u64::from(B::read_u32(&body[8..]));
                let captured = B::read_u32(&body[12..]) as usize;
                if captured > body.len() - PACKET_HEADER {
                    return Err(Damage::ShortBlock { kind });
                }
                let interface = self.interface(interface)?;
                let start = BLOCK_HEADER + PACKET_HEADER;
                Record {
                    time_ns: interface.clock.nanoseconds(ticks),
                    link_type: interface.link_type,
                    original_length: B::read_u32(&body[16..]),
                    bytes: start..start + captured,
                }
            }
            SIMPLE_PACKET_BLOCK => {
                if body.len() < 4 {
                    return Err(Damage::ShortBlock { kind });
                }
                let interface = self.interface(0)?;
                let original_length = B::read_u32(body);
                let limit = match interface.snapshot_length {
                    0 => u32::MAX,
                    limit => limit,
                };
                let captured = (original_length.min(limit) as usize).min(body.len() - 4);
                let start = BLOCK_HEADER + 4;
                Record {
                    time_ns: None,
                    link_type: interface.link_type,
                    original_length,
                    bytes: start..start + captured,
                }
            }
            SECTION_HEADER_BLOCK => {
                // `RawBlock` has just checked the byte-order magic against this.
                self.big_endian = bytes[BLOCK_HEADER] == 0x1a;
                self.interfaces.clear();
                return Ok(Step::Skip(length));
            }
            INTERFACE_DESCRIPTION_BLOCK => {
                if self.interfaces.len() == MOST_INTERFACES {
                    return Err(Damage::TooManyInterfaces {
                        accepted: MOST_INTERFACES,
                    });
                }
                let interface = Interface::parse::<B>(body).ok_or(Damage::ShortBlock { kind })?;
                self.interfaces.push(interface);
                return Ok(Step::Skip(length));
            }
            _ => return Ok(Step::Skip(length)),
        };
        Ok(Step::Frame { record, length })
    }

    fn interface(&self, number: u32) -> Result<&Interface, Damage> {
        self.interfaces
            .get(number as usize)
            .ok_or(Damage::UnknownInterface {
                number,
                described: self.interfaces.len(),
            })
    }
}

/// Type and length of a block that is whole and no section header: what the crate finds, without
/// its call and the body that it hands out, which cost a third of all that is done for a frame.
#[inline]
fn plain<B: ByteOrder>(bytes: &[u8]) -> Option<(u32, usize)> {
    let header = bytes.first_chunk::<BLOCK_HEADER>()?;
    let kind = B::read_u32(header);
    let length = B::read_u32(&header[4..]) as usize;
    let sound = (SHORTEST_BLOCK..=LONGEST_RECORD).contains(&length) && length.is_multiple_of(4);
    let whole = sound && bytes.get(length - 4..length)? == &header[4..];
    (whole && kind != SECTION_HEADER_BLOCK).then_some((kind, length))
}

/// Type and length of any block, none if it is not whole.
#[cold]
fn framed<B: ByteOrder>(bytes: &[u8]) -> Result<Option<(u32, usize)>, Damage> {
    let (block, length) = match RawBlock::from_slice::<B>(bytes) {
        Ok((_, block)) => {
            let length = block.initial_len as usize;
            (Some((block.type_, length)), length)
        }
        // Said without the block's header, which is there already.
        Err(RawBlockParseError::IncompleteBuffer(needed, _)) => (None, BLOCK_HEADER + needed),
        Err(RawBlockParseError::InvalidFormat(source)) => return Err(Damage::Pcapng(source)),
    };
    if length > LONGEST_RECORD {
        return Err(Damage::TooLong {
            claimed: length as u64,
            accepted: LONGEST_RECORD as u64,
        });
    }
    Ok(block)
}

impl Interface {
    fn parse<B: ByteOrder>(body: &[u8]) -> Option<Self> {
        let (fixed, mut options) = body.split_at_checked(8)?;
        let mut clock = Clock {
            unit: Unit::Nanoseconds(1_000),
            offset_s: 0,
        };
        // Options that make no sense end the list, not the capture.
        while let Some((header, rest)) = options.split_at_checked(4) {
            let code = B::read_u16(header);
            let length = usize::from(B::read_u16(&header[2..]));
            let Some(value) = rest.get(..length) else {
                break;
            };
            match (code, value) {
                (0, _) => break,
                (OPTION_RESOLUTION, &[resolution]) => clock.unit = Unit::of(resolution),
                (OPTION_OFFSET, value) if length == 8 => clock.offset_s = B::read_i64(value),
                _ => {}
            }
            options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(Self {
            link_type: B::read_u16(fixed),
            snapshot_length: B::read_u32(&fixed[4..]),
            clock,
        })
    }
}

impl Unit {
    /// Of the option's byte: a negative power of 10, or of 2 where the highest bit is set.
    fn of(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            Self::BinaryFraction(exponent)
        } else if exponent <= 9 {
            Self::Nanoseconds(10_u64.pow(9 - exponent))
        } else {
            // Beyond 10^38 no 64-bit count of ticks makes a nanosecond either.
            Self::PerNanosecond(10_u128.checked_pow(exponent - 9).unwrap_or(u128::MAX))
        }
    }
}

impl Clock {
    #[inline]
    fn nanoseconds(&self, ticks: u64) -> Option<u64> {
        let since = match self.unit {
            Unit::Nanoseconds(each) => ticks.checked_mul(each)?,
            Unit::PerNanosecond(count) => (u128::from(ticks) / count) as u64,
            // 2^64 ticks times 10^9 stay below 2^94; a shift beyond the width leaves nothing.
            Unit::BinaryFraction(bits) => (u128::from(ticks) * 1_000_000_000)
                .checked_shr(bits)
                .unwrap_or(0)
                .try_into()
                .ok()?,
        };
        if self.offset_s == 0 {
            return Some(since);
        }
        u64::try_from(i128::from(since) + i128::from(self.offset_s) * 1_000_000_000).ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_finds_what_the_crate_finds(
            kind in prop_oneof![Just(1), Just(6), Just(SECTION_HEADER_BLOCK), any::<u32>()],
            length in prop_oneof![0..80_u32, any::<u32>()],
            trailer in prop_oneof![3 => Just(None), 1 => any::<u32>().prop_map(Some)],
            size in 0..90_usize,
        ) {
            both::<LittleEndian>(kind, length, trailer, size)?;
            both::<BigEndian>(kind, length, trailer, size)?;
        }
    }

    fn both<B: ByteOrder>(
        kind: u32,
        length: u32,
        trailer: Option<u32>,
        size: usize,
    ) -> Result<(), TestCaseError> {
        let mut bytes = vec![0; 90];
        B::write_u32(&mut bytes, kind);
        B::write_u32(&mut bytes[4..], length);
        if let Ok(end @ 4..=90) = usize::try_from(length) {
            B::write_u32(&mut bytes[end - 4..], trailer.unwrap_or(length));
        }
        let found = plain::<B>(&bytes[..size]);
        let expected = framed::<B>(&bytes[..size]).ok().flatten();
        prop_assert_eq!(
            found,
            expected.filter(|block| block.0 != SECTION_HEADER_BLOCK)
        );
        Ok(())
    }

    /// However much is at hand when it is looked at.
    #[test]
    fn a_block_is_too_long_whether_it_is_whole_or_not() {
        let length = LONGEST_RECORD as u32 + 4;
        let mut bytes = [6_u32.to_le_bytes(), length.to_le_bytes()].concat();
        bytes.resize(LONGEST_RECORD, 0);
        bytes.extend(length.to_le_bytes());
        for size in [12, bytes.len()] {
            assert_eq!(plain::<LittleEndian>(&bytes[..size]), None);
            let damage = framed::<LittleEndian>(&bytes[..size]).unwrap_err();
            assert_eq!(
                damage.to_string(),
                "a record claims 16777220 bytes, at most 16777216 are accepted"
            );
        }
    }
}
