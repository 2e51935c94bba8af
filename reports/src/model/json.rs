//! A report as JSON, and back.

use thiserror::Error;

use super::{Report, SCHEMA};

/// Whether what was measured with a clock is rendered. Without it the same replay gives the same
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Costs {
    /// It is.
    Included,
    /// It is left out.
    Omitted,
}

/// Why text is not a report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is not JSON of the expected form.
    #[error("not a report: {0}")]
    Form(#[from] serde_json::Error),
    /// It is a report of another version.
    #[error("report of schema {found:?}, but this version reads {SCHEMA:?}: replay again")]
    Schema {
        /// What it says it is.
        found: String,
    },
}

impl Report {
    /// Pretty JSON with a line break at its end.
    pub fn to_json(&self, costs: Costs) -> Result<String, serde_json::Error> {
        let mut text = match costs {
            Costs::Included => serde_json::to_string_pretty(self),
            Costs::Omitted if self.measured.is_none() => serde_json::to_string_pretty(self),
            Costs::Omitted => serde_json::to_string_pretty(&Self {
                measured: None,
                ..self.clone()
            }),
        }?;
        text.push('\n');
        Ok(text)
    }

    /// Reads what [`Report::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, ReadError> {
        #[derive(serde::Deserialize)]
        struct Head {
            schema: String,
        }

        let head: Head = serde_json::from_str(text)?;
        if head.schema != SCHEMA {
            return Err(ReadError::Schema { found: head.schema });
        }
        Ok(serde_json::from_str(text)?)
    }
}
