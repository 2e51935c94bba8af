//! How recordings of a kernel and our director compare.

/// How one scenario, or many, came out.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Scenarios run.
    pub scenarios: usize,
    /// Decisions that agree, and all.
    pub decisions: (usize, usize),
    /// Counter rows that agree, and all.
    pub counters: (usize, usize),
    /// The first disagreements, in words.
    pub disagreements: Vec<String>,
}

impl Tally {
    /// Adds another's counts and words.
    pub fn add(&mut self, other: Tally) {
        self.scenarios += other.scenarios;
        self.decisions.0 += other.decisions.0;
        self.decisions.1 += other.decisions.1;
        self.counters.0 += other.counters.0;
        self.counters.1 += other.counters.1;
        self.disagreements.extend(other.disagreements);
    }

    /// Whether everything agrees.
    pub fn agrees(&self) -> bool {
        self.disagreements.is_empty()
            && self.decisions.0 == self.decisions.1
            && self.counters.0 == self.counters.1
    }

    /// `truth: A of B decisions agree, C of D counters, S scenarios`.
    pub fn line(&self) -> String {
        let Self {
            scenarios,
            decisions,
            counters,
            ..
        } = self;
        format!(
            "truth: {} of {} decisions agree, {} of {} counters, {scenarios} scenarios",
            decisions.0, decisions.1, counters.0, counters.1
        )
    }

    /// Counts the decisions of a vector: `CBA` is three, `10.0.0.1:80->C` one.
    pub fn vector(&mut self, line: &str, expected: &str, ours: &str) {
        self.scenarios += 1;
        let letters = |text: &str| -> Vec<String> {
            let word = |word: &str| match word.split_once("->") {
                Some(_) => vec![word.to_owned()],
                None => word.chars().map(String::from).collect(),
            };
            text.split_whitespace().flat_map(word).collect()
        };
        let (expected, ours) = (letters(expected), letters(ours));
        for (place, expected) in expected.iter().enumerate() {
            let ours = ours.get(place);
            self.decision(ours == Some(expected), || {
                format!("{line}: decision {place} is {expected}, ours {ours:?}")
            });
        }
        let (theirs, given) = (expected.len(), ours.len());
        self.note(theirs == given, || {
            format!("{line}: {theirs} decisions, ours {given}")
        });
    }

    pub(super) fn decision(&mut self, agrees: bool, words: impl FnOnce() -> String) {
        self.decisions.1 += 1;
        self.decisions.0 += usize::from(agrees);
        self.note(agrees, words);
    }

    pub(super) fn counter(&mut self, agrees: bool, words: impl FnOnce() -> String) {
        self.counters.1 += 1;
        self.counters.0 += usize::from(agrees);
        self.note(agrees, words);
    }

    pub(super) fn note(&mut self, agrees: bool, words: impl FnOnce() -> String) {
        if !agrees && self.disagreements.len() < 5 {
            self.disagreements.push(words());
        }
    }
}
