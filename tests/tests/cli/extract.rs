//! `equipoise extract`: what it writes, that a table stands for its captures, and what it refuses.
//! What is in a table is proved elsewhere.

use std::fs;
use std::process::{Command, Stdio};

use crate::made::{ack, exchange, pcap, pcapng, syn, udp};
use crate::scene::{SHOP, Scene, shop};

/// What a replay and an inspection of everything print and write, but for costs.
fn everything(scene: &Scene, captures: &str, options: &str) -> Vec<(String, Vec<u8>)> {
    let _ = fs::remove_dir_all(scene.path("out"));
    fs::create_dir(scene.path("out")).expect("a folder");
    let mut all = Vec::new();
    for (line, place) in [
        (
            format!("replay {captures} {options} --format json"),
            "--decisions out/decisions.csv --out out",
        ),
        (format!("replay {captures} {options} --format csv"), ""),
        (format!("replay {captures} {options} --format table"), ""),
    ] {
        let ended = scene.run(&format!("{line} {place}"));
        let what = line.replace(captures, "CAPTURES");
        let told = format!("{:?}\n{}\n{}", ended.code, ended.stderr, ended.stdout);
        all.push((what, told.into_bytes()));
    }
    let files = scene.files("out").into_iter();
    all.extend(files.filter(|(name, _)| !name.ends_with("measured.json")));
    let mut inspected = scene.run(&format!("inspect {captures} --format json"));
    // Its last line says how to replay what was given.
    let replay = inspected.stdout.find("\"replay\":").unwrap_or(0);
    let end = inspected.stdout[replay..].find('\n').unwrap_or(0);
    inspected.stdout.replace_range(replay..replay + end, "");
    all.push(("inspect".to_owned(), format!("{inspected:?}").into_bytes()));
    all
}

fn assert_same(scene: &Scene, captures: &str, options: &str) {
    let _ = fs::remove_file(scene.path("table.parquet"));
    scene.run(&format!("extract {captures} -o table.parquet"));
    let direct = everything(scene, captures, options);
    let table = everything(scene, "table.parquet", options);
    assert!(direct.len() > 5);
    for ((name, content), (name_again, again)) in direct.iter().zip(&table) {
        assert_eq!(name, name_again);
        assert!(content == again, "{captures} {options}: {name} differs");
    }
    assert_eq!(direct.len(), table.len());
}

#[test]
fn a_table_stands_for_its_captures() {
    let scene = Scene::new();
    for options in [
        "--policy wlc --policy lblc --policy mh",
        "--policy sh --persistent 60 --time-scale 0.5",
        "--policy rr --mark 1=tcp:10.0.0.1:80 --kernel current",
        "--policy wrr --time-scale 0 --threads 1",
    ] {
        assert_same(&scene, SHOP, options);
    }
    let packets = [
        exchange("192.0.2.1:1025", "10.0.0.2:80"),
        exchange("[2001:db8::7]:1025", "[2001:db8::1]:80"),
    ];
    let mut packets = packets.concat();
    packets.push(udp("192.0.2.2:1027", "10.0.0.2:80"));
    packets.push(ack("10.0.0.2:80", "192.0.2.1:1026"));
    packets.push(syn("192.0.2.1:1026", "10.0.0.2:80"));
    packets.push(udp("10.0.0.2:80", "192.0.2.2:1027"));
    let timed = (1_700_000_000..).zip(packets.clone()).collect::<Vec<_>>();
    scene.write("timed.pcap", pcap(&timed));
    let seconds = (1_700_000_003..).map(|second| (second % 4 > 0).then_some(second));
    let untimed = seconds.zip(packets.clone()).collect::<Vec<_>>();
    scene.write("untimed.pcapng", pcapng(&untimed));
    let never = packets.into_iter().map(|packet| (None, packet));
    scene.write("never.pcapng", pcapng(&never.collect::<Vec<_>>()));
    scene.write("cut.pcap", &shop()[..300_000]);
    for captures in [
        "timed.pcap",
        "untimed.pcapng",
        "never.pcapng",
        "timed.pcap shop.pcap untimed.pcapng",
        "shop.pcap cut.pcap",
    ] {
        assert_same(
            &scene,
            captures,
            "--policy wlc --service 10.0.0.2:80 --service 10.0.0.1:80 --server 10.1.0.1:80",
        );
        assert_same(&scene, captures, "--policy wlc");
    }
}

