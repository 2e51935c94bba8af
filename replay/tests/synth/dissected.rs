//! What tshark finds in made captures: whole HTTP, right checksums, and nothing to remark upon but
//! what a model makes on purpose.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use equipoise_replay::synth::{Host, Model, Written};

use crate::{models, write};

/// What is asked of each frame.
const FIELDS: [&str; 11] = [
    "frame.protocols",
    "ip.checksum.status",
    "tcp.checksum.status",
    "tcp.analysis.flags",
    "_ws.malformed",
    "_ws.expert.message",
    "http.request.method",
    "http.host",
    "http.response.code",
    "http.content_length",
    "http.file_data",
];

/// The fields of each frame; none where tshark is not installed.
fn frames(capture: &Path) -> Option<Vec<[String; FIELDS.len()]>> {
    let mut command = Command::new("tshark");
    for option in ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"] {
        command.args(["-o", option]);
    }
    command.args(["-T", "fields", "-r"]).arg(capture);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: tshark is not installed ({error})");
            return None;
        }
    };
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let frame = |line: &str| {
        let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        fields.try_into().unwrap()
    };
    Some(text.lines().map(frame).collect())
}

/// What is wrong or thought to be a loss, and how often.
fn remarks(frames: &[[String; FIELDS.len()]]) -> BTreeMap<String, u64> {
    let mut remarks = BTreeMap::new();
    for frame in frames {
        let [protocols, ip, tcp, flags, malformed, experts, ..] = frame;
        let is_plain = protocols.starts_with("eth:ethertype:ip:tcp") && ip == "1"
            || protocols.starts_with("eth:ethertype:ipv6:tcp") && ip.is_empty();
        // What is said of every connection: that it begins, ends, and of what HTTP it is.
        let usual = [
            "Connection establish ",
            "Connection finish ",
            "This frame initiates the connection closing",
            "This frame undergoes the connection closing",
            "GET /",
            "POST /",
            "HTTP/1.1 200",
        ];
        let experts = experts.split(',').filter(|&expert| {
            !expert.is_empty() && !usual.iter().any(|usual| expert.starts_with(usual))
        });
        let wrong = [
            (!is_plain, protocols.as_str()),
            (tcp != "1", "TCP checksum"),
            (!flags.is_empty(), "TCP analysis"),
            (!malformed.is_empty(), "malformed"),
        ];
        let wrong = wrong
            .into_iter()
            .filter_map(|(is, what)| is.then_some(what));
        for remark in wrong.chain(experts) {
            *remarks.entry(remark.to_owned()).or_default() += 1;
        }
    }
    remarks
}

fn check(name: &str, model: &Model, capture: &Path) -> Option<()> {
    let (bytes, Written { packets, tally, .. }) = write(model);
    std::fs::write(capture, bytes).unwrap();
    let frames = frames(capture)?;
    assert_eq!(frames.len() as u64, packets, "{name}");
    // Of a reset it warns, however much it is meant.
    let meant = (tally.reset > 0).then(|| ("Connection reset (RST)".to_owned(), tally.reset));
    assert_eq!(remarks(&frames), meant.into_iter().collect(), "{name}");

    let hosts: Vec<&str> = model.http.hosts.iter().map(Host::get).collect();
    let (mut requests, mut responses) = (0, 0);
    for [.., method, host, code, length, content] in &frames {
        if !method.is_empty() {
            requests += 1;
            assert!(
                ["GET", "POST"].contains(&method.as_str()),
                "{name}: {method}"
            );
            assert!(hosts.contains(&host.as_str()), "{name}: {host}");
        }
        if !code.is_empty() {
            responses += 1;
            assert_eq!(code, "200", "{name}");
        }
        // Each says how long it is, and that is how long it is. An end of a line is written as two
        // letters.
        let content = content.replace("\\n", "\n").len();
        let length = if length.is_empty() {
            0
        } else {
            length.parse().unwrap()
        };
        assert_eq!(content, length, "{name}");
    }
    assert_eq!(
        (requests, responses),
        (tally.requests, tally.requests),
        "{name}"
    );
    Some(())
}

#[test]
fn tshark_finds_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for (name, model) in models() {
        if check(name, &model, &folder.path().join("made.pcap")).is_none() {
            return;
        }
    }
}

/// The same look at captures that are wrong.
#[test]
fn tshark_would_find_it() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("wrong.pcap");
    let (mut bytes, _) = write(&crate::model("connections = 1"));
    std::fs::write(&capture, &bytes).unwrap();
    let Some(whole) = frames(&capture) else {
        return;
    };
    assert_eq!(remarks(&whole), BTreeMap::new());

    // Where frames begin: a SYN and its answer have twelve bytes of options.
    let (second, fourth) = (24 + 16 + 66, 24 + 2 * (16 + 66) + 16 + 54);
    // The last byte of the sequence number.
    bytes[second + 16 + 14 + 20 + 7] ^= 1;
    std::fs::write(&capture, &bytes).unwrap();
    let damaged = remarks(&frames(&capture).unwrap());
    assert_eq!(damaged.get("TCP checksum"), Some(&1), "{damaged:?}");
    bytes[second + 16 + 14 + 20 + 7] ^= 1;

    // Without the request.
    let length = u32::from_le_bytes(bytes[fourth + 8..fourth + 12].try_into().unwrap());
    bytes.drain(fourth..fourth + 16 + length as usize);
    std::fs::write(&capture, &bytes).unwrap();
    let lacking = remarks(&frames(&capture).unwrap());
    assert!(lacking.contains_key("TCP analysis"), "{lacking:?}");
}
