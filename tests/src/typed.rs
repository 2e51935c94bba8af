//! A policy without its packed twin, so that each decision is a call of its own.

use std::sync::Arc;

use equipoise_core::{
    Fault, Flow, Load, Needs, Parameter, Policy, Request, Scheduler, Server, ServerId,
    ServiceIdentity, Timestamp,
};

/// Hides the packed twin of the policy within.
pub struct TypedOnly(pub Arc<dyn Policy>);

impl Policy for TypedOnly {
    fn start(
        &self,
        now: Timestamp,
        service: &ServiceIdentity,
        parameters: &[Parameter],
        seed: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        Ok(Box::new(Typed(
            self.0.start(now, service, parameters, seed)?,
        )))
    }

    fn reads_requests(&self) -> bool {
        self.0.reads_requests()
    }
}

struct Typed(Box<dyn Scheduler>);

impl Scheduler for Typed {
    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn set_servers(&mut self, servers: &[Server]) -> Result<(), Fault> {
        self.0.set_servers(servers)
    }

    fn schedule(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        self.0.schedule(now, flow, changed)
    }

    fn schedule_request(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        request: Option<&Request<'_>>,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        self.0.schedule_request(now, flow, request, changed)
    }
}
