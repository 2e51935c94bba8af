//! A component of any bytes is refused with one line, or runs within its limits; what it does is
//! the same each time.
#![no_main]

use std::sync::LazyLock;

use equipoise_core::batch::{self, Kind};
use equipoise_core::{
    Address, Family, Fault, Flow, Load, Needs, Parameter, Policy, Protocol, Scheduler, Server,
    ServerId, ServiceIdentity, Timestamp,
};
use equipoise_wasm::{ComponentPolicy, Engine, Limits, Watchdog};
use libfuzzer_sys::fuzz_target;

/// Fuel in place of a deadline: a machine that is busy must not change the outcome.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let limits = Limits {
        memory_bytes: 4 << 20,
        component_bytes: 1 << 20,
        watchdog: Watchdog::Fuel(100_000),
    };
    Engine::new(limits).unwrap()
});

const VIRTUAL: Address = Address::v4(0x0a00_0001);

fuzz_target!(|bytes: &[u8]| {
    match ComponentPolicy::load(&ENGINE, bytes, "component") {
        Err(error) => assert_one_line(&error.to_string()),
        Ok(policy) => {
            assert_eq!(typed(&policy), typed(&policy));
            assert_eq!(packed(&policy), packed(&policy));
        }
    }
});

fn assert_one_line(text: &str) {
    assert!(
        text.len() < 2_000 && !text.contains(char::is_control),
        "{text:?}"
    );
}

/// The answers one by one, up to the fault if there is one; after it there are only faults.
fn typed(policy: &ComponentPolicy) -> (Vec<Option<ServerId>>, Option<Fault>) {
    let mut answers = Vec::new();
    let fault = start(policy).and_then(|mut scheduler| {
        for number in 0..8 {
            let now = Timestamp(u64::from(number) * Timestamp::SECOND);
            let loads = [load(number % 3, number)];
            let changed = (number % 2 == 1).then_some(&loads[..]);
            match scheduler.schedule(now, &flow(number), changed) {
                Ok(answer) => answers.push(answer),
                Err(fault) => {
                    assert!(scheduler.schedule(now, &flow(number), None).is_err());
                    return Err(fault);
                }
            }
            if number == 4 {
                scheduler.set_servers(&servers(2))?;
            }
        }
        Ok(())
    });
    (answers, described(fault))
}

/// The answers of two batches.
fn packed(policy: &ComponentPolicy) -> (Vec<u32>, Option<Fault>) {
    let mut answers = Vec::new();
    let fault = start(policy).and_then(|mut scheduler| {
        assert_eq!(scheduler.batch_limit() > 0, policy.has_batch());
        for first in [0, 4] {
            let (mut keys, mut events) = (Vec::new(), Vec::new());
            if scheduler.needs().contains(Needs::TIME) {
                events.push(Kind::Time.word(0));
                keys.push(u64::from(first));
            }
            for number in first..first + 4 {
                events.push(Kind::ArriveActive.word(0));
                batch::push_keys(&mut keys, scheduler.needs(), &flow(number));
            }
            if scheduler.needs().contains(Needs::LOADS) {
                events.push(Kind::BecameInactive.word(batch::LOCAL));
            }
            let before = answers.len();
            scheduler.run(&keys, &events, &mut answers)?;
            assert_eq!(answers.len(), before + 4);
        }
        Ok(())
    });
    (answers, described(fault))
}

fn start(policy: &ComponentPolicy) -> Result<Box<dyn Scheduler>, Fault> {
    let service = ServiceIdentity {
        family: Family::Ipv4,
        address: VIRTUAL,
        port: 80,
        protocol: Protocol::Tcp,
        mark: 0,
    };
    let parameter = Parameter {
        key: String::from("fallback"),
        value: String::from("on"),
    };
    let started = policy.start(Timestamp(0), &service, &[], 7);
    let refused = policy.start(Timestamp(0), &service, &[parameter], 7);
    described(refused.map(|_| ()));
    let mut scheduler = started?;
    scheduler.set_servers(&servers(3))?;
    Ok(scheduler)
}

fn described(outcome: Result<(), Fault>) -> Option<Fault> {
    let fault = outcome.err();
    fault
        .iter()
        .for_each(|fault| assert_one_line(&fault.to_string()));
    fault
}

fn servers(count: u32) -> Vec<Server> {
    let server = |id| Server {
        id: ServerId(id),
        address: Address::v4(0x0a00_0100 + id),
        port: 80,
        weight: id,
        active: 0,
        inactive: 0,
        status: 0,
    };
    (0..count).map(server).collect()
}

fn load(server: u32, active: u32) -> Load {
    Load {
        server: ServerId(server),
        active,
        inactive: 1,
        status: 0,
        latency_us: 0,
    }
}

fn flow(number: u32) -> Flow {
    Flow {
        client: Address::v4(0xc000_0200 + number),
        client_port: 40_000,
        destination: VIRTUAL,
        destination_port: 80,
        protocol: Protocol::Tcp,
        mark: 0,
    }
}
