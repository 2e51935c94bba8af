//! What of the captures is taken: a window of time, and a share of the connections.
//!
//! Decided for each packet by itself, before it is tracked, so what is left out costs no memory.
//! What becomes of the rest, such as connections whose first packet lies before the window, is the
//! tracker's and the directors' to find.

use std::fmt;
use std::str::FromStr;

use equipoise_core::{Packet, Timestamp};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::track;

/// One end of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A time by the captures' clock.
    At(Timestamp),
    /// So many nanoseconds after the first packet that was decoded.
    After(u64),
}

/// A text that is no [`Bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a time such as 2026-11-20T04:00:37Z (without an offset in UTC), or a duration since the first packet such as 90s or 1h30m"
)]
pub struct NoBound;

impl FromStr for Bound {
    type Err = NoBound;

    fn from_str(text: &str) -> Result<Self, NoBound> {
        if let Ok(duration) = text.parse::<SignedDuration>() {
            let ns = u64::try_from(duration.as_nanos());
            return ns.map(Self::After).map_err(|_| NoBound);
        }
        let time = text.parse::<jiff::Timestamp>().or_else(|_| {
            let civil: DateTime = text.parse()?;
            Ok(civil.to_zoned(TimeZone::UTC)?.timestamp())
        });
        let time = time.map_err(|_: jiff::Error| NoBound)?;
        let ns = u64::try_from(time.as_nanosecond()).map_err(|_| NoBound)?;
        Ok(Self::At(Timestamp(ns)))
    }
}

/// As it can be given again.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::At(Timestamp(ns)) => match jiff::Timestamp::from_nanosecond(i128::from(ns)) {
                Ok(time) => time.fmt(f),
                // None is too late: the greatest is in the year 2554.
                Err(_) => Err(fmt::Error),
            },
            Self::After(ns) => {
                // Two parts, for 2^64 nanoseconds are more than an `i64` holds.
                let seconds = (ns / Timestamp::SECOND).cast_signed();
                let rest = (ns % Timestamp::SECOND) as i32;
                write!(f, "{:#}", SignedDuration::new(seconds, rest))
            }
        }
    }
}

impl Bound {
    pub(crate) fn after_first(self, first: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::After(ns) => Timestamp(first.0.saturating_add(ns)),
        }
    }
}

/// Which connections are taken: all packets of a 5-tuple are, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

impl Share {
    /// Every connection.
    pub const ALL: Self = Self(1.0);

    /// Above 0, at most 1.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// A text that is no [`Share`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share above 0 and at most 1, such as 0.1, 10% or 1/10")]
pub struct NoShare;

impl FromStr for Share {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Self, NoShare> {
        let number = |text: &str| text.parse::<f64>().map_err(|_| NoShare);
        let share = if let Some(percent) = text.strip_suffix('%') {
            number(percent)? / 100.0
        } else if let Some((part, whole)) = text.split_once('/') {
            number(part)? / number(whole)?
        } else {
            number(text)?
        };
        if share > 0.0 && share <= 1.0 {
            Ok(Self(share))
        } else {
            Err(NoShare)
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

/// What of the captures is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// From this time on; none: from the first packet on.
    pub from: Option<Bound>,
    /// Before this time; none: to the last packet.
    pub to: Option<Bound>,
    /// Which connections.
    pub share: Share,
    /// Chooses them.
    pub seed: u64,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            share: Share::ALL,
            seed: 0,
        }
    }
}

impl Selection {
    /// Whether it takes everything.
    pub fn is_everything(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.share == Share::ALL
    }
}

/// Packets that were decoded and not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NotTaken {
    /// Those before the window and behind it.
    pub(crate) outside: u64,
    /// Those of connections outside the share.
    pub(crate) unsampled: u64,
}

/// A selection at work.
pub(crate) struct Selector {
    selection: Selection,
    /// The window, once the first packet has come.
    window: Option<(Timestamp, Timestamp)>,
    /// Hashes below are taken.
    limit: u64,
    not_taken: NotTaken,
}

impl Selector {
    pub(crate) fn new(selection: Selection) -> Self {
        // 2^64 times the share; it saturates.
        #[expect(clippy::cast_sign_loss, reason = "a share is above 0")]
        let limit = (selection.share.0 * 2_f64.powi(64)) as u64;
        Self {
            selection,
            window: None,
            limit,
            not_taken: NotTaken::default(),
        }
    }

    pub(crate) fn selection(&self) -> Selection {
        self.selection
    }

    pub(crate) fn not_taken(&self) -> NotTaken {
        self.not_taken
    }

    /// When it begins and ends; none before the first packet.
    pub(crate) fn window(&self) -> Option<(Timestamp, Timestamp)> {
        self.window
    }

    /// Whether the packet is taken; counts it where it is not.
    pub(crate) fn takes(&mut self, now: Timestamp, packet: &Packet) -> bool {
        let (from, to) = *self.window.get_or_insert_with(|| {
            let bound = |bound: Option<Bound>| bound.map(|bound| bound.after_first(now));
            (
                bound(self.selection.from).unwrap_or(now),
                bound(self.selection.to).unwrap_or(Timestamp(u64::MAX)),
            )
        });
        if now < from || now >= to {
            self.not_taken.outside += 1;
            return false;
        }
        let is_sampled = self.selection.share == Share::ALL
            || mix(track::hash(packet) ^ mix(self.selection.seed)) < self.limit;
        self.not_taken.unsampled += u64::from(!is_sampled);
        is_sampled
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014).
pub(crate) const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let at = |text: &str| text.parse::<Bound>();
        let time = Ok(Bound::At(Timestamp(1_763_611_237_125_000_000)));
        for text in [
            "2025-11-20T04:00:37.125Z",
            "2025-11-20T05:00:37.125+01:00",
            "2025-11-20 04:00:37.125",
        ] {
            assert_eq!(at(text), time, "{text}");
        }
        assert_eq!(at("90s"), Ok(Bound::After(90_000_000_000)));
        assert_eq!(at("1h30m"), Ok(Bound::After(5_400_000_000_000)));
        for text in ["2025-11-20T04:00:37.125Z", "1h 30m", "90ms"] {
            assert_eq!(at(text).unwrap().to_string(), text);
        }
        for text in ["", "90", "-5s", "noon", "1960-01-01T00:00:00Z"] {
            assert_eq!(at(text), Err(NoBound), "{text}");
        }
    }

    #[test]
    fn shares() {
        let share = |text: &str| text.parse::<Share>().map(Share::get);
        for text in ["0.1", "10%", "1/10"] {
            assert_eq!(share(text), Ok(0.1), "{text}");
        }
        assert_eq!(share("100%"), Ok(1.0));
        for text in ["", "0", "-1", "2", "101%", "1/0", "NaN", "0/0", "x"] {
            assert_eq!(share(text), Err(NoShare), "{text}");
        }
    }
}
