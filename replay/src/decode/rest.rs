//! A frame behind the headers read so far: what of it was captured, and its length on the link.

use super::Skipped;

#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) on_wire: u32,
}

impl Rest<'_> {
    /// Leaves the next `count` bytes behind.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) -> Result<(), Skipped> {
        self.bytes = self.bytes.get(count..).ok_or(Skipped::TruncatedHeader)?;
        self.on_wire = self.on_wire.saturating_sub(count as u32);
        Ok(())
    }

    /// Cuts off what lies behind the next `length` bytes: padding, or other content.
    pub(super) fn cut(&mut self, length: u32) {
        let captured = self.bytes.len().min(length as usize);
        self.bytes = &self.bytes[..captured];
        self.on_wire = self.on_wire.min(length);
    }

    /// The byte at `place`.
    #[inline]
    pub(super) fn byte(&self, place: usize) -> Result<u8, Skipped> {
        let byte = self.bytes.get(place).copied();
        byte.ok_or(Skipped::TruncatedHeader)
    }

    /// The two bytes at `place`.
    #[inline]
    pub(super) fn pair(&self, place: usize) -> Result<[u8; 2], Skipped> {
        match self.bytes.get(place..place + 2) {
            Some(&[first, second]) => Ok([first, second]),
            _ => Err(Skipped::TruncatedHeader),
        }
    }

    /// The number in network byte order at `place`.
    #[inline]
    pub(super) fn number(&self, place: usize) -> Result<u16, Skipped> {
        self.pair(place).map(u16::from_be_bytes)
    }
}
