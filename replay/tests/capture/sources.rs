//! Where captures come from: files that change, pipes, folders, patterns.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use equipoise_replay::capture::{CaptureError, Found, Source, Warning};
use tempfile::TempDir;

use crate::formats::{Owned, drain, gzip, pcap, two_sections, zstd};

/// So many records of 1,000 bytes and more: far beyond what is read at once.
fn long(count: u64) -> Vec<u8> {
    let frames: Vec<_> = (0..count)
        .map(|number| {
            (
                number * 1_000,
                vec![number as u8; 1_000 + number as usize % 7],
            )
        })
        .collect();
    pcap(&frames)
}

fn frames(source: &Source) -> Vec<Owned> {
    let (frames, warning, error) = drain(source.open().unwrap());
    assert!(
        error.is_none() && warning.is_none(),
        "{error:?} {warning:?}"
    );
    frames
}

#[test]
fn folders_and_missing_files_are_named() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(matches!(
        Source::new(here),
        Err(CaptureError::Directory { .. })
    ));
    assert!(matches!(
        Source::new(&here.join("no-such.pcap")),
        Err(CaptureError::Open { .. })
    ));
}

#[test]
fn sources_open_twice() {
    let source = Source::from_bytes("twice", pcap(&[(1_000, vec![1; 60])]));
    assert_eq!(frames(&source).len(), 1);
    assert_eq!(frames(&source), frames(&source));
}

/// In memory while they are small, then in a file.
#[test]
#[cfg(target_os = "linux")]
fn pipes_open_twice() {
    let folder = TempDir::new().unwrap();
    for count in [10, 9_000] {
        let pipe = folder.path().join(format!("pipe-{count}"));
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let file = long(count);
        let writer = {
            let (pipe, file) = (pipe.clone(), file.clone());
            std::thread::spawn(move || fs::write(pipe, file))
        };
        let source = Source::new(&pipe).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(source.size(), Some(file.len() as u64));
        let expected = frames(&Source::from_bytes("same", file));
        assert_eq!(expected.len() as u64, count);
        assert!(frames(&source) == expected);
        // Side by side too.
        let (mut first, mut second) = (source.open().unwrap(), source.open().unwrap());
        for frame in &expected {
            assert_eq!(first.next_frame().unwrap().unwrap().bytes, frame.bytes);
            assert_eq!(second.next_frame().unwrap().unwrap().bytes, frame.bytes);
        }
    }
}

#[test]
fn progress_is_told_in_bytes_of_the_file() {
    let folder = TempDir::new().unwrap();
    let plain = long(3_000);
    for file in [gzip(&plain), zstd(&plain), plain] {
        let path = folder.path().join("capture");
        fs::write(&path, &file).unwrap();
        let source = Source::new(&path).unwrap();
        let size = file.len() as u64;
        assert_eq!(source.size(), Some(size));
        let mut capture = source.open().unwrap();
        let mut before = capture.bytes_read();
        assert!((1..=size).contains(&before));
        let mut steps = 0;
        while capture.next_frame().unwrap().is_some() {
            let now = capture.bytes_read();
            assert!((before..=size).contains(&now));
            steps += usize::from(now > before);
            before = now;
        }
        assert_eq!(capture.bytes_read(), size);
        assert!(size < 1 << 20 || steps >= 10, "{steps} steps");
    }
}

#[test]
fn a_file_that_grows_is_read_to_the_end_that_is_found() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("growing.pcap");
    let (first, rest) = (long(600), long(601));
    fs::write(&path, &first[..first.len() - 10]).unwrap();
    let mut capture = Source::new(&path).unwrap().open().unwrap();
    let mut writer = File::options().append(true).open(&path).unwrap();
    for number in 1..=599 {
        assert_eq!(capture.next_frame().unwrap().unwrap().number, number);
    }
    writer.write_all(&rest[first.len() - 10..]).unwrap();
    assert_eq!(capture.next_frame().unwrap().unwrap().number, 600);
    assert_eq!(capture.next_frame().unwrap().unwrap().number, 601);
    assert!(capture.next_frame().unwrap().is_none());
    writer.write_all(&rest[24..]).unwrap();
    assert!(capture.next_frame().unwrap().is_none(), "the end stays");
    assert_eq!(capture.warning(), None);
}

