//! The `equipoise` binary, built as the tests were.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The binary, built first where it is out of date.
///
/// # Panics
/// Where it does not build.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // target/PROFILE/deps/TEST
        let test = std::env::current_exe().expect("the test's own path");
        let profile = test.ancestors().nth(2).expect("a profile's folder");
        let target = profile.parent().expect("the target folder");
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--package", "equipoise", "--target-dir"])
            .arg(target)
            .current_dir(crate::data::repository());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().expect("cargo");
        assert!(status.success(), "cargo build --package equipoise: {status}");
        profile.join("equipoise")
    })
}

/// Runs the binary in the repository's root, its cache in the target folder.
///
/// # Panics
/// Where it does not start.
pub fn equipoise<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    let cache = binary().with_file_name("test-cache");
    Command::new(binary())
        .args(arguments)
        .current_dir(crate::data::repository())
        .env("XDG_CACHE_HOME", cache)
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("equipoise starts")
}
