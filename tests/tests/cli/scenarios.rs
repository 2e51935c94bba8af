//! Scenarios on the command line: what they show, and what is wrong with them.

use std::fmt::Write as _;

use crate::scene::Scene;

#[test]
fn events_are_told_of_each_policy() {
    let scene = Scene::new();
    scene.write(
        "scenario.toml",
        r#"
[[event]]
at = "5s"
action = "down"
server = "10.1.0.2:80"
noticed = "2s"
[[event]]
at = "9s"
action = "slow"
server = "10.1.0.3"
factor = 2.5
[[event]]
at = "14s"
action = "slow"
server = "10.1.0.3"
factor = 1
[[event]]
at = "15s"
action = "up"
server = "10.1.0.2"
[[event]]
after = 300
action = "add"
server = "10.1.0.9:80,weight=2"
[[event]]
at = "30s"
action = "drain"
server = "10.1.0.9"
for = "5s"
[[event]]
at = "30s"
action = "weight"
server = "10.1.0.1"
weight = 3
[[event]]
at = "36s"
action = "policy"
policy = "sh:sh-port"
[[event]]
at = "36s"
action = "restart"
[[event]]
at = "1h"
action = "remove"
server = "10.1.0.1"
"#,
    );
    let line = "replay shop.pcap --scenario scenario.toml --policy rendezvous --policy rr";
    insta::assert_snapshot!(scene.quiet(line));
    let report = scene.report(line);
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&report["runs"][0]["services"][0]["events"][0]).expect("JSON")
    );
}

