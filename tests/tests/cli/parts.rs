//! Parts of captures, and more clients than they have, as asked for on the command line.

use crate::scene::Scene;

#[test]
fn what_is_selected_is_told() {
    let scene = Scene::new();
    let lines = [
        "inspect shop.pcap --from 5s --to 20s500ms --sample 1/4 --seed 3",
        "replay shop.pcap --from 5s --policy rr --policy wlc --clients 10",
    ];
    insta::assert_snapshot!(lines.map(|line| scene.quiet(line)).join("\n"));
}

#[test]
fn what_is_inspected_can_be_replayed() {
    let scene = Scene::new();
    let line = "inspect shop.pcap --from 5s --to 20s500ms --sample 1/4 --seed 3 --format json";
    let inspection: serde_json::Value =
        serde_json::from_str(&scene.quiet(line)).expect("an inspection");
    let command = inspection["replay"].as_str().expect("a command");
    let line = command.strip_prefix("equipoise ").expect("this program");
    // No quotes here: the scene splits at spaces.
    let line = line.replace("'20s 500ms'", "20s500ms");
    let report = scene.report(&format!("{line} --policy rr"));
    assert_eq!(report["trace"]["selection"], inspection["selection"]);
    assert_eq!(
        report["services"][0]["observed_connections"],
        inspection["services"][0]["connections"]
    );
}

#[test]
fn wrong_parts_are_told_as_such() {
    let scene = Scene::new();
    let table = scene.table(&[
        "replay shop.pcap --from noon",
        "replay shop.pcap --to 2001-11-20T00:00:00Z",
        "replay shop.pcap --from 2h --service 10.0.0.1:80",
        "inspect shop.pcap --from 2h",
        "replay shop.pcap --from 20s --to 5s",
        "inspect shop.pcap --sample 0",
        "inspect shop.pcap --sample 101%",
        "replay shop.pcap --clients 0",
        "replay shop.pcap --clients 257",
    ]);
    insta::assert_snapshot!(table);
}
