//! Policies that misbehave, from `tests/misbehaving`, as files.

use equipoise_tests::data::{repository, text};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The guest of `tests/misbehaving/NAME.wat`, made as the README there says.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    guest_against(name, "0.1.0")
}

/// The same, against a contract that bears another version.
pub(crate) fn guest_against(name: &str, version: &str) -> Vec<u8> {
    let own = text(&repository().join(format!("tests/misbehaving/{name}.wat")));
    let first = own
        .lines()
        .find(|line| !line.starts_with(";;"))
        .expect("a line");
    if first.starts_with("(component") || first.starts_with("(module") {
        return wat::parse_str(&own).expect("sound text");
    }
    let versioned = |text: &str| text.replace("@0.1.0", &format!("@{version}"));
    let contract = versioned(&text(&repository().join("wit/0.1.0/policy.wit")));
    let world = if own.contains("policy/batch@") {
        "batch-policy"
    } else {
        "policy"
    };
    let mut module = wat::parse_str(versioned(&completed(&own))).expect("a module");
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("policy.wit", &contract)
        .expect("the contract");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("its world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let mut encoder = ComponentEncoder::default()
        .module(&module)
        .expect("a policy's module");
    encoder.encode().expect("a component")
}

/// A module of these fields, and of the honest guest's for the rest.
fn completed(fields: &str) -> String {
    let honest = text(&repository().join("tests/misbehaving/honest.wat"));
    let mut module = format!("(module\n{fields}\n");
    for part in honest.split(";; export ").skip(1) {
        let (name, part) = part.split_once('\n').expect("an export's name");
        if !fields.contains(&format!("(export \"{name}\")")) {
            module.push_str(part);
        }
    }
    module + ")"
}
