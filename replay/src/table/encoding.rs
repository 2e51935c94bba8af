//! The encodings that tables are written with, read without trust: what cannot be is None, and
//! nothing is made longer than was asked for.
//!
//! In place of the Parquet crate's own decoders, which panic where a page contradicts itself.

/// Whole numbers of 1, 2 or 4 bytes and more, one behind the other.
pub(super) fn plain(bytes: &[u8], width: usize, count: usize) -> Option<Vec<u64>> {
    let bytes = bytes.get(..count.checked_mul(width)?)?;
    let number = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..width].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    Some(bytes.chunks_exact(width).map(number).collect())
}

/// Bits, eight in a byte.
pub(super) fn plain_bits(bytes: &[u8], count: usize) -> Option<Vec<u64>> {
    let bytes = bytes.get(..count.div_ceil(8))?;
    Some((0..count).map(|place| bits_at(bytes, place, 1)).collect())
}

/// Byte strings behind their lengths, each made something else.
pub(super) fn plain_texts<T>(
    mut bytes: &[u8],
    count: usize,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Option<Vec<T>> {
    let mut texts = Vec::new();
    for _ in 0..count {
        let length = take(&mut bytes, 4)?.try_into().ok()?;
        let text = take(&mut bytes, u32::from_le_bytes(length) as usize)?;
        texts.push(parse(text)?);
    }
    Some(texts)
}

/// Levels behind their length in bytes, each as whether it is `wanted`.
pub(super) fn levels(
    bytes: &mut &[u8],
    deepest: i16,
    wanted: i16,
    count: usize,
) -> Option<Vec<bool>> {
    let length = take(bytes, 4)?.try_into().ok()?;
    let run = take(bytes, u32::from_le_bytes(length) as usize)?;
    let width = i16::BITS - deepest.leading_zeros();
    let wanted = u64::from(wanted.unsigned_abs());
    hybrid(run, width as usize, count, |level| Some(level == wanted))
}

/// Entries of a dictionary by their places, behind the width of these.
pub(super) fn entries<T: Copy>(mut bytes: &[u8], dictionary: &[T], count: usize) -> Option<Vec<T>> {
    let width = take(&mut bytes, 1)?[0];
    let entry = |place| dictionary.get(usize::try_from(place).ok()?).copied();
    hybrid(bytes, usize::from(width), count, entry)
}

/// Runs of one number and packed ones, in any order, each made something else.
fn hybrid<T: Copy>(
    mut bytes: &[u8],
    width: usize,
    count: usize,
    make: impl Fn(u64) -> Option<T>,
) -> Option<Vec<T>> {
    if width > 32 {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let header = usize::try_from(number(&mut bytes)?).ok()?;
        let left = count - values.len();
        let length = header >> 1;
        if header & 1 == 0 {
            let value = take(&mut bytes, width.div_ceil(8))?;
            let value = make(bits_at(value, 0, width))?;
            values.resize(values.len() + length.min(left), value);
        } else {
            let packed = take(&mut bytes, length.checked_mul(width)?)?;
            let here = length.saturating_mul(8).min(left);
            for place in 0..here {
                values.push(make(bits_at(packed, place * width, width))?);
            }
        }
    }
    Some(values)
}

/// Differences to the number before (`DELTA_BINARY_PACKED`), of numbers of so many bytes.
pub(super) fn differences(mut bytes: &[u8], width: usize, count: usize) -> Option<Vec<u64>> {
    let mask = u64::MAX >> (64 - 8 * width);
    let block = usize::try_from(number(&mut bytes)?).ok()?;
    let parts = usize::try_from(number(&mut bytes)?).ok()?;
    let length = block.checked_div(parts)?;
    if number(&mut bytes)? != count as u64 || length == 0 || length > 1 << 16 || length % 32 != 0 {
        return None;
    }
    let mut value = signed(&mut bytes)?;
    let mut values = Vec::with_capacity(count);
    if count > 0 {
        values.push(value & mask);
    }
    while values.len() < count {
        let least = signed(&mut bytes)?;
        for &width in take(&mut bytes, parts)? {
            if values.len() == count {
                break;
            }
            let width = usize::from(width);
            if width > 64 {
                return None;
            }
            let packed = take(&mut bytes, length / 8 * width)?;
            for place in 0..length.min(count - values.len()) {
                let above = bits_at(packed, place * width, width);
                value = value.wrapping_add(least).wrapping_add(above);
                values.push(value & mask);
            }
        }
    }
    Some(values)
}

/// `width` bits from the bit `start` on, the lowest first; those behind the end are 0.
#[inline]
fn bits_at(bytes: &[u8], start: usize, width: usize) -> u64 {
    let bytes = bytes.get(start / 8..).unwrap_or_default();
    let mut word = [0; 16];
    match bytes.first_chunk() {
        Some(whole) => word = *whole,
        None => word[..bytes.len()].copy_from_slice(bytes),
    }
    let word = u128::from_le_bytes(word) >> (start % 8);
    (word & ((1 << width) - 1)) as u64
}

/// A number of seven bits a byte, the lowest first.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A number with its sign in the lowest bit, as 64 bits that wrap.
fn signed(bytes: &mut &[u8]) -> Option<u64> {
    let number = number(bytes)?;
    Some((number >> 1) ^ (number & 1).wrapping_neg())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}
