//! The native twin: policies as the engine's [`Policy`] and [`Scheduler`].
//!
//! Validates nothing: the engine holds every scheduler's answers to the same rules.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::marker::PhantomData;

use equipoise_core::{
    Fault, Flow, Load, Needs, Parameter, Policy, Request, Scheduler, Server, ServerId,
    ServiceIdentity, Timestamp,
};

use crate::sdk::{Algorithm, Instance};

/// Arrivals in one [`Scheduler::run`]: as many as a component gets, so that both are cut alike.
pub const BATCH_LIMIT: usize = 1024;

/// Starts native instances of one algorithm.
#[derive(Debug)]
pub struct NativePolicy<A>(PhantomData<fn() -> A>);

impl<A> NativePolicy<A> {
    /// The policy; it holds nothing.
    pub const NEW: Self = Self(PhantomData);
}

impl<A: Algorithm + Send + 'static> Policy for NativePolicy<A> {
    fn start(
        &self,
        now: Timestamp,
        service: &ServiceIdentity,
        parameters: &[Parameter],
        seed: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        match Instance::<A>::configure(now.micros(), service, parameters, seed) {
            Ok(instance) => Ok(Box::new(instance)),
            Err(message) => Err(Fault::Refused { message }),
        }
    }

    fn reads_requests(&self) -> bool {
        A::READS_REQUESTS
    }
}

impl<A: Algorithm + Send> Scheduler for Instance<A> {
    fn needs(&self) -> Needs {
        A::NEEDS
    }

    fn set_servers(&mut self, servers: &[Server]) -> Result<(), Fault> {
        Instance::set_servers(self, servers.to_vec());
        Ok(())
    }

    fn schedule(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        let changed = changed.unwrap_or_default().iter().copied();
        Ok(Instance::schedule(self, now.micros(), flow, changed))
    }

    fn schedule_request(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        request: Option<&Request<'_>>,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        let changed = changed.unwrap_or_default().iter().copied();
        let now_us = now.micros();
        Ok(Instance::schedule_request(
            self, now_us, flow, request, changed,
        ))
    }

    fn batch_limit(&self) -> usize {
        if A::READS_REQUESTS { 0 } else { BATCH_LIMIT }
    }

    fn run(&mut self, keys: &[u64], events: &[u32], answers: &mut Vec<u32>) -> Result<(), Fault> {
        Instance::run(self, keys, events, answers);
        Ok(())
    }
}
