//! Levels over a run in bounded memory, by server: peaks within equal buckets that double in width
//! as the run grows. It draws nothing: see [`crate::plot`].

use serde::ser::{Error, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::to_raw_value;

/// The most buckets that a [`Timeline`] has.
pub const BUCKETS: usize = 400;

/// What the buckets of a [`Timeline`] count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Nanoseconds of scaled time since the run's begin.
    Time,
    /// Connections that arrived, where time stands still.
    Connections,
}

/// Concurrent connections over a run, at most [`BUCKETS`] points a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// What the buckets count.
    pub axis: Axis,
    /// Width of a bucket: nanoseconds of scaled time, or connections.
    pub bucket: u64,
    /// For each server, in the order of the rows, the peak within each bucket.
    #[serde(serialize_with = "one_line_each")]
    pub peaks: Vec<Vec<u64>>,
}

/// Records the levels of a service's servers and keeps the peak within each bucket.
///
/// A bucket's peak counts the level that it begins with, too. When the run outgrows [`BUCKETS`]
/// buckets, each two become one: memory is bounded and the length need not be known beforehand.
#[derive(Clone, Debug)]
pub struct Recorder {
    axis: Axis,
    start: u64,
    bucket: u64,
    /// Where the bucket ends that is being filled, from the start.
    filled: u64,
    levels: Vec<u64>,
    /// One row of peaks for each bucket so far; the last one is being filled.
    rows: Vec<Vec<u64>>,
}

impl Recorder {
    /// Begins at `start` (in units of the axis) with all servers at 0.
    pub fn new(axis: Axis, start: u64, servers: usize) -> Self {
        let bucket = match axis {
            Axis::Time => 1_000,
            Axis::Connections => 1,
        };
        Self {
            axis,
            start,
            bucket,
            filled: bucket,
            levels: vec![0; servers],
            rows: vec![vec![0; servers]],
        }
    }

    /// The place on the axis is now `at` (never earlier than before) and the server at `position`
    /// has this level. A position beyond the servers is ignored.
    pub fn set(&mut self, at: u64, position: usize, level: u64) {
        self.advance(at);
        let Some(current) = self.levels.get_mut(position) else {
            return;
        };
        *current = level;
        if let Some(peak) = self.rows.last_mut().and_then(|row| row.get_mut(position)) {
            *peak = level.max(*peak);
        }
    }

    /// Adds a server at level 0 and returns its position.
    pub fn add_server(&mut self) -> usize {
        self.levels.push(0);
        for row in &mut self.rows {
            row.push(0);
        }
        self.levels.len() - 1
    }

    /// Ends the run at `end`.
    pub fn finish(mut self, end: u64) -> Timeline {
        self.advance(end);
        let peaks = (0..self.levels.len())
            .map(|server| self.rows.iter().map(|row| row[server]).collect())
            .collect();
        Timeline {
            axis: self.axis,
            bucket: self.bucket,
            peaks,
        }
    }

    #[inline]
    fn advance(&mut self, at: u64) {
        let elapsed = at.saturating_sub(self.start);
        // Most often the bucket that is being filled is meant, and nothing is to be divided.
        if elapsed >= self.filled {
            self.go_on(elapsed);
        }
    }

    fn go_on(&mut self, elapsed: u64) {
        while elapsed / self.bucket >= BUCKETS as u64 {
            self.bucket *= 2;
            self.rows = self.rows.chunks(2).map(merge).collect();
        }
        let place = (elapsed / self.bucket) as usize;
        while self.rows.len() <= place {
            self.rows.push(self.levels.clone());
        }
        self.filled = (place as u64 + 1).saturating_mul(self.bucket);
    }
}

/// Keeps each server's numbers on one line of pretty JSON.
fn one_line_each<S: Serializer>(rows: &[Vec<u64>], serializer: S) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(rows.len()))?;
    for row in rows {
        sequence.serialize_element(&to_raw_value(row).map_err(S::Error::custom)?)?;
    }
    sequence.end()
}

fn merge(pair: &[Vec<u64>]) -> Vec<u64> {
    let mut rows = pair.iter();
    let mut merged = rows.next().cloned().unwrap_or_default();
    for row in rows {
        for (peak, other) in merged.iter_mut().zip(row) {
            *peak = (*peak).max(*other);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bucket_begins_with_the_level_before_it() {
        let mut recorder = Recorder::new(Axis::Time, 5_000, 2);
        recorder.set(5_000, 0, 3);
        recorder.set(5_999, 0, 1);
        recorder.set(7_500, 1, 2);
        let timeline = recorder.finish(8_000);
        assert_eq!(timeline.bucket, 1_000);
        assert_eq!(timeline.peaks, [vec![3, 1, 1, 1], vec![0, 0, 2, 2]]);
    }

    #[test]
    fn a_long_pause_keeps_the_bound() {
        let mut recorder = Recorder::new(Axis::Time, 0, 1);
        recorder.set(10, 0, 7);
        recorder.set(20, 0, 0);
        let timeline = recorder.finish(u64::MAX);
        assert!(timeline.peaks[0].len() <= BUCKETS);
        assert_eq!(timeline.peaks[0][0], 7);
        assert_eq!(timeline.peaks[0].iter().sum::<u64>(), 7);
    }

    proptest! {
        /// Against the same levels kept one by one.
        #[test]
        fn peaks_are_those_of_the_levels(steps in prop::collection::vec((0_u64..40, 0_u64..9), 1..300)) {
            let mut recorder = Recorder::new(Axis::Connections, 0, 1);
            let mut levels = vec![vec![0_u64]];
            for (step, level) in steps {
                for _ in 0..step {
                    let last = levels.last().and_then(|at| at.last()).copied().unwrap();
                    levels.push(vec![last]);
                }
                recorder.set(levels.len() as u64 - 1, 0, level);
                levels.last_mut().unwrap().push(level);
            }
            let timeline = recorder.finish(levels.len() as u64 - 1);
            prop_assert!(timeline.peaks[0].len() <= BUCKETS);
            let expected: Vec<u64> = levels
                .chunks(timeline.bucket as usize)
                .map(|chunk| chunk.iter().flatten().copied().max().unwrap())
                .collect();
            prop_assert_eq!(&timeline.peaks[0], &expected);
        }
    }
}