#[test]
fn a_file_that_shrinks_ends_in_mid_record() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shrinking.pcap");
    fs::write(&path, long(2_000)).unwrap();
    let mut capture = Source::new(&path).unwrap().open().unwrap();
    assert!(capture.next_frame().unwrap().is_some());
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(100)
        .unwrap();
    let (frames, warning, error) = drain_on(capture);
    assert!(error.is_none(), "{error:?}");
    assert!((100..1_000).contains(&frames), "{frames}");
    assert!(
        matches!(warning, Some(Warning::Truncated { packets, .. }) if packets == frames),
        "{warning:?}"
    );
}

fn drain_on(
    mut capture: equipoise_replay::capture::Capture,
) -> (u64, Option<Warning>, Option<CaptureError>) {
    let error = loop {
        match capture.next_frame() {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    (capture.packets(), capture.warning().cloned(), error)
}

/// A trace of thousands of files keeps what it knows of those it has read.
#[test]
#[cfg(target_os = "linux")]
fn a_capture_at_its_end_holds_no_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("held.pcap");
    let is_open = || {
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .any(|target| target == path)
    };
    let mut damaged = pcap(&[(1_000, vec![1; 60])]);
    damaged.extend([0xff; 16]);
    for file in [
        pcap(&[(1_000, vec![1; 60])]),
        gzip(&two_sections()),
        damaged,
    ] {
        fs::write(&path, file).unwrap();
        let source = Source::new(&path).unwrap();
        assert!(!is_open(), "a source is a name");
        let mut capture = source.open().unwrap();
        assert!(is_open());
        while let Ok(Some(_)) = capture.next_frame() {}
        assert!(!is_open());
        assert!(capture.next_frame().unwrap().is_none());
        assert!(capture.packets() > 0 && capture.bytes_read() > 0);
    }
}

/// Captures and other things, `[1].pcap` and a hidden capture among them.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let capture = pcap(&[(1_000, vec![1; 60])]);
    write("b.pcap", &capture);
    write("a.txt", &gzip(&two_sections()));
    write("[1].pcap", &capture);
    write(".hidden", &capture);
    write("c.pcap", b"");
    write("d.pcap", b"hello\n");
    write("e.xz", b"\xfd7zXZ\0\0\0");
    fs::create_dir(folder.path().join("further")).unwrap();
    write("further/f.pcap", &capture);
    fs::create_dir(folder.path().join("none")).unwrap();
    write("none/notes", b"hello\n");
    folder
}

/// The names, without the folder.
fn names(folder: &TempDir, argument: &str) -> Result<Vec<String>, CaptureError> {
    let expanded = Source::expand(&folder.path().join(argument), &|| false)?;
    let below = format!("{}/", folder.path().display());
    let left_out = expanded.left_out.iter();
    let told = left_out.map(|warning| format!("warning: {warning}"));
    let errors = expanded
        .errors
        .iter()
        .map(|error| format!("error: {error}"));
    let sources = expanded.sources.iter();
    Ok(sources
        .map(|source| source.name().to_owned())
        .chain(told)
        .chain(errors)
        .map(|line| line.replace(&below, ""))
        .collect())
}

