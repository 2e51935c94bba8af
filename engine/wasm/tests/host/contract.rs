//! What the contract's shape costs.

use wit_parser::abi::AbiVariant;
use wit_parser::{Function, Resolve};

use crate::guests;

/// Up to 16 parameters cross in registers; one more, and all go through memory (100 ns a call).
#[test]
fn a_decision_crosses_in_registers() {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", &guests::contract()).unwrap();
    let scheduler = resolve.packages[package].interfaces["scheduler"];
    let schedule: &Function = &resolve.interfaces[scheduler].functions["schedule"];
    let signature = resolve.wasm_signature(AbiVariant::GuestExport, schedule);
    assert!(!signature.indirect_params);
    assert!(signature.params.len() <= 16, "{:?}", signature.params);
}