/// What could be read is in the table, and so is why there is no more.
#[test]
fn a_broken_capture_stays_broken() {
    let scene = Scene::new();
    let mut bytes = shop();
    bytes[200_000..200_400].fill(0xff);
    scene.write("garbage.pcap", bytes);
    let ended = scene.run("extract garbage.pcap -o table.parquet");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("garbage.pcap is damaged behind packet 1916"),
        "{}",
        ended.stderr
    );
    let again = scene.run("replay table.parquet --policy rr");
    assert_eq!(again.code, Some(1));
    assert_eq!(again.stderr, ended.stderr);
    assert_same(&scene, "garbage.pcap", "--policy rr");
}

#[test]
fn csv() {
    let scene = Scene::new();
    assert_eq!(scene.quiet("extract shop.pcap -o table.csv"), "");
    let csv = scene.read("table.csv");
    let head: Vec<&str> = csv.lines().take(4).collect();
    insta::assert_snapshot!(head.join("\n"));
    assert_eq!(csv.lines().count(), 1 + 473);
    let text = scene.quiet("extract shop.pcap -o /dev/stdout --format csv");
    assert!(text == csv);
    scene.quiet("extract shop.pcap -o table.parquet");
    scene.quiet("extract table.parquet -o again.csv");
    assert!(scene.read("again.csv") == csv);
}

