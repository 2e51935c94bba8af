//! Folders, patterns and files that are given as captures: what is read, what is left out, and that
//! nothing of it is replaced.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use equipoise_tests::command::binary;

use crate::made::{pcap, syn};
use crate::scene::{Ended, SHOP, Scene, shop};

/// A folder `two` of two captures.
fn scene() -> Scene {
    let scene = Scene::new();
    fs::create_dir(scene.path("two")).expect("a folder");
    scene.write("two/a.pcap", shop());
    let late = [(1_900_000_000, syn("192.0.2.9:1", "10.0.0.1:80"))];
    scene.write("two/b.pcap", pcap(&late));
    scene
}

/// In a shell, with `equipoise` for the command.
fn shell(scene: &Scene, line: &str) -> Ended {
    let line = line.replace("equipoise", "\"$EQUIPOISE\"");
    let mut command = Command::new("sh");
    command
        .args(["-c", &line])
        .current_dir(scene.path("."))
        .env("EQUIPOISE", binary())
        .env("XDG_CACHE_HOME", binary().with_file_name("test-cache"));
    Ended::of(command.output().expect("a shell"))
}

/// Whatever the names that they are read and written by.
#[test]
fn inputs_are_not_replaced() {
    let scene = scene();
    symlink("two/a.pcap", scene.path("link.csv")).expect("a link");
    fs::hard_link(scene.path("two/a.pcap"), scene.path("hard.csv")).expect("a link");
    scene.write("own.wasm", "no component");
    // A capture as far as can be told: it begins as gzip and is damaged from there on.
    scene.write(
        "two/damaged.pcap",
        b"\x1f\x8b\x08\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    );
    fs::create_dir(scene.path("out")).expect("a folder");
    symlink("../two/b.pcap", scene.path("out/runs.csv")).expect("a link");
    let before = scene.files(".");
    for line in [
        "extract two -o two/a.pcap --format csv",
        "extract two/*.pcap -o two/b.pcap --format parquet",
        "extract t[w]o -o two/b.pcap --format csv",
        "extract two -o two/damaged.pcap --format csv",
        "extract two -o link.csv",
        "extract two -o hard.csv",
        "extract hard.csv -o two/../two/a.pcap --format csv",
        "replay two --policy rr --decisions two/b.pcap",
        "replay two/*.pcap --policy rr --decisions link.csv",
        "replay two --policy rr --out out",
        "replay two --policy ./own.wasm --decisions own.wasm",
    ] {
        let ended = scene.run(line);
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
        let told = "it is an input and would be replaced: name another file\n";
        assert!(ended.stderr.ends_with(told), "{line}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{line}");
        assert!(scene.files(".") == before, "{line} changed files");
    }
    let ended = shell(
        &scene,
        "equipoise extract - -o shop.pcap --format csv < shop.pcap",
    );
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(scene.files(".") == before);
}

#[test]
fn a_name_that_is_no_text_is_a_name() {
    let scene = scene();
    let name = OsStr::from_bytes(b"two/c\xff.pcap");
    fs::copy(scene.path("two/a.pcap"), scene.path("two").join("c")).expect("a file");
    fs::rename(scene.path("two/c"), scene.path(".").join(name)).expect("a name");
    for argument in ["two/c*.pcap", "two/c?.pcap", "two/[c]*"] {
        let ended = scene.run(&format!("inspect {argument} --format json"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let inspection: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(inspection["captures"][0]["packets"], 7_968, "{argument}");
    }
}

#[test]
fn a_pattern_leaves_out_what_a_folder_does() {
    let scene = scene();
    scene.write("two/note.pcap", "Dear reader,\n");
    symlink("/proc/self/mem", scene.path("two/mem.pcap")).expect("a link");
    for argument in ["two", "two/*.pcap"] {
        let ended = scene.run(&format!("replay {argument} --policy rr --format json"));
        assert_eq!(ended.code, Some(1), "{argument}: {}", ended.stderr);
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(
            lines[0],
            "equipoise: warning: two/note.pcap is left out: it is text, not a capture"
        );
        assert!(
            lines[1].starts_with("equipoise: warning: cannot read two/mem.pcap")
                && lines[1].ends_with("; it is left out"),
            "{lines:?}"
        );
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(
            report["trace"]["captures"].as_array().map(Vec::len),
            Some(2)
        );
        let ended = scene.run(&format!("inspect {argument}"));
        assert_eq!(ended.code, Some(1), "{argument}");
        let ended = scene.run(&format!("extract {argument} -o table.csv"));
        assert_eq!(ended.code, Some(1), "{argument}");
        assert!(scene.path("table.csv").is_file());
    }
    fs::remove_file(scene.path("two/mem.pcap")).expect("the link");
    assert_eq!(scene.run("inspect two/*.pcap").code, Some(0));
    scene.write("two/note.pcapng", "Dear reader,\n");
    let ended = scene.run("inspect two/note*");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
}

#[test]
fn what_is_given_twice_is_read_once() {
    let scene = scene();
    symlink("two", scene.path("same")).expect("a link");
    let once = scene.run("replay two --policy rr --format json");
    for (line, told) in [
        ("two two/a.pcap", "two/a.pcap is given twice and read once"),
        (
            "two same/b.pcap",
            "same/b.pcap is given twice and read once",
        ),
        (
            "two two/*.pcap ./two",
            "two/a.pcap and 3 more captures are given twice and read once",
        ),
    ] {
        let twice = scene.run(&format!("replay {line} --policy rr --format json"));
        assert_eq!(twice.code, Some(0));
        assert!(twice.stdout == once.stdout, "{line}");
        let first = twice.stderr.lines().next().unwrap_or_default();
        assert_eq!(first, format!("equipoise: warning: {told}"));
    }
}

/// Forty captures that are open side by side where twenty files may be.
#[test]
fn captures_that_cannot_all_be_open_are_told_of() {
    let scene = Scene::new();
    fs::create_dir(scene.path("many")).expect("a folder");
    for place in 0..40 {
        let packets = [1, 1_000].map(|second| {
            let client = format!("192.0.2.{place}:{second}");
            (second, syn(&client, "10.0.0.1:80"))
        });
        scene.write(&format!("many/{place}.pcap"), pcap(&packets));
    }
    // A soft limit is raised.
    let ended = shell(
        &scene,
        "ulimit -Sn 20; equipoise inspect many --format json",
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("\"packets\": 80"), "{}", ended.stdout);
    let ended = shell(&scene, "ulimit -n 20; equipoise inspect many --format json");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let errors: Vec<&str> = (ended.stderr.lines())
        .filter(|line| !line.contains("warning: "))
        .collect();
    assert_eq!(errors.len(), 1, "{}", ended.stderr);
    assert!(
        errors[0].contains("the limit of open files is reached, and no capture is read any further; raise it (`ulimit -n`)"),
        "{errors:?}"
    );
}

#[test]
fn a_clock_that_steps_back_says_what_came_of_it() {
    let scene = Scene::new();
    let seconds = [10, 11, 5, 12, 12, 4, 20];
    let packets: Vec<_> = (1_025..)
        .zip(seconds)
        .map(|(port, second)| (second, syn(&format!("192.0.2.1:{port}"), "10.0.0.1:80")))
        .collect();
    scene.write("back.pcap", pcap(&packets));
    // All that comes behind a packet of the far future is taken at its time.
    let mut packets = packets;
    packets.insert(1, (50_000, syn("192.0.2.2:1", "10.0.0.1:80")));
    scene.write("stray.pcap", pcap(&packets));
    scene.run("extract stray.pcap -o stray.parquet");
    for (name, told, [steps, retimed, most]) in [
        (
            "back.pcap",
            "2 times: 2 packets taken at an earlier packet's time, up to 8.000000 s later",
            [2, 2, 8_000_000_000_u64],
        ),
        (
            "stray.pcap",
            "3 times: 6 packets taken at an earlier packet's time, up to 49996.000000 s later",
            [3, 6, 49_996_000_000_000],
        ),
        (
            "stray.parquet",
            "3 times: 6 packets taken at an earlier packet's time, up to 49996.000000 s later",
            [3, 6, 49_996_000_000_000],
        ),
    ] {
        for line in ["inspect", "replay --policy rr"] {
            let ended = scene.run(&format!("{line} {name} --format json"));
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            assert_eq!(
                ended.stderr,
                format!(
                    "equipoise: warning: the captures' clock steps back {told} than they say\n"
                )
            );
            let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
            let trace = if line == "inspect" {
                &json
            } else {
                &json["trace"]
            };
            let clock = &trace["clock"];
            assert_eq!(
                (
                    &clock["steps_back"],
                    &clock["retimed_packets"],
                    &clock["retimed_most_ns"]
                ),
                (&steps.into(), &retimed.into(), &most.into())
            );
        }
        let ended = scene.run(&format!("extract {name} -o table.csv"));
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
}

/// As where the disk with the folder for temporary files is full.
#[test]
fn decisions_that_cannot_be_kept_cost_no_report() {
    let scene = Scene::new();
    let whole = scene.quiet("replay shop.pcap --policy rr --policy lc --format json");
    let ended = shell(
        &scene,
        "ulimit -f 40; TMPDIR=$PWD equipoise replay shop.pcap --policy rr --policy lc --format json --decisions d.csv",
    );
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stdout == whole);
    let folder = fs::canonicalize(scene.path(".")).expect("the folder");
    assert_eq!(
        ended.stderr,
        format!(
            "equipoise: cannot keep the decisions in {} until they are written: File too large (os error 27); name a folder with more room in TMPDIR\n",
            folder.display()
        )
    );
    let names = scene.files(".").into_iter().map(|(name, _)| name);
    let names: Vec<String> = names.collect();
    assert!(names.len() == 1 && names[0].ends_with(SHOP), "{names:?}");
}

/// A file system of its own below the folder of devices, where files are files.
#[test]
fn files_in_memory_appear_whole() {
    let scene = Scene::new();
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let path = folder.path().join("table.csv");
    let name = path.display();
    let line = format!("extract shop.pcap -o {name}");
    scene.quiet(&line);
    let whole = fs::read(&path).expect("the table");
    fs::write(&path, vec![b'x'; 2 * whole.len()]).expect("something longer");
    scene.quiet(&line);
    assert!(fs::read(&path).expect("the table") == whole);
}

#[test]
fn what_takes_a_files_place_is_no_more_readable() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    scene.write("table.csv", "");
    let path = scene.path("table.csv");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    scene.quiet("extract shop.pcap -o table.csv");
    let metadata = fs::metadata(&path).expect("the table");
    assert!(metadata.len() > 0);
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_open_is_added_to() {
    let scene = Scene::new();
    scene.write("log", "before\n");
    let line = "extract shop.pcap --format csv -o /dev/stdout >> log";
    let ended = shell(&scene, &format!("equipoise {line}"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let log = scene.read("log");
    assert!(log.starts_with("before\nconnection,"), "{log}");
    let line = "replay shop.pcap --policy rr --format csv --decisions /dev/stdout > both";
    let ended = shell(&scene, &format!("equipoise {line}"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let both = scene.read("both");
    assert!(both.starts_with("capture,policy,"), "{both}");
    assert!(
        both.contains("\npolicy,service,"),
        "the report after the decisions: {both}"
    );
}

/// Else it would fill the disk first.
#[test]
fn what_comes_without_end_is_looked_at_before_it_is_kept() {
    let ended = shell(&Scene::new(), "yes | equipoise inspect -");
    assert_eq!(ended.code, Some(1));
    insta::assert_snapshot!(ended.stderr, @"equipoise: standard input is text, not a capture; accepted are pcap and pcapng, plain or compressed with gzip or zstd");
}
