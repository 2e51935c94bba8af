//! How captures that make one trace follow each other in time.

use std::fmt;

use super::CaptureView;

/// Where two captures meet badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seam {
    /// Nothing was captured between them for longer than within either.
    Gap {
        /// The earlier capture.
        earlier: String,
        /// The later one.
        later: String,
        /// For how long.
        silence_ns: u64,
    },
    /// The later begins before the earlier ends: packets were merged by time, and one that is in
    /// both counts twice.
    Overlap {
        /// The capture that begins earlier.
        earlier: String,
        /// The one that begins later.
        later: String,
        /// By how much.
        common_ns: u64,
    },
}

/// Shorter silences between captures are not worth a word.
const LEAST_GAP_NS: u64 = 1_000_000_000;

/// What there is to say of captures, by their times.
pub(super) fn find<'a>(captures: impl Iterator<Item = CaptureView<'a>>) -> Vec<Seam> {
    let mut timed: Vec<_> = captures
        .filter_map(|capture| {
            let facts = capture.facts;
            Some((facts.first_ns?, facts.last_ns?, capture))
        })
        .collect();
    timed.sort_by_key(|&(first, last, _)| (first, last));
    let mut seams = Vec::new();
    let mut rest = timed.into_iter();
    let Some((_, mut end, mut earlier)) = rest.next() else {
        return seams;
    };
    for (first, last, later) in rest {
        let names = || (earlier.name.to_owned(), later.name.to_owned());
        let longest = earlier
            .facts
            .longest_silence_ns
            .max(later.facts.longest_silence_ns);
        if first < end {
            let (earlier, later) = names();
            let common_ns = end.min(last) - first;
            seams.push(Seam::Overlap {
                earlier,
                later,
                common_ns,
            });
        } else if first - end > longest.max(LEAST_GAP_NS) {
            let (earlier, later) = names();
            let silence_ns = first - end;
            seams.push(Seam::Gap {
                earlier,
                later,
                silence_ns,
            });
        }
        if last >= end {
            (end, earlier) = (last, later);
        }
    }
    seams
}

impl fmt::Display for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ns: &u64| *ns as f64 / 1e9;
        match self {
            Self::Gap {
                earlier,
                later,
                silence_ns,
            } => write!(
                f,
                "nothing was captured for {:.3} s between {earlier} and {later}: is a file missing?",
                seconds(silence_ns)
            ),
            Self::Overlap {
                earlier,
                later,
                common_ns,
            } => write!(
                f,
                "{earlier} and {later} overlap by {:.3} s and were merged by time; packets that are in both count twice",
                seconds(common_ns)
            ),
        }
    }
}
