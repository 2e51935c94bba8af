//! `[directors]`: several of them behind a router that spreads flows (ECMP).

use serde::Deserialize;
use toml::Spanned;

use super::{Scenario, ScenarioError, Word, Written};

/// Directors that a scenario may have.
const MOST: usize = 64;

/// What of a flow the router hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum HashOf {
    /// Both ends and the protocol.
    #[default]
    #[serde(rename = "5-tuple")]
    Flow,
    /// The client's address.
    #[serde(rename = "client")]
    Client,
}

/// Which flows go elsewhere when the set of directors changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Remap {
    /// The hash modulo the number of directors: most flows.
    #[default]
    Modulo,
    /// Those of one that leaves, and an equal share of each for one that joins.
    Resilient,
}

/// The table as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    count: Spanned<u64>,
    #[serde(default)]
    ecmp: HashOf,
    #[serde(default)]
    remap: Remap,
    #[serde(default)]
    sync: bool,
    #[serde(default)]
    seed: u64,
}

/// The directors of a scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directors {
    /// At the beginning: `d1` and so on.
    pub(crate) count: usize,
    /// Those included that join later.
    pub(crate) all: usize,
    pub(crate) hash_of: HashOf,
    pub(crate) remap: Remap,
    /// Whether they tell each other of their connections.
    pub(crate) sync: bool,
    /// Of the router's hash.
    pub(crate) seed: u64,
}

/// What a director is called.
pub(crate) fn name_of(director: usize) -> String {
    format!("d{}", director + 1)
}

/// The directors as far as the events are followed.
pub(super) struct Present {
    directors: Option<Directors>,
    is_present: Vec<bool>,
}

impl Scenario {
    pub(super) fn present(&self) -> Result<Present, ScenarioError> {
        let Some(table) = &self.directors else {
            return Ok(Present {
                directors: None,
                is_present: vec![true],
            });
        };
        let count = usize::try_from(*table.count.get_ref());
        let count = count.ok().filter(|count| (1..=MOST).contains(count));
        let Some(count) = count else {
            let what = format!("`count` is none of 1 to {MOST}");
            return Err(self.wrong(&table.count.span(), what));
        };
        let directors = Directors {
            count,
            all: count,
            hash_of: table.ecmp,
            remap: table.remap,
            sync: table.sync,
            seed: table.seed,
        };
        Ok(Present {
            directors: Some(directors),
            is_present: vec![true; count],
        })
    }

    /// Which director an event is about, by its number from 0; none where there is but one.
    pub(super) fn director(
        &self,
        written: &Written,
        present: &mut Present,
    ) -> Result<Option<usize>, ScenarioError> {
        let span = written.action.span();
        let (named, span) = match &written.director {
            Some(named) => (Some(named.get_ref().as_str()), named.span()),
            None => (None, span),
        };
        let wrong = |what: String| Err(self.wrong(&span, what));
        let word = *written.action.get_ref();
        let Some(directors) = &mut present.directors else {
            if named.is_none() && word == Word::Restart {
                return Ok(None);
            }
            return wrong("there is one director: several are set up by `[directors]`".to_owned());
        };
        if let (Some(listened), false) = (&written.listened, directors.sync) {
            let what = "without `sync = true` in `[directors]` there is nothing to listen to";
            return Err(self.wrong(&listened.span(), what));
        }
        let Some(named) = named else {
            return wrong("there are several directors: say which by `director`".to_owned());
        };
        let number = named.strip_prefix('d').and_then(|text| text.parse().ok());
        let number = number.filter(|number| (1..=MOST).contains(number));
        let Some(number) = number else {
            return wrong(format!("`{named}` is none of d1 to d{MOST}"));
        };
        let place = number - 1;
        let is_present = present.is_present.get(place) == Some(&true);
        match (word, is_present) {
            (Word::Join, true) => wrong(format!("{named} is there already by then")),
            (Word::Join, false) => {
                directors.all = directors.all.max(number);
                present.is_present.resize(directors.all, false);
                present.is_present[place] = true;
                Ok(Some(place))
            }
            (_, false) => wrong(format!("{named} is not there by then")),
            (Word::Leave, true) => {
                present.is_present[place] = false;
                if present.is_present.contains(&true) {
                    Ok(Some(place))
                } else {
                    wrong(format!("{named} is the last director: it cannot leave"))
                }
            }
            (_, true) => Ok(Some(place)),
        }
    }
}

impl Present {
    pub(super) fn directors(&self) -> Option<Directors> {
        self.directors
    }
}
