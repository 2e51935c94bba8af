//! Measures what a policy's calls cost, apart from all facts: the one clock in a replay, and
//! nothing it says reaches a decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use equipoise_core::{
    Fault, Flow, Load, Needs, Parameter, Policy, Request, Scheduler, Server, ServerId,
    ServiceIdentity, Timestamp,
};

/// Calls, decisions and time of all schedulers that one run started.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    calls: AtomicU64,
    decisions: AtomicU64,
    total_ns: AtomicU64,
}

impl Meter {
    /// Calls, decisions, nanoseconds.
    pub(crate) fn read(&self) -> (u64, u64, u64) {
        (
            self.calls.load(Relaxed),
            self.decisions.load(Relaxed),
            self.total_ns.load(Relaxed),
        )
    }

    fn add(&self, decisions: usize, begin: Instant) {
        self.calls.fetch_add(1, Relaxed);
        self.decisions.fetch_add(decisions as u64, Relaxed);
        self.total_ns
            .fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
    }
}

/// A policy whose schedulers report to a meter.
pub(crate) struct Metered {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) meter: Arc<Meter>,
}

impl Policy for Metered {
    fn start(
        &self,
        now: Timestamp,
        service: &ServiceIdentity,
        parameters: &[Parameter],
        seed: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        let scheduler = self.policy.start(now, service, parameters, seed)?;
        Ok(Box::new(MeteredScheduler {
            scheduler,
            meter: Arc::clone(&self.meter),
        }))
    }

    fn reads_requests(&self) -> bool {
        self.policy.reads_requests()
    }
}

struct MeteredScheduler {
    scheduler: Box<dyn Scheduler>,
    meter: Arc<Meter>,
}

impl Scheduler for MeteredScheduler {
    fn needs(&self) -> Needs {
        self.scheduler.needs()
    }

    fn set_servers(&mut self, servers: &[Server]) -> Result<(), Fault> {
        self.scheduler.set_servers(servers)
    }

    fn schedule(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        let begin = Instant::now();
        let answer = self.scheduler.schedule(now, flow, changed);
        self.meter.add(1, begin);
        answer
    }

    fn schedule_request(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        request: Option<&Request<'_>>,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        let begin = Instant::now();
        let answer = self.scheduler.schedule_request(now, flow, request, changed);
        self.meter.add(1, begin);
        answer
    }

    fn batch_limit(&self) -> usize {
        self.scheduler.batch_limit()
    }

    fn run(&mut self, keys: &[u64], events: &[u32], answers: &mut Vec<u32>) -> Result<(), Fault> {
        let begin = Instant::now();
        let before = answers.len();
        let outcome = self.scheduler.run(keys, events, answers);
        self.meter.add(answers.len() - before, begin);
        outcome
    }
}
