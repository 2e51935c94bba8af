//! A report as a directory of files: `report.json`, `runs.csv`, plots, and `measured.json` apart.
//!
//! All files are drawn before the first is written, and each is written under a temporary name and
//! renamed, so that no half-written file remains and older ones stay whole. What an earlier run of
//! ours wrote there and this one does not is removed: the directory shows one run. Facts are the
//! same bytes on each run; only `measured.json` differs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::model::{Costs, Report, Run, ServiceRun};
use crate::plot::{self, PlotError};
use crate::runs;

/// Why a report was not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The directory cannot be made.
    #[error("cannot make the directory {}: {source}; name one that can be made or written", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}; older files there are unchanged: free some space or name another directory", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of an earlier report cannot be removed.
    #[error("cannot remove {}, which is of an earlier report: {source}; remove it yourself", path.display())]
    Earlier {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The report cannot be turned into JSON.
    #[error("cannot write the report as json: {0}")]
    Json(#[from] serde_json::Error),
    /// The table of runs cannot be made.
    #[error("cannot write the runs as csv: {0}")]
    Csv(io::Error),
    /// A plot cannot be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// Writes a report's files into a directory, which is made where it is missing, and returns their
/// paths. Of the other files there, those of the report that its `report.json` was are removed, and
/// the rest is left alone.
pub fn write_dir(dir: &Path, report: &Report) -> Result<Vec<PathBuf>, OutputError> {
    let files = draw(report)?;
    fs::create_dir_all(dir).map_err(|source| OutputError::Directory {
        path: dir.to_owned(),
        source,
    })?;
    let earlier = earlier_names(dir);

    let mut staged = Staged(Vec::new());
    for (name, bytes) in files {
        let path = dir.join(&name);
        let temporary = dir.join(format!(".{name}.{}.tmp", std::process::id()));
        staged.0.push((temporary.clone(), path.clone()));
        fs::write(&temporary, bytes).map_err(|source| OutputError::File { path, source })?;
    }
    let published = staged.publish()?;
    for name in earlier {
        let path = dir.join(name);
        // Also where the file system ignores case.
        let is_new = published
            .iter()
            .any(|new| new.as_os_str().eq_ignore_ascii_case(&path));
        let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        if is_file && !is_new {
            fs::remove_file(&path).map_err(|source| OutputError::Earlier { path, source })?;
        }
    }
    Ok(published)
}

/// What the report in a directory wrote there, if there is one and it is ours.
fn earlier_names(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("report.json")).ok();
    let Some(report) = text.and_then(|text| Report::from_json(&text).ok()) else {
        return Vec::new();
    };
    let plots = plots(&report).into_iter().map(|(name, _)| name);
    plots.chain(["measured.json".to_owned()]).collect()
}

/// Files under temporary names; those still there when it is dropped are removed.
struct Staged(Vec<(PathBuf, PathBuf)>);

impl Staged {
    fn publish(mut self) -> Result<Vec<PathBuf>, OutputError> {
        let mut published = Vec::new();
        while let Some((temporary, path)) = self.0.first().cloned() {
            fs::rename(temporary, &path).map_err(|source| OutputError::File {
                path: path.clone(),
                source,
            })?;
            self.0.remove(0);
            published.push(path);
        }
        Ok(published)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for (temporary, _) in &self.0 {
            // The error that led here says more than one about the remains would.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// All files by name.
fn draw(report: &Report) -> Result<Vec<(String, Vec<u8>)>, OutputError> {
    let csv = runs::write(report, Vec::new()).map_err(OutputError::Csv)?;
    let mut files = vec![
        (
            "report.json".to_owned(),
            report.to_json(Costs::Omitted)?.into_bytes(),
        ),
        ("runs.csv".to_owned(), csv),
    ];
    if let Some(measured) = &report.measured {
        let mut json = serde_json::to_string_pretty(measured)?;
        json.push('\n');
        files.push(("measured.json".to_owned(), json.into_bytes()));
    }

    for (name, plot) in plots(report) {
        let svg = match plot {
            Plot::Share { service } => plot::share(report, service)?,
            Plot::Concurrency(run, service) => plot::concurrency(run, service)?,
        };
        files.extend(svg.map(|svg| (name, svg.into_bytes())));
    }
    Ok(files)
}

enum Plot<'a> {
    Share { service: usize },
    Concurrency(&'a Run, &'a ServiceRun),
}

/// All plots by name, those with nothing to show among them.
fn plots(report: &Report) -> Vec<(String, Plot<'_>)> {
    let mut names = Names::default();
    let mut plots = Vec::new();
    for (place, service) in report.services.iter().enumerate() {
        // A service's name is part of a file's name only where there are several.
        let of_service: &[&str] = match report.services.len() {
            1 => &[],
            _ => &[&service.service],
        };
        let name = names.name(&["share"], of_service);
        plots.push((name, Plot::Share { service: place }));
        for run in &report.runs {
            if let Some(service) = run.services.get(place) {
                let name = names.name(&["concurrency", &run.policy], of_service);
                plots.push((name, Plot::Concurrency(run, service)));
            }
        }
    }
    plots
}

/// Gives each plot a file name of its own, also where case is ignored.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// Characters of a name that are kept.
    const LONGEST: usize = 100;

    fn name(&mut self, parts: &[&str], more: &[&str]) -> String {
        let all: Vec<&str> = parts.iter().chain(more).copied().collect();
        let mut stem = String::new();
        for c in all.join("-").chars().take(Self::LONGEST) {
            match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '=' => stem.push(c),
                _ if stem.ends_with('-') => {}
                _ => stem.push('-'),
            }
        }
        let stem = stem.trim_end_matches('-').to_owned();
        let mut name = format!("{stem}.svg");
        let mut number = 2;
        while !self.0.insert(name.to_ascii_lowercase()) {
            name = format!("{stem}-{number}.svg");
            number += 1;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_unique() {
        let mut names = Names::default();
        let mut name = |policy: &str| names.name(&["concurrency", policy], &[]);
        assert_eq!(name("rr"), "concurrency-rr.svg");
        assert_eq!(name("RR"), "concurrency-RR-2.svg");
        assert_eq!(name("rr"), "concurrency-rr-3.svg");
        assert_eq!(
            name("../../my best.wasm:key=v"),
            "concurrency-..-..-my-best.wasm-key=v.svg"
        );
        assert_eq!(name(&"x".repeat(400)).len(), Names::LONGEST + 4);
        let mut names = Names::default();
        assert_eq!(
            names.name(&["share"], &["tcp:[2001:db8::1]:80"]),
            "share-tcp-2001-db8-1-80.svg"
        );
    }
}
