//! Guests written as WebAssembly text, and what tests start them with.

use std::fs;
use std::path::{Path, PathBuf};

use equipoise_core::{Address, Family, Flow, Protocol, Server, ServerId, ServiceIdentity};
use equipoise_wasm::{Engine, Limits};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub(crate) const SERVICE: ServiceIdentity = ServiceIdentity {
    family: Family::Ipv4,
    address: Address::v4(0x0a00_0001),
    port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};

pub(crate) const FLOW: Flow = Flow {
    client: Address::v4(0xc000_0201),
    client_port: 40_000,
    destination: Address::v4(0x0a00_0001),
    destination_port: 80,
    protocol: Protocol::Tcp,
    mark: 0,
};

pub(crate) fn engine() -> Engine {
    Engine::new(Limits::default()).unwrap()
}

/// Servers of these weights, ids in their order.
pub(crate) fn servers(weights: &[u32]) -> Vec<Server> {
    let server = |(id, &weight): (u32, &u32)| Server {
        id: ServerId(id),
        address: Address::v4(0x0a00_0100 + id),
        port: 80,
        weight,
        active: 0,
        inactive: 0,
        status: 0,
    };
    (0..).zip(weights).map(server).collect()
}

/// The component of `tests/misbehaving/NAME.wat`, as its README says.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    guest_against(name, str::to_owned)
}

/// The same, encoded against a contract that was tampered with; names in the guest are, too.
pub(crate) fn guest_against(name: &str, tampered: impl Fn(&str) -> String) -> Vec<u8> {
    let text = read(&folder().join(format!("{name}.wat")));
    let first = text.lines().find(|line| !line.starts_with(";;")).unwrap();
    if first.starts_with("(component") || first.starts_with("(module") {
        return wat::parse_str(&text).unwrap();
    }
    encode(&tampered(&completed(&text)), &tampered(&contract()))
}

/// A module of these fields, and of the honest guest's for the rest.
fn completed(fields: &str) -> String {
    let honest = read(&folder().join("honest.wat"));
    let mut module = format!("(module\n{fields}\n");
    for part in honest.split(";; export ").skip(1) {
        let (name, part) = part.split_once('\n').unwrap();
        if !fields.contains(&format!("(export \"{name}\")")) {
            module.push_str(part);
        }
    }
    module + ")"
}

fn encode(module: &str, contract: &str) -> Vec<u8> {
    let world = if module.contains("policy/batch@") {
        "batch-policy"
    } else {
        "policy"
    };
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", contract).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut encoder = ComponentEncoder::default().module(&module).unwrap();
    encoder.encode().unwrap()
}

/// The text of the contract.
pub(crate) fn contract() -> String {
    read(&folder().join("../../wit/0.1.0/policy.wit"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/misbehaving")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
