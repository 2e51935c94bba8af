//! Policies that misbehave: each is refused or stopped with a clear line, and the host goes on.

use std::time::Duration;

use equipoise_core::batch::Kind;
use equipoise_core::{Fault, Policy, Scheduler, Timestamp};
use equipoise_wasm::{ComponentPolicy, Engine, Limits, LoadError, Watchdog};

use crate::guests::{FLOW, SERVICE, engine, guest, guest_against, servers};

fn load(name: &str) -> Result<ComponentPolicy, LoadError> {
    ComponentPolicy::load(&engine(), &guest(name), name)
}

fn refused(name: &str) -> String {
    load(name).err().expect("it was taken").to_string()
}

fn refused_bytes(bytes: &[u8]) -> String {
    let loaded = ComponentPolicy::load(&engine(), bytes, "file.wasm");
    loaded.err().expect("it was taken").to_string()
}

fn start(engine: &Engine, name: &str) -> Result<Box<dyn Scheduler>, Fault> {
    let policy = ComponentPolicy::load(engine, &guest(name), name).unwrap();
    let mut scheduler = policy.start(Timestamp(0), &SERVICE, &[], 0)?;
    scheduler.set_servers(&servers(&[1, 0, 1]))?;
    Ok(scheduler)
}

/// The fault of the first decision. A second call finds a stopped instance, and the engine starts
/// another policy as if nothing had happened.
fn fault(engine: &Engine, name: &str) -> String {
    let mut scheduler = start(engine, name).unwrap();
    let fault = scheduler.schedule(Timestamp(0), &FLOW, None).unwrap_err();
    let stopped = "the policy is stopped since its first fault";
    let again = scheduler.schedule(Timestamp(0), &FLOW, None).unwrap_err();
    assert_eq!(again.to_string(), stopped);
    let bind = scheduler.set_servers(&[]).unwrap_err();
    assert_eq!(bind.to_string(), stopped);
    let mut honest = start(engine, "honest").unwrap();
    let answer = honest.schedule(Timestamp(0), &FLOW, None).unwrap();
    assert_eq!(answer.map(|id| id.0), Some(0));
    fault.to_string()
}

