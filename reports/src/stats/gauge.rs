//! A level over time: its peak and its time-weighted mean, in integers.

use crate::model::Level;

/// Follows one level.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    start_ns: u64,
    since_ns: u64,
    level: u64,
    peak: u64,
    /// Level times nanoseconds.
    area: u128,
}

impl Gauge {
    /// Begins at level 0.
    pub const fn new(start_ns: u64) -> Self {
        Self {
            start_ns,
            since_ns: start_ns,
            level: 0,
            peak: 0,
            area: 0,
        }
    }

    /// From `now_ns` on (never earlier than before) the level is this.
    #[inline]
    pub fn set(&mut self, now_ns: u64, level: u64) {
        self.pass(now_ns);
        self.level = level;
        self.peak = self.peak.max(level);
    }

    /// The level as it stands.
    #[inline]
    pub const fn level(&self) -> u64 {
        self.level
    }

    /// Peak and mean up to `end_ns`; no mean where no time has passed.
    pub fn finish(mut self, end_ns: u64) -> Level {
        self.pass(end_ns);
        let elapsed = self.since_ns - self.start_ns;
        Level {
            peak: self.peak,
            mean: (elapsed > 0).then(|| self.area as f64 / elapsed as f64),
        }
    }

    #[inline]
    fn pass(&mut self, now_ns: u64) {
        let elapsed = now_ns.saturating_sub(self.since_ns);
        self.area += u128::from(self.level) * u128::from(elapsed);
        self.since_ns += elapsed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_is_weighted_by_time() {
        let mut gauge = Gauge::new(100);
        gauge.set(110, 4);
        gauge.set(130, 9);
        gauge.set(130, 1);
        let level = gauge.finish(200);
        assert_eq!(level.peak, 9);
        assert_eq!(level.mean, Some((4.0 * 20.0 + 70.0) / 100.0));
    }

    #[test]
    fn no_mean_where_time_stands_still() {
        let mut gauge = Gauge::new(100);
        gauge.set(100, 4);
        assert_eq!(
            gauge.finish(100),
            Level {
                peak: 4,
                mean: None
            }
        );
    }
}
