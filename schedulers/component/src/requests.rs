//! The export of a policy that decides by requests.

use alloc::vec::Vec;

use equipoise_core as engine;

use crate::bindings::equipoise::policy::types;
use crate::bindings::exports::equipoise::policy::request_scheduler;
use crate::{Component, INSTANCE};

/// A call before `configure` breaks the contract, and finds no destination.
impl request_scheduler::Guest for Component {
    fn schedule(
        now_us: u64,
        flow: types::Flow,
        request: Option<types::Request>,
        changed: Option<Vec<types::Load>>,
    ) -> Option<types::ServerId> {
        let mut instance = INSTANCE.0.borrow_mut();
        let instance = instance.as_mut()?;
        let changed = changed.into_iter().flatten().map(Into::into);
        let request = request.as_ref().map(borrowed);
        let server = instance.schedule_request(now_us, &flow.into(), request.as_ref(), changed)?;
        Some(server.0)
    }
}

fn borrowed(request: &types::Request) -> engine::Request<'_> {
    match request {
        types::Request::Http(http) => engine::Request::Http {
            method: &http.method,
            target: &http.target,
            host: http.host.as_deref(),
        },
        types::Request::Tls(hello) => engine::Request::Tls {
            server_name: hello.server_name.as_deref(),
            protocols: &hello.protocols,
        },
        types::Request::Quic(initial) => engine::Request::Quic {
            version: initial.version,
            destination_id: &initial.destination_id,
        },
    }
}
