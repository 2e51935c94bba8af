//! The cache of compiled code: a hit is the same policy, and anything doubtful is a miss.

use std::fs;
use std::path::PathBuf;

use equipoise_core::{Policy, ServerId, Timestamp};
use equipoise_wasm::{CodeCache, ComponentPolicy, Engine, Limits, Watchdog};
use tempfile::TempDir;

use crate::guests::{FLOW, SERVICE, engine, guest, servers};

struct Folder {
    parent: TempDir,
    cache: CodeCache,
}

impl Folder {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(&parent.path().join("a/b")).unwrap();
        Self { parent, cache }
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.parent.path().join("a/b")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Loads a guest and lets it decide once.
    fn decision(&self, engine: &Engine, name: &str) -> Option<ServerId> {
        let bytes = guest(name);
        let policy = ComponentPolicy::load_cached(engine, &self.cache, &bytes, name).unwrap();
        let mut scheduler = policy.start(Timestamp(0), &SERVICE, &[], 0).unwrap();
        scheduler.set_servers(&servers(&[1])).unwrap();
        scheduler.schedule(Timestamp(0), &FLOW, None).unwrap()
    }
}

#[test]
fn a_hit_is_the_same_policy() {
    let folder = Folder::new();
    for _ in 0..2 {
        assert_eq!(folder.decision(&engine(), "honest"), Some(ServerId(0)));
        assert_eq!(
            folder.decision(&engine(), "unknown-server"),
            Some(ServerId(99))
        );
        assert_eq!(folder.files().len(), 2);
    }
}

/// The code of one policy under the name of another is taken for that: hits are real.
#[test]
fn a_hit_is_not_compiled() {
    let folder = Folder::new();
    folder.decision(&engine(), "honest");
    let [honest] = folder.files().try_into().unwrap();
    let code = fs::read(&honest).unwrap();
    fs::remove_file(&honest).unwrap();
    folder.decision(&engine(), "unknown-server");
    let [unknown] = folder.files().try_into().unwrap();
    fs::write(unknown, code).unwrap();
    assert_eq!(
        folder.decision(&engine(), "unknown-server"),
        Some(ServerId(0))
    );
}

#[test]
fn damage_is_a_miss_and_mended() {
    let folder = Folder::new();
    folder.decision(&engine(), "honest");
    let [path] = folder.files().try_into().unwrap();
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..10], &whole[..whole.len() - 1], &flipped, &[]] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(folder.decision(&engine(), "honest"), Some(ServerId(0)));
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn other_compiler_settings_have_other_files() {
    let folder = Folder::new();
    let fuel = Limits {
        watchdog: Watchdog::Fuel(10_000),
        ..Limits::default()
    };
    folder.decision(&engine(), "honest");
    folder.decision(&Engine::new(fuel).unwrap(), "honest");
    assert_eq!(folder.files().len(), 2);
}

#[cfg(unix)]
#[test]
fn a_folder_open_to_others_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::set_permissions(path, fs::Permissions::from_mode(0o750)).unwrap();
    let error = CodeCache::open(path).unwrap_err().to_string();
    assert!(error.ends_with("must belong to you and be closed to others (chmod 700)"));
}

#[test]
fn a_cache_that_is_gone_costs_time_only() {
    let folder = Folder::new();
    fs::remove_dir_all(folder.parent.path().join("a")).unwrap();
    assert_eq!(folder.decision(&engine(), "honest"), Some(ServerId(0)));
}
