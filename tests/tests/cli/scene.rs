//! A folder with the bundled capture in it, and the command run there.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use equipoise_tests::command::binary;
use equipoise_tests::data::repository;
use serde::Deserialize;

/// The bundled capture, as every scene has it.
pub(crate) const SHOP: &str = "shop.pcap";

pub(crate) struct Scene(tempfile::TempDir);

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let scene = Self(tempfile::tempdir().expect("a folder"));
        scene.write(SHOP, shop());
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a file");
    }

    /// A folder with the bundled capture in it under so many names: long work for little room.
    pub(crate) fn folder_of(&self, name: &str, count: usize) {
        fs::create_dir(self.path(name)).expect("a folder");
        for place in 0..count {
            let link = self.path(name).join(format!("{place}.pcap"));
            fs::hard_link(self.path(SHOP), link).expect("a link");
        }
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The command, not started; its words are separated by blanks.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(binary());
        command
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env("XDG_CACHE_HOME", binary().with_file_name("test-cache"))
            .env_remove("RUST_BACKTRACE")
            .env_remove("COLUMNS");
        command
    }

    pub(crate) fn run(&self, line: &str) -> Ended {
        Ended::of(self.command(line).output().expect("equipoise starts"))
    }

    pub(crate) fn run_with_input(&self, line: &str, input: &[u8]) -> Ended {
        let mut command = self.command(line);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("equipoise starts");
        let mut stdin = child.stdin.take().expect("standard input");
        std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input));
            Ended::of(child.wait_with_output().expect("equipoise ends"))
        })
    }

    /// Runs what must succeed without a word on standard error; its standard output.
    pub(crate) fn quiet(&self, line: &str) -> String {
        let Ended {
            code,
            stdout,
            stderr,
        } = self.run(line);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{line}");
        stdout
    }

    /// The report of a run that succeeds quietly.
    pub(crate) fn report(&self, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.quiet(&format!("{line} --format json"))).expect("JSON")
    }

    /// The decisions of a run that succeeds quietly.
    pub(crate) fn decisions(&self, line: &str) -> Vec<Row> {
        self.quiet(&format!("{line} --decisions decisions.csv"));
        rows(&self.read("decisions.csv"))
    }

    /// Names and contents of all files, folders within folders included.
    pub(crate) fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.path(folder), &mut files);
        files.sort();
        files
    }

    /// Each command line with its exit code and standard error, and where it succeeds nothing of
    /// what it prints: a table to read.
    pub(crate) fn table(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let ended = self.run(line);
            if ended.code != Some(0) && !ended.stdout.is_empty() {
                let _ = writeln!(
                    text,
                    "(standard output has {} lines)",
                    ended.stdout.lines().count()
                );
            }
            let code = ended
                .code
                .map_or("killed".to_owned(), |code| code.to_string());
            let _ = writeln!(text, "$ equipoise {line}\n{}[{code}]\n", ended.stderr);
        }
        text
    }
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

/// A row of the decisions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    pub(crate) capture: String,
    pub(crate) policy: String,
    pub(crate) connection: Option<u64>,
    pub(crate) packet: u64,
    pub(crate) time_ns: Option<u64>,
    pub(crate) protocol: String,
    pub(crate) client: String,
    pub(crate) client_port: u16,
    pub(crate) service: String,
    pub(crate) service_port: u16,
    pub(crate) server: String,
    pub(crate) server_port: Option<u16>,
    pub(crate) reason: String,
}

pub(crate) fn rows(csv: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .expect("rows")
}

/// Reasons of rows, in their order.
pub(crate) fn reasons(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.reason.as_str()).collect()
}

/// The bundled capture.
pub(crate) fn shop() -> Vec<u8> {
    fs::read(repository().join("tests/fixtures/capture/shop.pcap")).expect("the bundled capture")
}

fn collect(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            let content = fs::read(&path).expect("a file");
            files.push((path.display().to_string(), content));
        }
    }
}
