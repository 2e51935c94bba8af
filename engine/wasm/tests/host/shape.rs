//! Components of a few bytes that would overflow the stack or never end compiling.

use equipoise_wasm::ComponentPolicy;

use crate::guests::engine;

fn refused(component: &[u8]) -> String {
    match ComponentPolicy::load(&engine(), component, "small") {
        Ok(_) => panic!("taken"),
        Err(error) => error.to_string(),
    }
}

fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0", &sections.concat()[..]].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &number(content.len())[..], content].concat()
}

/// LEB128, padded to its full length.
fn number(value: usize) -> [u8; 5] {
    let seven = |place: usize| (value >> (7 * place)) as u8 & 0x7f;
    [
        seven(0) | 0x80,
        seven(1) | 0x80,
        seven(2) | 0x80,
        seven(3) | 0x80,
        seven(4),
    ]
}

/// Components each within the next, which instantiates it so many times.
fn nested(levels: usize, instances: usize) -> Vec<u8> {
    let instantiate = [0; 3].repeat(instances);
    let instances = section(5, &[&number(instances)[..], &instantiate].concat());
    let around = |inner: Vec<u8>, _| component(&[section(4, &inner), instances.clone()]);
    (1..levels).fold(component(&[]), around)
}

/// Instance types each within the next.
fn nested_types(levels: usize) -> Vec<u8> {
    let types = [&[1][..], &b"\x42\x01\x01".repeat(levels), b"\x42\0"].concat();
    component(&[section(7, &types)])
}

const COMPILED: &str = "small does not export equipoise:policy/lifecycle@0.1.0: a policy exports lifecycle and scheduler or request-scheduler of equipoise:policy@0.1.0";

#[test]
fn instances_that_double() {
    assert_eq!(refused(&nested(14, 2)), COMPILED);
    insta::assert_snapshot!(refused(&nested(40, 2)), @"small is too intricate to compile (its instances, laid out, take more than 1048576 bytes): build it as one plain component");
    assert_eq!(refused(&nested(90, 90)), refused(&nested(40, 2)));
}

#[test]
fn components_in_components() {
    assert_eq!(refused(&nested(100, 1)), COMPILED);
    insta::assert_snapshot!(refused(&nested(101, 1)), @"small is too intricate to compile (components nest deeper than 100 levels): build it as one plain component");
    assert_eq!(refused(&nested(5_000, 0)), refused(&nested(101, 1)));
}

#[test]
fn types_in_types() {
    assert_eq!(refused(&nested_types(250)), COMPILED);
    insta::assert_snapshot!(refused(&nested_types(100_000)), @"small is too intricate to compile (a section of types has more than 256 that others may nest in): build it as one plain component");
}

/// A component that is given cannot be counted, and here, too, each level doubles.
#[test]
fn components_as_arguments() {
    let twice = "(component $twice (import \"x\" (component $x))
        (instance (instantiate $x)) (instance (instantiate $x)))";
    let given = format!(
        "(component {twice} (component $none)
            (instance (instantiate $twice (with \"x\" (component $none)))))"
    );
    insta::assert_snapshot!(refused(&wat::parse_str(given).unwrap()), @"small is too intricate to compile (it hands components to components): build it as one plain component");
    let exported = "(component
        (component $outer (component $inner) (export \"inner\" (component $inner)))
        (instance $outer (instantiate $outer))
        (alias export $outer \"inner\" (component $inner))
        (instance (instantiate $inner)))";
    assert_eq!(
        refused(&wat::parse_str(exported).unwrap()),
        "small is too intricate to compile (it hands components to components): build it as one plain component"
    );
}
