//! Why no capture comes of a model.

use std::io;

/// Why no capture was written, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthError {
    /// The text of a model is wrong.
    #[error("{name}:{line}:{column}: {what}")]
    Model {
        /// Whose text.
        name: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// No preset has this name.
    #[error("there is no preset `{name}`; these there are: {known}")]
    Preset {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// Two things that a model says cannot both be.
    #[error("{0}")]
    Contradiction(String),
    /// Neither a duration nor a number of connections.
    #[error("the model never ends: give it duration_s, connections or both")]
    Endless,
    /// Times of a capture are 32-bit seconds.
    #[error(
        "the model lasts until {} s after 1970, and a capture can tell times up to 4294967295: begin earlier, or make duration_s shorter, the rate higher, connections fewer or times shorter",
        figures(*.end_s)
    )]
    TooLong {
        /// The end as it is to be expected, or the time that was come to.
        end_s: f64,
    },
    /// It would be, or became, larger than allowed.
    #[error(
        "the capture would have about {} bytes, and {allowed} are allowed (max_bytes): ask for fewer or smaller connections, or allow more",
        figures(*.expected)
    )]
    TooLarge {
        /// As is to be expected of the model, or what was about to be written.
        expected: f64,
        /// What is allowed.
        allowed: u64,
    },
    /// All ports of a client are in use.
    #[error(
        "after {after_s:.3} s client {client} has a connection open from each of its {ports} ports: take more clients, a smaller zipf exponent or shorter connections"
    )]
    NoPort {
        /// Its address.
        client: std::net::IpAddr,
        /// Seconds since the beginning.
        after_s: f64,
        /// How many it has.
        ports: u16,
    },
    /// Whoever waits for it broke it off.
    #[error("interrupted")]
    Interrupted,
    /// The capture cannot be written.
    #[error("cannot write the capture: {0}")]
    Write(#[from] io::Error),
}

/// A whole number, as long as one can be read at a glance.
pub(super) fn figures(number: f64) -> String {
    if number < 1e15 {
        format!("{number:.0}")
    } else {
        // Sums of what is allowed one by one may be infinite.
        format!("{:.1e}", number.min(f64::MAX))
    }
}
