//! Models with names.

use super::error::SynthError;
use super::model::Model;

/// A model with a name.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What it is called by.
    pub name: &'static str,
    /// The model's text.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal)+) => {
        /// All presets.
        pub const PRESETS: &[Preset] = &[$(Preset {
            name: $name,
            text: include_str!(concat!("presets/", $name, ".toml")),
        }),+];
    };
}

presets!("steady" "bursty" "diurnal" "flash" "flood" "reuse" "dual" "packets");

impl Preset {
    /// The preset of a name.
    pub fn find(name: &str) -> Result<&'static Self, SynthError> {
        let known = || PRESETS.iter().map(|preset| preset.name);
        PRESETS
            .iter()
            .find(|preset| preset.name == name)
            .ok_or_else(|| SynthError::Preset {
                name: name.to_owned(),
                known: known().collect::<Vec<_>>().join(", "),
            })
    }

    /// What it is for: its text's first line.
    pub fn summary(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches("# ")
    }

    /// The model itself.
    pub fn model(&self) -> Result<Model, SynthError> {
        Model::parse(&format!("preset {}", self.name), self.text)
    }
}
