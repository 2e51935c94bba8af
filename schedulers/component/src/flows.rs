//! The exports of a policy that decides without requests.

use alloc::vec::Vec;

use crate::bindings::equipoise::policy::types;
use crate::bindings::exports::equipoise::policy::{batch, scheduler};
use crate::{Component, INSTANCE};

/// A call before `configure` breaks the contract, and finds no destination.
impl scheduler::Guest for Component {
    fn schedule(
        now_us: u64,
        flow: types::Flow,
        changed: Option<Vec<types::Load>>,
    ) -> Option<types::ServerId> {
        let mut instance = INSTANCE.0.borrow_mut();
        let changed = changed.into_iter().flatten().map(Into::into);
        let server = instance.as_mut()?.schedule(now_us, &flow.into(), changed)?;
        Some(server.0)
    }
}

impl batch::Guest for Component {
    fn run(keys: Vec<u64>, events: Vec<u32>) -> Vec<u32> {
        let mut answers = Vec::new();
        if let Some(instance) = &mut *INSTANCE.0.borrow_mut() {
            instance.run(&keys, &events, &mut answers);
        }
        answers
    }
}
