//! The `equipoise` binary, as built beside the tests.

use std::path::PathBuf;
use std::process::{Command, Output};

/// The binary. Cargo builds it for the tests of its own package, to which the tests of the command
/// belong (`cli/Cargo.toml`), and puts it above them.
///
/// # Panics
/// Where it is not there.
pub fn binary() -> PathBuf {
    // target/PROFILE/deps/TEST
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.ancestors().nth(2).expect("a profile's folder");
    let binary = profile.join(format!("equipoise{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.is_file(),
        "{} is not built: cargo test -p equipoise",
        binary.display()
    );
    binary
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