#[test]
#[cfg(unix)]
fn a_folder_gives_the_captures_in_it() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    assert_eq!(
        names(&folder, "").unwrap(),
        [
            "[1].pcap",
            "a.txt",
            "b.pcap",
            "warning: c.pcap is left out: it is empty, not a capture",
            "warning: d.pcap is left out: it is text, not a capture",
            "warning: e.xz is left out: it is a xz archive, not a capture; decompress it first",
            "error: cannot open link: No such file or directory (os error 2)",
        ]
    );
    // Of a pattern, too, no pipe is waited for.
    assert_eq!(
        names(&folder, "[blp]*").unwrap(),
        [
            "b.pcap",
            "error: cannot open link: No such file or directory (os error 2)"
        ]
    );
    let error = names(&folder, "none").unwrap_err();
    assert!(matches!(error, CaptureError::NoCapture { .. }), "{error}");
}

#[test]
fn a_pattern_gives_what_a_shell_would() {
    let folder = folder();
    let names = |argument| names(&folder, argument).unwrap();
    assert_eq!(
        names("*.pcap"),
        [
            "[1].pcap",
            "b.pcap",
            "warning: c.pcap is left out: it is empty, not a capture",
            "warning: d.pcap is left out: it is text, not a capture",
        ]
    );
    assert_eq!(
        names("**/*.pcap")[2..4],
        [
            "further/f.pcap",
            "warning: c.pcap is left out: it is empty, not a capture"
        ]
    );
    assert_eq!(names("[ab].???*"), ["a.txt", "b.pcap"]);
    assert_eq!(names("further*"), ["further/f.pcap"]);
    assert_eq!(names("*/f.pcap"), ["further/f.pcap"]);
    assert_eq!(names("[1].pcap"), ["[1].pcap"], "a file of that name");
    assert_eq!(names("d.pcap"), ["d.pcap"]);
    // Named, or the only one, it must be a capture, which shows when it is opened.
    for argument in ["d.pcap", "d.p*"] {
        let expanded = Source::expand(&folder.path().join(argument), &|| false).unwrap();
        assert!(matches!(
            expanded.sources[0].open(),
            Err(CaptureError::NotACapture {
                found: Found::Text,
                ..
            })
        ));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new().unwrap();
    let capture = pcap(&[(1_000, vec![1; 60])]);
    for name in [&b"b\xff.pcap"[..], b"a.pcap"] {
        let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, &capture).unwrap();
    }
    for argument in ["*.pcap", "*", "[ab]*.pcap", ""] {
        let expanded = Source::expand(&folder.path().join(argument), &|| false).unwrap();
        let packets = expanded.sources.iter().map(|source| frames(source).len());
        assert_eq!(packets.collect::<Vec<_>>(), [1, 1], "{argument}");
    }
    assert_eq!(names(&folder, "b?.pcap").unwrap(), ["b\u{fffd}.pcap"]);
}

/// It is told of, and the rest is read.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_cannot_be_read_does_not_keep_from_the_others() {
    let folder = TempDir::new().unwrap();
    let capture = pcap(&[(1_000, vec![1; 60])]);
    fs::write(folder.path().join("a.pcap"), &capture).unwrap();
    // Cannot be read even by root.
    std::os::unix::fs::symlink("/proc/self/mem", folder.path().join("b.pcap")).unwrap();
    for argument in ["", "*.pcap"] {
        let found = names(&folder, argument).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], "a.pcap");
        assert!(
            found[1].starts_with("error: cannot read b.pcap"),
            "{found:?}"
        );
    }
}

#[test]
fn arguments_that_stand_for_nothing_are_errors() {
    let folder = folder();
    let error = |argument| {
        let below = format!("{}/", folder.path().display());
        let error = names(&folder, argument).unwrap_err();
        error.to_string().replace(&below, "")
    };
    assert_eq!(
        error("*.cap"),
        "no file is called *.cap, and as a pattern it matches none"
    );
    assert_eq!(
        error("none"),
        "none holds no capture; accepted are pcap and pcapng, plain or compressed with gzip or \
         zstd"
    );
    assert!(error("a[.pcap").starts_with("no file is called a[.pcap, and it is no pattern: "));
    assert!(error("no-such").starts_with("cannot open no-such: "));
}
