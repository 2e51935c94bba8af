//! README.md shows what its first command prints.

#![expect(
    clippy::expect_used,
    reason = "a test ends where what it needs is not there"
)]

use std::fs;

use equipoise_tests::{command, data};

#[test]
fn the_table_in_the_readme_is_what_its_command_prints() {
    let readme = fs::read_to_string(data::repository().join("README.md")).expect("README.md");
    let line = readme
        .lines()
        .find_map(|line| line.strip_prefix("cargo run --release --bin equipoise -- "))
        .expect("the first command");
    let (_, shown) = readme.split_once("```text\n").expect("a table");
    let (shown, _) = shown.split_once("```").expect("its end");
    let output = command::equipoise(line.split(' '));
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success());
    assert!(shown.lines().count() > 10, "the table is there");
    assert!(
        printed.starts_with(shown),
        "README.md shows:\n{shown}\nprinted is:\n{printed}"
    );
}

#[test]
fn the_picture_in_the_readme_is_what_its_command_draws() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = "tests/fixtures/capture/shop.pcap";
    let out = folder.path().display().to_string();
    let output = command::equipoise(["replay", capture, "--out", &out]);
    assert!(output.status.success());
    let drawn = fs::read(folder.path().join("share.svg")).expect("share.svg");
    let shown = fs::read(data::repository().join("docs/share.svg")).expect("docs/share.svg");
    assert!(
        drawn == shown,
        "docs/share.svg is old: --out DIR writes it anew"
    );
}
