//! `manifest.json` beside the components: what each is, and which compiler it came from.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const FILE: &str = "manifest.json";

/// All components, by name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Manifest {
    components: Vec<Record>,
}

/// One component.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    name: String,
    pub(super) bytes: usize,
    pub(super) sha256: String,
    /// The first line of what the compiler says of its version.
    pub(super) compiler: String,
}

impl Record {
    pub(super) fn of(name: &str, component: &[u8], compiler: String) -> Self {
        Self {
            name: name.to_owned(),
            bytes: component.len(),
            sha256: format!("{:x}", Sha256::digest(component)),
            compiler,
        }
    }
}

impl Manifest {
    /// The folder's manifest, empty if it has none.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Record> {
        self.components.iter().find(|record| record.name == name)
    }

    pub(super) fn put(&mut self, record: Record) {
        self.components.retain(|other| other.name != record.name);
        self.components.push(record);
        self.components.sort_by(|a, b| a.name.cmp(&b.name));
    }
}
