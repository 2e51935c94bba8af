//! One running component behind the core's `Scheduler`.
//!
//! After a fault its store is dropped and every further call is an error. Whether the answers are
//! as many as were asked for, and name servers that may be chosen, is the core's to say.

use equipoise_core::{
    Fault, Flow, Load, Needs, Parameter, Request, Scheduler, Server, ServerId, ServiceIdentity,
    Timestamp,
};
use wasmtime::Store;

use crate::budget::Budget;
use crate::contract;
use crate::policy::{Door, Exports};
use crate::{Engine, fault};

/// Arrivals in one batch: larger ones gain nothing.
const BATCH_LIMIT: usize = 1024;

/// One instance with its store.
pub(crate) struct ComponentScheduler {
    engine: Engine,
    needs: Needs,
    batch_limit: usize,
    /// Kept for its memory.
    changed: Vec<contract::Load>,
    /// None after a fault.
    live: Option<Live>,
}

struct Live {
    store: Store<Budget>,
    exports: Exports,
    way: Way,
}

/// Which of the two interfaces the instance is used through, for life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Typed,
    Packed,
}

impl ComponentScheduler {
    /// Takes a fresh instance through `configure`.
    pub(crate) fn configure(
        engine: Engine,
        mut store: Store<Budget>,
        exports: Exports,
        now: Timestamp,
        service: &ServiceIdentity,
        parameters: &[Parameter],
        seed: u64,
    ) -> Result<Self, Fault> {
        let parameters: Vec<_> = parameters.iter().map(contract::Parameter::from).collect();
        let configured = engine.arm(&mut store).and_then(|()| {
            exports.lifecycle.call_configure(
                &mut store,
                now.micros(),
                service.into(),
                &parameters,
                seed,
            )
        });
        let needs: Needs = match configured {
            Ok(Ok(needs)) => needs.into(),
            Ok(Err(text)) => {
                return Err(Fault::Refused {
                    message: fault::one_line(&text),
                });
            }
            Err(error) => return Err(fault::of_call(&error, store.data(), engine.limits())),
        };
        if needs.contains(Needs::LATENCY) {
            return Err(Fault::Failed {
                message: String::from(
                    "the policy needs latency, which a later version simulates: use one that does without",
                ),
            });
        }
        Ok(Self {
            batch_limit: match exports.door {
                Door::Flows(_, Some(_)) => BATCH_LIMIT,
                _ => 0,
            },
            live: Some(Live {
                store,
                exports,
                way: Way::Open,
            }),
            engine,
            needs,
            changed: Vec::new(),
        })
    }

    /// One call into the instance, which does not outlive a fault.
    #[inline]
    fn call<T>(
        &mut self,
        way: Option<Way>,
        function: impl FnOnce(&mut Live, &[contract::Load]) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let Some(live) = &mut self.live else {
            return Err(failed("the policy is stopped since its first fault"));
        };
        if let Some(way) = way
            && live.way != way
        {
            if live.way != Way::Open {
                return Err(failed(
                    "an instance is used either through `scheduler` or through `batch`, never both",
                ));
            }
            live.way = way;
        }
        let called = self
            .engine
            .arm(&mut live.store)
            .and_then(|()| function(live, &self.changed));
        match called {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let fault = fault::of_call(&error, live.store.data(), self.engine.limits());
                self.live = None;
                Err(fault)
            }
        }
    }
}

impl Scheduler for ComponentScheduler {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn set_servers(&mut self, servers: &[Server]) -> Result<(), Fault> {
        let servers: Vec<_> = servers.iter().map(contract::Server::from).collect();
        self.call(None, |live, _| {
            live.exports
                .lifecycle
                .call_set_servers(&mut live.store, &servers)
        })
    }

    fn schedule(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        self.schedule_request(now, flow, None, changed)
    }

    #[inline]
    fn schedule_request(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        request: Option<&Request<'_>>,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        self.changed.clear();
        self.changed
            .extend(changed.unwrap_or_default().iter().map(contract::Load::from));
        let answer = self.call(Some(Way::Typed), |live, loads| {
            let changed = changed.is_some().then_some(loads);
            let (store, now_us) = (&mut live.store, now.micros());
            match &live.exports.door {
                Door::Flows(scheduler, _) => {
                    scheduler.call_schedule(store, now_us, flow.into(), changed)
                }
                Door::Requests(scheduler) => {
                    let request = request.map(contract::Request::from);
                    let (flow, request) = (flow.into(), request.as_ref());
                    scheduler.call_schedule(store, now_us, flow, request, changed)
                }
            }
        })?;
        Ok(answer.map(ServerId))
    }

    fn batch_limit(&self) -> usize {
        self.batch_limit
    }

    fn run(&mut self, keys: &[u64], events: &[u32], answers: &mut Vec<u32>) -> Result<(), Fault> {
        if self.batch_limit == 0 {
            return Err(failed("this policy has no packed twin"));
        }
        let given = self.call(Some(Way::Packed), |live, _| match &live.exports.door {
            Door::Flows(_, Some(batch)) => batch.call_run(&mut live.store, keys, events),
            _ => Ok(Vec::new()),
        })?;
        answers.extend_from_slice(&given);
        Ok(())
    }
}

fn failed(message: &str) -> Fault {
    Fault::Failed {
        message: String::from(message),
    }
}
