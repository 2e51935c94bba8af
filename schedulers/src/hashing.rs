//! The kernel's multiplicative hash, which `dh`, `sh` and the locality tables share.

/// `hash_32`: the top `bits` (1 to 32) of `value` times the golden ratio's 32-bit fraction.
#[inline]
pub(crate) const fn hash_32(value: u32, bits: u32) -> u32 {
    value.wrapping_mul(0x61C8_8647) >> (32 - bits)
}

#[cfg(test)]
mod tests {
    use super::hash_32;

    #[test]
    fn buckets_of_the_kernel() {
        let observed = [
            ([10, 0, 0, 1], 39),
            ([10, 0, 0, 2], 137),
            ([10, 0, 0, 3], 235),
            ([192, 168, 1, 1], 136),
            ([192, 168, 1, 100], 89),
            ([8, 8, 8, 8], 188),
        ];
        for (address, bucket) in observed {
            assert_eq!(hash_32(u32::from_be_bytes(address), 8), bucket);
        }
    }
}