#[test]
fn requests() {
    let scene = Scene::new();
    let told = |line: &str| {
        let ended = scene.run(line);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    // Of each packet of this capture 128 bytes were kept: few heads are whole.
    let unread = told("extract --requests shop.pcap -o requests.csv");
    let csv = scene.read("requests.csv");
    insta::assert_snapshot!(format!("{unread}{csv}"));
    let again = told("extract --requests shop.pcap -o requests.parquet");
    assert_eq!(again, unread);
    let inspected = scene.run("inspect --requests shop.pcap --format json");
    let inspection: serde_json::Value =
        serde_json::from_str(&inspected.stdout).expect("an inspection");
    let asked = &inspection["requests"];
    assert_eq!(asked["http"], csv.lines().count() - 1);
    let oddities = asked["oddities"].as_object().expect("reasons");
    assert_eq!(oddities.len(), 2);
    for (reason, count) in oddities {
        assert!(unread.contains(&format!("{reason} ({count})")), "{reason}");
    }
    let part = scene.run("extract --requests shop.pcap --to 10s --format csv -o -");
    let within: Vec<&str> = csv.lines().take(2).collect();
    assert_eq!(part.stdout.lines().collect::<Vec<_>>(), within);
}

/// Nothing but what of the captures was taken tells a table of a part from that part.
#[test]
fn a_table_of_a_part_stands_for_that_part() {
    let scene = Scene::new();
    let part = "--from 5s --to 20s500ms --sample 1/2";
    scene.quiet(&format!(
        "extract shop.pcap {part} --seed 3 -o part.parquet"
    ));
    let read = |what: &str| {
        let _ = fs::remove_dir_all(scene.path("out"));
        fs::create_dir(scene.path("out")).expect("a folder");
        let report = scene.report(&format!(
            "replay {what} --seed 3 --policy wlc --policy mh --persistent 60 \
             --time-scale 2 --decisions out/decisions.csv --out out"
        ));
        let mut inspection = scene.report(&format!("inspect {what} --seed 3"));
        inspection["replay"].take();
        let mut files = scene.files("out");
        let is_json = |name: &str| name.ends_with("report.json") || name.ends_with("measured.json");
        files.retain(|(name, _)| !is_json(name));
        (report, inspection, files)
    };
    let direct = read(&format!("shop.pcap {part}"));
    let table = read("part.parquet");
    assert!(direct.2.len() > 3);
    assert!(direct.0 == table.0, "report");
    assert!(direct.1 == table.1, "inspection");
    assert!(direct.2 == table.2, "files");
}

#[test]
fn help() {
    insta::assert_snapshot!(Scene::new().quiet("extract --help"));
}

#[test]
fn what_is_refused_writes_nothing() {
    let scene = Scene::new();
    scene.write("damaged.parquet", b"PAR1 and nothing of it");
    scene.quiet("extract shop.pcap -o table.parquet");
    for requests in ["requests.parquet", "requests.csv"] {
        scene.run(&format!("extract --requests shop.pcap -o {requests}"));
    }
    let before = scene.files("");
    let table = scene.table(&[
        "extract shop.pcap",
        "extract shop.pcap -o table",
        "extract shop.pcap -o -",
        "extract shop.pcap -o table.json",
        "extract shop.pcap -o shop.pcap --format csv",
        "extract table.parquet -o table.parquet",
        "extract missing.pcap -o new.parquet",
        "extract damaged.parquet -o new.parquet",
        "extract shop.pcap table.parquet -o new.parquet",
        "extract shop.pcap -o missing/new.parquet",
        "extract shop.pcap -o /dev/full --format parquet",
        "extract shop.pcap -o /dev/full --format csv",
        "extract table.parquet --tunnels inner -o new.parquet",
        "replay table.parquet table.parquet",
        "extract shop.pcap --from 20s --to 5s -o new.parquet",
        "extract --requests table.parquet -o new.parquet",
        "replay requests.parquet",
        "inspect requests.parquet",
        "replay requests.csv",
    ]);
    insta::assert_snapshot!(table);
    assert_eq!(scene.files(""), before);
}

#[test]
fn a_table_on_standard_output_is_the_one_in_a_file() {
    let scene = Scene::new();
    for format in ["parquet", "csv"] {
        let file = format!("table.{format}");
        scene.quiet(&format!("extract shop.pcap -o {file}"));
        let mut command = scene.command(&format!("extract shop.pcap --format {format} -o -"));
        let printed = command.output().expect("equipoise starts");
        assert!(printed.status.success() && printed.stderr.is_empty());
        let written = fs::read(scene.path(&file)).expect("a table");
        assert!(printed.stdout == written, "{format}");
    }
    assert!(!scene.path("-").exists());
}

/// Not with the other packets than those that were asked for.
#[test]
fn a_table_says_with_which_tunnels_it_was_made() {
    let scene = Scene::new();
    scene.quiet("extract shop.pcap --tunnels outer -o outer.parquet");
    scene.quiet("extract shop.pcap --tunnels inner -o inner.parquet");
    let replayed = |line: &str| scene.quiet(&format!("replay {line} --policy rr --format csv"));
    let direct = replayed("shop.pcap");
    for same in [
        "outer.parquet",
        "outer.parquet --tunnels outer",
        "inner.parquet",
        "inner.parquet --tunnels inner",
    ] {
        assert_eq!(replayed(same), direct, "{same}");
    }
    insta::assert_snapshot!(scene.table(&[
        "replay inner.parquet --tunnels outer",
        "inspect outer.parquet --tunnels inner",
    ]));
}

#[test]
fn an_interrupt_leaves_no_table() {
    let scene = Scene::new();
    // Long enough to be met at work: the same capture over and over.
    scene.folder_of("many", 1_500);
    let before = scene.files("").len();
    for line in [
        "extract many -o table.parquet",
        "extract --requests many -o table.parquet",
    ] {
        let mut command = scene.command(line);
        let child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("equipoise starts");
        std::thread::sleep(std::time::Duration::from_millis(700));
        let killed = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(killed.expect("kill is there").success());
        let ended = child.wait_with_output().expect("equipoise ends");
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(130), "{told}");
        assert_eq!(
            told,
            "equipoise: interrupted: table.parquet was not written\n"
        );
        assert_eq!(scene.files("").len(), before);
    }
}
