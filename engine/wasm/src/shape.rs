//! Bounds on what a component's text unfolds to, checked before the compiler sees it.
//!
//! The compiler lays out every instance of every nested component, so that a few hundred bytes can
//! ask for 2^30 of them, and its parser descends into nested types on the stack. Both come before
//! any limit of its own. Judges nothing else: what cannot be parsed is the compiler's to refuse.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentTypeRef, Parser, Payload,
};

use crate::LoadError;

/// Components within components. Toolchains nest two or three.
const DEEPEST: usize = 100;
/// Type declarations that may nest in one section: stacks hold some seven hundred.
const MOST_NESTED_TYPES: usize = 256;
/// Bytes of sections, modules aside, each as often as it is instantiated.
const LARGEST_LAYOUT: u64 = 1 << 20;

/// Refuses what would overflow the stack or never end.
pub(crate) fn check(bytes: &[u8], name: &str) -> Result<(), LoadError> {
    let refused = |reason: String| {
        let name = String::from(name);
        Err(LoadError::TooComplex { name, reason })
    };
    // Layouts of the components that are being read, outermost first.
    let mut open: Vec<u64> = Vec::new();
    // Of those read to their end. An instance is of one of these, since no component comes from
    // elsewhere: which one does not matter to a bound.
    let mut largest = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return Ok(()) };
        match &payload {
            Payload::Version { .. } => {
                if open.len() == DEEPEST {
                    return refused(format!("components nest deeper than {DEEPEST} levels"));
                }
                open.push(0);
            }
            Payload::End(_) => largest = largest.max(open.pop().unwrap_or(0)),
            Payload::ComponentTypeSection(section)
                if most_nested(&bytes[section.range()]) > MOST_NESTED_TYPES =>
            {
                return refused(format!(
                    "a section of types has more than {MOST_NESTED_TYPES} that others may nest in"
                ));
            }
            _ => {}
        }
        if takes_component(&payload) {
            return refused(String::from("it hands components to components"));
        }
        let Some(layout) = open.last_mut() else {
            continue;
        };
        *layout = layout.saturating_add(layout_of(&payload, largest));
        if *layout > LARGEST_LAYOUT {
            return refused(format!(
                "its instances, laid out, take more than {LARGEST_LAYOUT} bytes"
            ));
        }
    }
    Ok(())
}

/// Nested types begin with one of these bytes, so that there are no more levels than bytes.
fn most_nested(section: &[u8]) -> usize {
    section
        .iter()
        .filter(|byte| matches!(byte, 0x41 | 0x42))
        .count()
}

/// Whether a component comes from anywhere but the text around: its layout would be unknown.
fn takes_component(payload: &Payload<'_>) -> bool {
    match payload {
        Payload::ComponentImportSection(section) => section
            .clone()
            .into_iter()
            .map_while(Result::ok)
            .any(|import| matches!(import.ty, ComponentTypeRef::Component(_))),
        Payload::ComponentAliasSection(section) => section
            .clone()
            .into_iter()
            .map_while(Result::ok)
            .any(|alias| {
                let ComponentAlias::InstanceExport { kind, .. } = alias else {
                    return false;
                };
                kind == ComponentExternalKind::Component
            }),
        _ => false,
    }
}

/// What a section adds to the layout of its component, an instance being as large as `largest`.
fn layout_of(payload: &Payload<'_>, largest: u64) -> u64 {
    let range = match payload {
        Payload::InstanceSection(section) => section.range(),
        Payload::ComponentAliasSection(section) => section.range(),
        Payload::ComponentCanonicalSection(section) => section.range(),
        Payload::ComponentImportSection(section) => section.range(),
        Payload::ComponentExportSection(section) => section.range(),
        Payload::ComponentTypeSection(section) => section.range(),
        Payload::CoreTypeSection(section) => section.range(),
        Payload::ComponentInstanceSection(section) => {
            let instances = section.clone().into_iter().map_while(Result::ok);
            let instantiated = instances
                .filter(|instance| matches!(instance, ComponentInstance::Instantiate { .. }))
                .count();
            return (section.range().len() as u64)
                .saturating_add(largest.saturating_mul(instantiated as u64));
        }
        _ => return 0,
    };
    range.len() as u64
}
