//! What gathers while a packed policy is not asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use equipoise_core::{
    Director, Fault, Flow, Load, Needs, Packet, Parameter, Policy, Protocol, Scheduler, Scheduling,
    Server, ServerId, ServiceIdentity, Settings, Tag, TcpFlags, Timestamp,
};

use super::lives::{Service, Turns, address, director};

/// Gives the first server, and notes how many words it was told, and in how long a call.
#[derive(Clone, Default)]
struct Listener {
    told: Arc<AtomicUsize>,
    longest: Arc<AtomicUsize>,
}

impl Policy for Listener {
    fn start(
        &self,
        _: Timestamp,
        _: &ServiceIdentity,
        _: &[Parameter],
        _: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        Ok(Box::new(self.clone()))
    }
}

impl Scheduler for Listener {
    fn needs(&self) -> Needs {
        Needs::LOADS
    }

    fn set_servers(&mut self, _: &[Server]) -> Result<(), Fault> {
        Ok(())
    }

    fn schedule(
        &mut self,
        _: Timestamp,
        _: &Flow,
        _: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        Err(Fault::FuelExhausted)
    }

    fn batch_limit(&self) -> usize {
        1_024
    }

    fn run(&mut self, _: &[u64], events: &[u32], answers: &mut Vec<u32>) -> Result<(), Fault> {
        self.told.fetch_add(events.len(), Relaxed);
        self.longest.fetch_max(events.len(), Relaxed);
        let kinds = events
            .iter()
            .filter_map(|&event| equipoise_core::batch::Kind::of(event));
        answers.extend(kinds.filter(|kind| kind.is_arrival()).map(|_| 0));
        Ok(())
    }
}

/// Connections under a template ask nobody, and still their coming and going is told of.
#[test]
fn what_templates_place_is_told_in_time() {
    const CONNECTIONS: u64 = 40_000;
    let service = Service {
        is_persistent: true,
        ..Service::plain(1)
    };
    let listener = Listener::default();
    let settings = Settings {
        batching: true,
        ..Settings::default()
    };
    let mut director: Director<_> = director(settings, &[service], Turns::TYPED, None);
    let scheduling = Scheduling {
        policy: Arc::new(listener.clone()),
        parameters: Vec::new(),
        seed: 0,
        fallback: None,
    };
    let swapped = director.set_scheduling(equipoise_core::ServiceIndex(0), scheduling);
    swapped.expect("a policy");
    for number in 0..CONNECTIONS {
        let packet = Packet {
            source: address(100),
            source_port: (number % 60_000) as u16,
            destination: service.end.0,
            destination_port: service.end.1,
            protocol: Protocol::Tcp,
            flags: TcpFlags::SYN,
            length: 40,
            mark: 0,
        };
        director.packet(Timestamp(number), &packet, Tag(number));
    }
    director.settle();
    let (told, longest) = (listener.told.load(Relaxed), listener.longest.load(Relaxed));
    assert!(longest < 20_000, "{longest} words in one call");
    // Of the rest it is told when it is asked again.
    assert!(told + 20_000 > CONNECTIONS as usize, "{told} words");
}
