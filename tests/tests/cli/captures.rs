//! The same traffic in other wrappings, and captures that are not whole.

use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::scene::{Ended, SHOP, Scene, shop};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn packed_captures_and_standard_input_are_the_same_traffic() {
    let scene = Scene::new();
    let plain = scene.quiet("replay shop.pcap --policy wlc --format json");
    scene.write("shop.gz", gzip(&shop()));
    scene.write(
        "shop.zst",
        compress_to_vec(&shop()[..], CompressionLevel::Fastest),
    );
    for name in ["shop.gz", "shop.zst"] {
        let packed = scene.quiet(&format!("replay {name} --policy wlc --format json"));
        assert!(packed.replace(name, SHOP) == plain, "{name}");
        let input = std::fs::read(scene.path(name)).expect("the file");
        let ended = scene.run_with_input("replay - --policy wlc --format json", &input);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{name}");
        assert!(
            ended.stdout.replace("standard input", SHOP) == plain,
            "{name} as standard input"
        );
    }
}

#[test]
fn a_capture_cut_short_counts_as_far_as_it_goes() {
    let scene = Scene::new();
    let whole = scene.decisions("replay shop.pcap --policy rr");
    scene.write("cut.pcap", &shop()[..300_000]);
    let packed = gzip(&shop());
    scene.write("cut.gz", &packed[..packed.len() / 2]);
    for name in ["cut.pcap", "cut.gz"] {
        let ended = scene.run(&format!("replay {name} --policy rr --decisions d.csv"));
        assert_eq!(ended.code, Some(0), "{name}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(
            ended
                .stderr
                .starts_with(&format!("equipoise: warning: {name} is cut short"))
        );
        let rows = crate::scene::rows(&scene.read("d.csv"));
        assert!(
            rows.len() > 100 && rows.len() < whole.len(),
            "{name}: {}",
            rows.len()
        );
        for (row, wanted) in rows.iter().zip(&whole) {
            assert_eq!(
                (row.packet, &row.server),
                (wanted.packet, &wanted.server),
                "{name}"
            );
        }
    }
}

/// As `gzip` itself takes it: what stands behind its data is left alone, a wrong bit is not.
#[test]
fn gzip_with_something_behind_it_and_with_a_wrong_bit() {
    let scene = Scene::new();
    let plain = scene.quiet("replay shop.pcap --policy wlc --format csv");
    let packed = gzip(&shop());
    scene.write("more.gz", [&packed[..], b"and more"].concat());
    let ended = scene.run("replay more.gz --policy wlc --format csv");
    assert_eq!((ended.code, ended.stdout), (Some(0), plain));
    assert_eq!(
        ended.stderr,
        format!(
            "equipoise: warning: more.gz: what stands behind byte {} of the file is no gzip data \
             and is ignored\n",
            packed.len()
        )
    );
    let mut wrong = packed.clone();
    wrong[packed.len() / 2] ^= 4;
    scene.write("wrong.gz", wrong);
    let ended = scene.run("replay wrong.gz --policy wlc --format csv");
    assert_eq!(ended.code, Some(1));
    let told = "equipoise: the gzip compression of wrong.gz is damaged between bytes 0 and ";
    assert!(ended.stderr.starts_with(told), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn garbage_in_the_middle_ends_that_capture_and_fails() {
    let scene = Scene::new();
    let mut bytes = shop();
    bytes[200_000..200_400].fill(0xff);
    scene.write("garbage.pcap", bytes);
    for line in ["garbage.pcap", "garbage.pcap shop.pcap"] {
        let ended = scene.run(&format!(
            "replay {line} --policy rr --decisions d.csv --out out"
        ));
        assert_eq!(ended.code, Some(1), "{line}");
        let warned = ended
            .stderr
            .contains("garbage.pcap and shop.pcap overlap by 8.746 s");
        assert_eq!(warned, line.contains("shop"), "{}", ended.stderr);
        let last = ended.stderr.lines().last().unwrap_or_default();
        insta::allow_duplicates! {
            insta::assert_snapshot!(last, @"equipoise: garbage.pcap is damaged behind packet 1916, at byte 200028: a record claims 4294967295 bytes, at most 262144 are accepted; `editcap -r garbage.pcap OUT 1-1916` keeps what comes before");
        }
        assert!(
            ended
                .stdout
                .contains("trace    garbage.pcap, 1,916 packets"),
            "{}",
            ended.stdout
        );
        let rows = crate::scene::rows(&scene.read("d.csv"));
        assert_eq!(
            rows.iter().any(|row| row.capture == SHOP),
            line.ends_with(SHOP)
        );
        assert!(scene.path("out/report.json").is_file());
    }
    // What is advised can be pasted, and is about a file.
    fs::rename(scene.path("garbage.pcap"), scene.path("it's garbage")).expect("a name");
    let output = scene.command("inspect").arg("it's garbage").output();
    let told = Ended::of(output.expect("equipoise starts")).stderr;
    assert!(
        told.contains(r"`editcap -r 'it'\''s garbage' OUT 1-1916` keeps"),
        "{told}"
    );
    let input = fs::read(scene.path("it's garbage")).expect("the file");
    let told = scene.run_with_input("inspect -", &input).stderr;
    assert!(
        told.contains("; saved to a file, `editcap -r FILE OUT 1-1916` keeps"),
        "{told}"
    );
}
