//! The same bytes on one and on several threads, and twice in a row.

use crate::scene::Scene;

/// What a replay of every policy prints and writes, but for its costs.
fn everything(line: &str) -> Vec<(String, Vec<u8>)> {
    let scene = Scene::new();
    let line = format!("{line} --format json --decisions out/decisions.csv --out out");
    std::fs::create_dir(scene.path("out")).expect("a folder");
    let mut all = vec![(
        "standard output".to_owned(),
        scene.quiet(&line).into_bytes(),
    )];
    for (path, content) in scene.files("out") {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        if name != "measured.json" {
            all.push((name, content));
        }
    }
    all
}

#[test]
fn threads_and_repetition_change_no_byte() {
    for line in [
        "replay shop.pcap",
        "replay shop.pcap --time-scale 0 --seed 7 --persistent 60",
    ] {
        let once = everything(&format!("{line} --threads 1"));
        // Standard output, decisions, report, runs, shares, and a plot for each of 15 policies.
        assert_eq!(
            once.len(),
            5 + 15,
            "{:?}",
            once.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
        for threads in [1, 4] {
            let again = everything(&format!("{line} --threads {threads}"));
            for ((name, content), (again_name, again_content)) in once.iter().zip(&again) {
                assert_eq!(name, again_name);
                assert!(
                    content == again_content,
                    "{line} --threads {threads}: {name} differs"
                );
            }
            assert_eq!(once.len(), again.len());
        }
    }
}
