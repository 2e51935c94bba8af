//! The whole job: read, decode, track, decide, report.

use std::error::Error;
use std::path::Path;

use equipoise_replay::capture::Source;
use equipoise_replay::policy::Policies;
use equipoise_replay::replay::{Options, replay};
use equipoise_replay::setup::{Item, Options as Written, Setup};
use equipoise_wasm::{CodeCache, Engine, Limits};

/// Replays a capture for the service of the made traffic, over 16 servers; the number of
/// connections that were decided.
pub(crate) fn run(file: &Path, policies: &[&str], threads: usize) -> Result<u64, Box<dyn Error>> {
    let mut items = vec![Item::Service("10.0.0.1:80".to_owned())];
    items.extend((1..=16).map(|number| Item::Server(format!("10.1.0.{number}:80"))));
    let written = Written {
        items,
        policies: policies.iter().map(|&name| name.to_owned()).collect(),
        ..Written::default()
    };
    let setup = Setup::assemble(&written)?;
    let engine = Engine::new(Limits::default())?;
    // As for a user's second replay: compiled code is kept beside the capture.
    let cache = file
        .parent()
        .and_then(|folder| CodeCache::open(&folder.join("code")).ok());
    let mut built = Policies::new(engine, cache, setup.kernel, setup.switches);
    let options = Options {
        threads,
        ..Options::default()
    };
    let outcome = replay(&[Source::new(file)?], setup, &mut built, &options, &mut ())?;
    let services = outcome.report.runs.iter().flat_map(|run| &run.services);
    let connections = services.map(|service| service.connections).sum();
    if connections == 0 {
        return Err("nothing was replayed".into());
    }
    Ok(connections)
}
