//! The same model, the same bytes.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::{models, presets, write};

/// The digests were taken on x86-64: another machine that differs, or a dependency that draws or
/// rounds differently, fails this.
#[test]
fn digests() {
    let mut table = String::new();
    for (name, model) in models() {
        let (bytes, written) = write(&model);
        assert_eq!(bytes.len() as u64, written.bytes);
        let digest = Sha256::digest(&bytes);
        let digest = digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let _ = writeln!(
            table,
            "{name}: {} packets, {} bytes\n  {digest}",
            written.packets, written.bytes
        );
    }
    insta::assert_snapshot!(table);
}

#[test]
fn twice_the_same_and_with_another_seed_not() {
    for (name, mut model) in presets() {
        let first = write(&model);
        assert!(first == write(&model), "{name}");
        model.seed += 1;
        assert!(first.0 != write(&model).0, "{name}");
    }
}

/// Each purpose has its own generator.
#[test]
fn what_is_asked_for_does_not_change_who_connects_when() {
    let syns = |text: &str| {
        let (bytes, _) = write(&crate::model(text));
        let mut rest = &bytes[24..];
        let mut syns = Vec::new();
        while !rest.is_empty() {
            let length = 16 + u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
            let (record, behind) = rest.split_at(length);
            // Time, addresses and ports of what bears nothing but a SYN.
            if record[16 + 14 + 20 + 13] == 2 {
                syns.push([&record[..8], &record[42..54]].concat());
            }
            rest = behind;
        }
        syns
    };
    let few = syns("connections = 500");
    let many = syns(
        "connections = 500
        [http]
        urls = 7
        requests = { exponential = { mean = 3 } }
        body_bytes = { lognormal = { median = 5_000, sigma = 1, max = 1e6 } }",
    );
    assert_eq!(few.len(), 500);
    assert!(few == many);
}
