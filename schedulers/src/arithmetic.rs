//! Arithmetic that several policies share: the kernel's multiplicative hash and the divisor of
//! weights.

/// `hash_32`: the top `bits` (1 to 32) of `value` times the golden ratio's 32-bit fraction.
#[inline]
pub(crate) const fn hash_32(value: u32, bits: u32) -> u32 {
    value.wrapping_mul(0x61C8_8647) >> (32 - bits)
}

/// Greatest common divisor; that of 0 and `b` is `b`.
pub(crate) const fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::{gcd, hash_32};

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

    #[test]
    fn divisors() {
        assert_eq!([200, 400, 600, 0, 100].into_iter().fold(0, gcd), 100);
        assert_eq!(gcd(0, 0), 0);
        assert_eq!(gcd(i32::MAX as u32, 2), 1);
    }
}
