//! A bounded histogram of durations whose quantiles are right within 0.4 %.
//!
//! Log-linear buckets as in `HdrHistogram`: exact below 256, above that 128 buckets for each power
//! of two. Sparse, integer only and independent of the order of what is recorded or merged.

use crate::model::Latency;

/// Bits of a value that its bucket keeps.
const PRECISION: u32 = 8;

/// Counts of values by bucket: at most 7,424 buckets, whatever is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// In the order of values.
    buckets: Vec<(u16, u64)>,
    count: u64,
    sum: u128,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.add(bucket(value), 1);
        self.count += 1;
        self.sum += u128::from(value);
    }

    /// Adds all that another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            self.add(bucket, count);
        }
        self.count += other.count;
        self.sum += other.sum;
    }

    #[inline]
    fn add(&mut self, bucket: u16, count: u64) {
        match self
            .buckets
            .binary_search_by_key(&bucket, |&(known, _)| known)
        {
            Ok(place) => self.buckets[place].1 += count,
            Err(place) => self.buckets.insert(place, (bucket, count)),
        }
    }

    /// Values counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Exact mean; none without values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The value at a percentile by nearest rank: the smallest value that at least this part of
    /// the values does not exceed, given as the middle of its bucket. None without values.
    pub fn percentile(&self, percent: u32) -> Option<u64> {
        let rank = (u128::from(self.count) * u128::from(percent.min(100))).div_ceil(100);
        let mut passed = 0;
        self.buckets
            .iter()
            .find(|&&(_, count)| {
                passed += u128::from(count);
                passed >= rank
            })
            .map(|&(bucket, _)| middle(bucket))
    }

    /// The summary of values in nanoseconds; none without values.
    pub fn latency_of_ns(&self) -> Option<Latency> {
        let us = |percent| self.percentile(percent).map(|ns| ns as f64 / 1e3);
        Some(Latency {
            count: self.count,
            mean_us: self.mean()? / 1e3,
            median_us: us(50)?,
            p95_us: us(95)?,
            p99_us: us(99)?,
        })
    }
}

/// The bucket of a value: its leading eight bits and how far they were shifted.
fn bucket(value: u64) -> u16 {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(PRECISION);
    let leading = (value >> shift) as u16;
    (shift as u16) * 128 + leading
}

/// The middle of a bucket, rounded down.
fn middle(bucket: u16) -> u64 {
    let shift = u32::from(bucket / 128).saturating_sub(1);
    let leading = u64::from(bucket) - u64::from(shift) * 128;
    (leading << shift) + ((1_u64 << shift) - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nearest_rank_by_hand() {
        let mut histogram = Histogram::default();
        for value in [15, 20, 35, 40, 50] {
            histogram.record(value);
        }
        let at = |percent| histogram.percentile(percent).unwrap();
        assert_eq!(
            [at(5), at(30), at(40), at(50), at(100)],
            [15, 20, 20, 35, 50]
        );
        assert_eq!(histogram.mean(), Some(32.0));
    }

    #[test]
    fn nothing_has_no_summary() {
        assert_eq!(Histogram::default().percentile(50), None);
        assert_eq!(Histogram::default().latency_of_ns(), None);
    }

    #[test]
    fn small_values_are_exact_and_the_largest_fits() {
        for value in 0..=256 {
            assert_eq!(middle(bucket(value)), value);
        }
        assert_eq!(bucket(u64::MAX), 56 * 128 + 255);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_error(
            mut values in prop::collection::vec(prop_oneof![0_u64..5_000, any::<u64>()], 1..200),
            percent in 1_u32..=100,
        ) {
            let mut histogram = Histogram::default();
            for &value in &values {
                histogram.record(value);
            }
            values.sort_unstable();
            let rank = (values.len() * percent as usize).div_ceil(100);
            let exact = values[rank - 1];
            let error = histogram.percentile(percent).unwrap().abs_diff(exact);
            prop_assert!(u128::from(error) * 1_000 <= u128::from(exact) * 4);
        }

        #[test]
        fn merging_is_recording(
            left in prop::collection::vec(any::<u64>(), 0..50),
            right in prop::collection::vec(any::<u64>(), 0..50),
        ) {
            let of = |values: &[u64]| {
                let mut histogram = Histogram::default();
                for &value in values {
                    histogram.record(value);
                }
                histogram
            };
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let both: Vec<u64> = right.iter().chain(&left).copied().collect();
            prop_assert_eq!(merged, of(&both));
        }
    }
}
