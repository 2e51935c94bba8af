//! The seam between the engine and whatever decides: a native twin or a component.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Flow, Load, Needs, Parameter, Request, Server, ServerId, ServiceIdentity, Timestamp};

/// An algorithm that can be started once per virtual service.
pub trait Policy: Send + Sync {
    /// Starts an instance and configures it; [`Scheduler::set_servers`] follows, as the bind.
    fn start(
        &self,
        now: Timestamp,
        service: &ServiceIdentity,
        parameters: &[Parameter],
        seed: u64,
    ) -> Result<Box<dyn Scheduler>, Fault>;

    /// Whether its schedulers decide by a connection's first request, so that connections wait for
    /// one. They have no packed twin.
    fn reads_requests(&self) -> bool {
        false
    }
}

impl<P: Policy + ?Sized> Policy for &P {
    fn start(
        &self,
        now: Timestamp,
        service: &ServiceIdentity,
        parameters: &[Parameter],
        seed: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        (**self).start(now, service, parameters, seed)
    }

    fn reads_requests(&self) -> bool {
        (**self).reads_requests()
    }
}

/// One running instance of a policy, for one virtual service. After a fault it is never called
/// again. The contract is `wit/0.1.0/policy.wit`.
pub trait Scheduler: Send {
    /// What it reads.
    fn needs(&self) -> Needs;

    /// The whole list, newest first: first the bind, then one call for each addition, edit or
    /// deletion.
    fn set_servers(&mut self, servers: &[Server]) -> Result<(), Fault>;

    /// Chooses a server for one connection; `changed` is never empty where it is given.
    fn schedule(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault>;

    /// [`Scheduler::schedule`], with what the client asked for where that could be read.
    fn schedule_request(
        &mut self,
        now: Timestamp,
        flow: &Flow,
        request: Option<&Request<'_>>,
        changed: Option<&[Load]>,
    ) -> Result<Option<ServerId>, Fault> {
        let _ = request;
        self.schedule(now, flow, changed)
    }

    /// How many arrivals one [`Scheduler::run`] may hold; 0 where there is no packed twin, and
    /// then only [`Scheduler::schedule`] is used.
    fn batch_limit(&self) -> usize {
        0
    }

    /// The packed twin: see [`crate::batch`]. Appends one answer for each arrival to `answers`.
    fn run(&mut self, keys: &[u64], events: &[u32], answers: &mut Vec<u32>) -> Result<(), Fault> {
        let _ = (keys, events, answers);
        Err(Fault::Failed {
            message: String::from("this scheduler has no packed twin"),
        })
    }
}

/// Why a policy did not do its part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It refused its parameters; the text is the policy's own.
    #[error("the policy refuses its parameters: {message}")]
    Refused {
        /// What the policy said.
        message: String,
    },
    /// It trapped.
    #[error("the policy trapped: {message}")]
    Trapped {
        /// What the engine said of the trap.
        message: String,
    },
    /// It ran past its deadline.
    #[error("the policy did not answer within its deadline")]
    DeadlineExceeded,
    /// It used up its fuel.
    #[error("the policy used up its fuel")]
    FuelExhausted,
    /// It asked for more memory than it may have.
    #[error("the policy asked for more than {limit_bytes} bytes of memory")]
    MemoryExceeded {
        /// The cap in bytes.
        limit_bytes: u64,
    },
    /// It named a server that is not in the list.
    #[error("the policy answered with server {answer}, which is not in the list")]
    UnknownServer {
        /// Id (typed) or place (batch) that it gave.
        answer: u32,
    },
    /// It chose a server of weight 0.
    #[error("the policy answered with server {answer}, which is quiesced (weight 0)")]
    QuiescedServer {
        /// Id (typed) or place (batch) that it gave.
        answer: u32,
    },
    /// The packed twin gave more or fewer answers than it was asked for.
    #[error("the policy gave {given} answer{} to {asked} arrival{}", plural(*given), plural(*asked))]
    WrongAnswerCount {
        /// Arrivals in the call.
        asked: u64,
        /// Words in the answer.
        given: u64,
    },
    /// Anything else the host could not do with it.
    #[error("{message}")]
    Failed {
        /// What went wrong.
        message: String,
    },
}

const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