#[test]
fn what_is_no_component() {
    insta::assert_snapshot!(refused("core-module"), @"core-module is a core WebAssembly module, and a policy is a component: link it with wasm-component-ld, or encode it with `wasm-tools component new`");
    insta::assert_snapshot!(refused_bytes(b"\x7fELF\x02\x01\x01"), @r#"file.wasm is not WebAssembly (its first bytes are not `\0asm`): give a component (`cargo xtask policies` builds the bundled ones)"#);
    insta::assert_snapshot!(refused_bytes(b""), @r#"file.wasm is not WebAssembly (its first bytes are not `\0asm`): give a component (`cargo xtask policies` builds the bundled ones)"#);
    insta::assert_snapshot!(refused_bytes(b"\n(component)"), @"file.wasm is WebAssembly text: encode it first, for example with `wasm-tools parse`");
    insta::assert_snapshot!(refused_bytes(b"\0asm\x0d\0\x01\0\xff\xff"), @"file.wasm does not compile: failed to parse WebAssembly module: malformed section id (at offset 0x8)");
}

#[test]
fn too_large() {
    let limits = Limits {
        component_bytes: 7,
        ..Limits::default()
    };
    let engine = Engine::new(limits).unwrap();
    let loaded = ComponentPolicy::load(&engine, &guest("honest"), "honest");
    let error = loaded.err().unwrap();
    assert!(matches!(error, LoadError::TooLarge { limit: 7, .. }));
    assert!(error.to_string().contains("of at most 7 are taken"));
}

#[test]
fn imports() {
    insta::assert_snapshot!(refused("wants-wasi"), @"wants-wasi wants wasi:clocks/monotonic-clock@0.2.6 (now), and a policy may import nothing: build it for wasm32-unknown-unknown instead of WASI, or let your language's tool stub WASI out (`--stub-wasi`)");
    insta::assert_snapshot!(refused("wants-import"), @"wants-import wants example:metrics/counters (count), and a policy may import nothing: take that import out of its world");
}

#[test]
fn exports() {
    insta::assert_snapshot!(refused("no-exports"), @"no-exports does not export equipoise:policy/lifecycle@0.1.0: a policy exports lifecycle and scheduler or request-scheduler of equipoise:policy@0.1.0");
    let later = |text: &str| text.replace("@0.1.0", "@0.2.0");
    let error = refused_bytes(&guest_against("honest", later));
    insta::assert_snapshot!(error, @"file.wasm exports equipoise:policy/lifecycle@0.2.0, and this host takes equipoise:policy@0.1.0 only: build it against wit/0.1.0");
    insta::assert_snapshot!(refused("wrong-types"), @"wrong-types exports equipoise:policy/lifecycle@0.1.0 with other functions or types than wit/0.1.0 has (failed to convert function to given type: type mismatch with parameters: expected 4-tuple, found 0-tuple): build it against that");
    let one_number = |text: &str| text.replace("-> list<u32>;", "-> u32;");
    let error = refused_bytes(&guest_against("few-answers", one_number));
    insta::assert_snapshot!(error, @"file.wasm exports equipoise:policy/batch@0.1.0 with other functions or types than wit/0.1.0 has (failed to convert function to given type: type mismatch with results: expected `list` found `u32`): build it against that");
}

#[test]
fn what_does_not_run_everywhere_alike() {
    let error = refused("relaxed-simd");
    assert!(
        error.starts_with("relaxed-simd does not compile: "),
        "{error}"
    );
    assert!(
        error.ends_with("relaxed SIMD support is not enabled"),
        "{error}"
    );
}

#[test]
fn memory() {
    insta::assert_snapshot!(refused("huge-at-birth"), @"huge-at-birth does not start: the policy asked for more than 67108864 bytes of memory");
    insta::assert_snapshot!(fault(&engine(), "huge-allocation"), @"the policy asked for more than 67108864 bytes of memory");
}

#[test]
fn the_memory_cap_is_a_limit() {
    let limits = Limits {
        memory_bytes: 3 << 30,
        ..Limits::default()
    };
    let mut scheduler = start(&Engine::new(limits).unwrap(), "huge-allocation").unwrap();
    scheduler.schedule(Timestamp(0), &FLOW, None).unwrap();
}

#[test]
fn parameters() {
    insta::assert_snapshot!(start(&engine(), "refuses").err().unwrap(), @"the policy refuses its parameters: unknown key `speed`: this policy takes none  of");
    insta::assert_snapshot!(start(&engine(), "needs-latency").err().unwrap(), @"the policy needs latency, which a later version simulates: use one that does without");
}

#[test]
fn traps() {
    insta::assert_snapshot!(fault(&engine(), "trap"), @"the policy trapped: wasm `unreachable` instruction executed");
    insta::assert_snapshot!(fault(&engine(), "endless-stack"), @"the policy trapped: call stack exhausted in deeper");
    insta::assert_snapshot!(fault(&engine(), "wild-pointer"), @"pointer out of bounds of memory");
}

#[test]
fn loops() {
    let limits = |watchdog| Limits {
        watchdog,
        ..Limits::default()
    };
    let deadline = limits(Watchdog::Deadline(Duration::from_millis(30)));
    insta::assert_snapshot!(fault(&Engine::new(deadline).unwrap(), "endless"), @"the policy did not answer within its deadline");
    let fuel = limits(Watchdog::Fuel(100_000));
    insta::assert_snapshot!(fault(&Engine::new(fuel).unwrap(), "endless"), @"the policy used up its fuel");
}

#[test]
fn a_fault_comes_when_it_comes() {
    let mut scheduler = start(&engine(), "trap-100th").unwrap();
    for _ in 0..99 {
        scheduler.schedule(Timestamp(0), &FLOW, None).unwrap();
    }
    let fault = scheduler.schedule(Timestamp(0), &FLOW, None);
    assert!(matches!(fault, Err(Fault::Trapped { .. })));
}

/// Which servers may be chosen is the core's to judge: these answers must reach it as they are.
#[test]
fn answers_that_the_core_refuses() {
    let answer = |name| {
        let mut scheduler = start(&engine(), name).unwrap();
        let answer = scheduler.schedule(Timestamp(0), &FLOW, None).unwrap();
        answer.map(|id| id.0)
    };
    assert_eq!(answer("unknown-server"), Some(99));
    assert_eq!(answer("quiesced-server"), Some(1));
}

#[test]
fn batches() {
    let mut scheduler = start(&engine(), "few-answers").unwrap();
    let mut answers = Vec::new();
    let arrival = Kind::ArriveActive.word(0);
    let gone = Kind::GoneActive.word(0);
    scheduler.run(&[], &[gone, arrival], &mut answers).unwrap();
    assert_eq!(answers, [7]);
    let typed = scheduler.schedule(Timestamp(0), &FLOW, None).unwrap_err();
    insta::assert_snapshot!(typed, @"an instance is used either through `scheduler` or through `batch`, never both");
    // Their number is the core's to judge, too.
    answers.clear();
    scheduler.run(&[], &[arrival; 3], &mut answers).unwrap();
    assert_eq!(answers, [7]);

    let mut typed_only = start(&engine(), "honest").unwrap();
    assert_eq!(typed_only.batch_limit(), 0);
    let fault = typed_only.run(&[], &[arrival], &mut answers).unwrap_err();
    insta::assert_snapshot!(fault, @"this policy has no packed twin");
}
