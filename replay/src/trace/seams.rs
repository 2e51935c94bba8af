//! How captures that make one trace follow each other in time.

use std::fmt;

use super::{CaptureFacts, CaptureView};

/// Where two captures meet badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seam {
    /// Nothing was captured between them for more than a second, and for longer than anywhere
    /// within the two or than half the time that the longer of them lasts.
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

/// Nanoseconds from the first packet to the last.
fn lasts(facts: &CaptureFacts) -> u64 {
    let last = facts.last_ns.unwrap_or(0);
    last.saturating_sub(facts.first_ns.unwrap_or(last))
}

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
        let both = [earlier.facts, later.facts];
        let longest = both.map(|facts| facts.longest_silence_ns);
        let longest = longest[0].max(longest[1]);
        // A file that is missing from a rotation lasts about as long as others; the last one of a
        // rotation may be short.
        let lasting = both.map(lasts);
        let lasting = lasting[0].max(lasting[1]);
        if first < end {
            let (earlier, later) = names();
            let common_ns = end.min(last) - first;
            seams.push(Seam::Overlap {
                earlier,
                later,
                common_ns,
            });
        } else if first - end > longest.min(lasting / 2).max(LEAST_GAP_NS) {
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
                "{earlier} and {later} overlap by {:.3} s and were merged by time; a packet that is in both is left out once where it shows that it is the same",
                seconds(common_ns)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of captures that last from one second to another, each with a silence within.
    fn seams(captures: &[(&str, u64, u64, u64)]) -> Vec<String> {
        let facts: Vec<CaptureFacts> = captures
            .iter()
            .map(|&(_, first, last, silence)| CaptureFacts {
                first_ns: Some(first * 1_000_000_000),
                last_ns: Some(last * 1_000_000_000),
                longest_silence_ns: silence * 1_000_000_000,
                ..CaptureFacts::default()
            })
            .collect();
        let views = captures.iter().zip(&facts);
        let views = views.map(|(&(name, ..), facts)| CaptureView {
            name,
            facts,
            warning: None,
        });
        let text = |seam: Seam| match seam {
            Seam::Gap { silence_ns, .. } => format!("gap {}", silence_ns / 1_000_000_000),
            Seam::Overlap { common_ns, .. } => format!("overlap {}", common_ns / 1_000_000_000),
        };
        find(views).into_iter().map(text).collect()
    }

    #[test]
    fn a_missing_file_shows() {
        let none: [&str; 0] = [];
        // Dense traffic: any silence of more than a second.
        assert_eq!(seams(&[("a", 0, 60, 0), ("b", 62, 120, 0)]), ["gap 2"]);
        assert_eq!(seams(&[("a", 0, 60, 0), ("b", 61, 120, 0)]), none);
        // Sparse traffic: what is silent within may be silent between,
        assert_eq!(seams(&[("a", 0, 60, 9), ("b", 69, 120, 3)]), none);
        assert_eq!(seams(&[("a", 0, 60, 9), ("b", 70, 120, 3)]), ["gap 10"]);
        // also before a last file that is short,
        assert_eq!(seams(&[("a", 0, 60, 9), ("b", 69, 69, 0)]), none);
        // but not for as long as a file lasts, however silent one is within.
        assert_eq!(seams(&[("a", 0, 60, 50), ("b", 120, 180, 9)]), ["gap 60"]);
        assert_eq!(
            seams(&[("a", 0, 7_200, 7_199), ("b", 12_600, 12_601, 0)]),
            ["gap 5400"]
        );
    }

    #[test]
    fn what_lies_within_another_does_not_end_it() {
        let captures = [
            ("long", 0, 60, 0),
            ("short", 10, 20, 0),
            ("after", 60, 70, 0),
        ];
        assert_eq!(seams(&captures), ["overlap 10"]);
    }
}