#[test]
fn directors_are_told_of_each_policy() {
    let scene = Scene::new();
    scene.write(
        "scenario.toml",
        r#"
[directors]
count = 3
remap = "resilient"
sync = true
[[event]]
at = "10s"
action = "leave"
director = "d2"
[[event]]
at = "20s"
action = "join"
director = "d4"
listened = "5s"
[[event]]
at = "25s"
action = "restart"
director = "d1"
connections = "kept"
"#,
    );
    let line = "replay shop.pcap --scenario scenario.toml --policy sh --policy wlc";
    insta::assert_snapshot!(scene.quiet(line));
    let report = scene.report(line);
    let service = &report["runs"][1]["services"][0];
    let facts = [&service["directors"], &service["events"][0]["remapped"]];
    insta::assert_snapshot!(serde_json::to_string_pretty(&facts).expect("JSON"));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let scene = Scene::new();
    let down = "[[event]]\nat = '5s'\naction = 'down'\nserver = '10.1.0.2'\n";
    let set = "[directors]\ncount = 2\n[[event]]\nat = '5s'\n";
    let leave = "action = 'leave'\ndirector = 'd1'\n";
    let after = "[[event]]\nafter = 5\naction = 'slow'\nserver = '10.1.0.3'\nfactor = 2\n";
    let early = "[[event]]\nat = '1s'\naction = 'remove'\nserver = '10.1.0.1'\n";
    let drain = "[[event]]\nat = '5s'\naction = 'drain'\nserver = '10.1.0.2'\nfor = '10s'\n";
    let again = |at: &str, what: &str| {
        format!("[[event]]\nat = '{at}'\nserver = '10.1.0.2'\naction = {what}\n")
    };
    let mut told = String::new();
    for text in [
        "[[event]\n",
        "[[event]]\nat = 5\naction = 'down'\n",
        "[[event]]\nat = 'noon'\naction = 'down'\n",
        "[[event]]\nat = '5s'\naction = 'explode'\n",
        "[[event]]\naction = 'down'\nserver = '10.1.0.2'\n",
        "[[event]]\nat = '5s'\nafter = 7\naction = 'down'\nserver = '10.1.0.2'\n",
        "[[event]]\nat = '5s'\naction = 'down'\n",
        "[[event]]\nat = '5s'\naction = 'down'\nserver = '10.1.0.7'\n",
        "[[event]]\nat = '5s'\naction = 'down'\nserver = '10.1.0.2:81'\n",
        "[[event]]\nat = '5s'\naction = 'down'\nserver = 'here'\n",
        "[[event]]\nat = '5s'\naction = 'down'\nserver = '10.1.0.2'\nweight = 7\n",
        "[[event]]\nat = '5s'\naction = 'weight'\nserver = '10.1.0.2'\nweight = 65536\n",
        "[[event]]\nat = '5s'\naction = 'weight'\nserver = '10.1.0.2'\nweight = -1\n",
        "[[event]]\nat = '5s'\naction = 'add'\nserver = '10.1.0.2'\n",
        "[[event]]\nat = '5s'\naction = 'add'\nserver = '2001:db8::1'\n",
        "[[event]]\nat = '5s'\naction = 'up'\nserver = '10.1.0.2'\n",
        "[[event]]\nat = '5s'\naction = 'policy'\npolicy = 'best'\n",
        "[[event]]\nat = '5s'\naction = 'policy'\npolicy = 'rr:'\n",
        "[[event]]\nat = '5s'\naction = 'remove'\nservice = '10.0.0.7:80'\nserver = '10.1.0.2'\n",
        "[[event]]\nat = '5s'\naction = 'restart'\nserver = '10.1.0.2'\n",
        "[[event]]\nat = '5s'\naction = 'restart'\nservice = '10.0.0.1:80'\n",
        "[[event]]\nat = '5s'\naction = 'restart'\nconnections = 'some'\n",
        "[[event]]\nat = '5s'\naction = 'slow'\nserver = '10.1.0.2'\n",
        "[[event]]\nat = '5s'\naction = 'slow'\nserver = '10.1.0.2'\nfactor = 0.5\n",
        "[[event]]\nat = '5s'\naction = 'slow'\nserver = '10.1.0.2'\nfactor = nan\n",
        "[[event]]\nat = '5s'\naction = 'slow'\nserver = '10.1.0.7'\nfactor = 2\n",
        "[directors]\ncount = 0\n",
        "[directors]\ncount = 65\n",
        "[directors]\n",
        "[directors]\ncount = 2\necmp = 'server'\n",
        "[directors]\ncount = 2\nremap = 'sticky'\n",
        "[[event]]\nat = '5s'\naction = 'leave'\n",
        "[[event]]\nat = '5s'\naction = 'leave'\ndirector = 'd1'\n",
        &format!("{set}action = 'restart'\n"),
        &format!("{set}action = 'leave'\ndirector = 'd3'\n"),
        &format!("{set}action = 'leave'\ndirector = 'left'\n"),
        &format!("{set}action = 'join'\ndirector = 'd2'\n"),
        &format!("{set}action = 'join'\ndirector = 'd65'\n"),
        &format!("{set}action = 'join'\ndirector = 'd3'\nlistened = '5s'\n"),
        &format!("{set}{leave}[[event]]\nat = '6s'\naction = 'leave'\ndirector = 'd2'\n"),
        &format!("{down}{down}"),
        &format!("{down}[[event]]\nat = '4s'\naction = 'remove'\nserver = '10.1.0.3'\n"),
        &format!("{down}colour = 'red'\n"),
        "[[event]]\nat = 2026-11-20T04:10:00Z\naction = 'down'\nserver = '10.1.0.2'\n",
        "[[event]]\nat = '5s'\naction = 'policy'\npolicy = 'sh:foo=3'\n",
        &format!("{down}{after}{early}"),
        &format!("{drain}{}", again("15s", "'weight'\nweight = 7")),
        &format!("{drain}{after}{}", again("14s", "'weight'\nweight = 7")),
        &format!("{down}noticed = '10s'\n{down}"),
    ] {
        scene.write("wrong.toml", text);
        let line = "replay shop.pcap --service 10.0.0.1:80 --policy rr --scenario wrong.toml";
        let ended = scene.run(line);
        assert_ne!(ended.code, Some(0), "{text}");
        let _ = writeln!(
            told,
            "{text}[{}] {}",
            ended.code.unwrap_or(-1),
            ended.stderr
        );
    }
    insta::assert_snapshot!(told);
    insta::assert_snapshot!(scene.table(&[
        "replay shop.pcap --scenario none.toml",
        "replay shop.pcap --service 10.0.0.1:80 --policy rr --scenario shop.pcap",
    ]));
}
