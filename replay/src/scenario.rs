//! What happens while a trace is replayed: servers come, go, break down, slow down and change
//! their weight, policies are swapped, directors start again, leave and join.
//!
//! Owns the file (docs/scenario.md) and the check against the set-up, so that nothing can be wrong
//! with an event once the replay runs. Carries nothing out: each run does.

mod directors;
mod keys;
mod label;
mod order;
mod plan;
mod text;

pub(crate) use directors::{Directors, HashOf, Remap, name_of};
pub(crate) use plan::{Action, Plan, Target, changes_servers, end_of};

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::toml_text;
use crate::transform::Bound;
pub(crate) use text::Factor;
use text::{Duration, Moment};

/// A scenario as written, in the order in which its events happen.
#[derive(Clone, Debug)]
pub struct Scenario {
    name: String,
    text: String,
    directors: Option<directors::Table>,
    events: Vec<Written>,
}

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// Something in it is wrong.
    #[error("{name}:{line}:{column}: {what}")]
    Text {
        /// The file as given.
        name: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    directors: Option<directors::Table>,
    #[serde(default)]
    event: Vec<Written>,
}

/// One event, its texts not yet looked into.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    at: Option<Spanned<Moment>>,
    after: Option<Spanned<u64>>,
    action: Spanned<Word>,
    service: Option<Spanned<String>>,
    server: Option<Spanned<String>>,
    weight: Option<Spanned<i64>>,
    #[serde(rename = "for")]
    lasts: Option<Spanned<Duration>>,
    noticed: Option<Spanned<Duration>>,
    policy: Option<Spanned<String>>,
    connections: Option<Spanned<Connections>>,
    director: Option<Spanned<String>>,
    listened: Option<Spanned<Duration>>,
    factor: Option<Spanned<Factor>>,
}

/// What becomes of a director's connection table.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Connections {
    Kept,
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Add,
    Remove,
    Weight,
    Drain,
    Down,
    Up,
    Policy,
    Slow,
    Restart,
    Leave,
    Join,
}

/// When an event happens, if all before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(Bound),
    /// So many connections were decided by the run.
    After(u64),
}

impl Scenario {
    /// Reads the text of a scenario, in UTF-8; `name` is what messages call it.
    pub fn parse(name: &str, text: impl AsRef<[u8]>) -> Result<Self, ScenarioError> {
        let bytes = text.as_ref();
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let sound = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let sound = String::from_utf8_lossy(sound);
            wrong(
                name,
                &sound,
                Some(sound.len()..sound.len()),
                "this is not UTF-8",
            )
        })?;
        let file: File = toml::from_str(text)
            .map_err(|error| wrong(name, text, error.span(), error.message()))?;
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            directors: file.directors,
            events: file.event,
        })
    }

    fn wrong(&self, span: &Range<usize>, what: impl Into<String>) -> ScenarioError {
        wrong(&self.name, &self.text, Some(span.clone()), &what.into())
    }
}

fn wrong(name: &str, text: &str, span: Option<Range<usize>>, what: &str) -> ScenarioError {
    let (line, column) = toml_text::place(text, span);
    ScenarioError::Text {
        name: name.to_owned(),
        line,
        column,
        what: toml_text::one_line(what),
    }
}
