//! The component around one policy: the contract's bindings over the SDK's `Instance`.
//!
//! Owns the exports, the allocator and the translation between the contract's types and the core's.
//! Decides nothing. One component holds one instance, and a component has one thread.
#![no_std]

extern crate alloc;

mod bindings;
mod convert;
#[cfg(not(reads_requests))]
mod flows;
#[cfg(reads_requests)]
mod requests;

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::panic::PanicInfo;

use dlmalloc::GlobalDlmalloc;
use equipoise_schedulers::sdk::{Algorithm, Instance};

use bindings::equipoise::policy::types;
use bindings::exports::equipoise::policy::lifecycle;

include!(concat!(env!("OUT_DIR"), "/policy.rs"));

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

static INSTANCE: OneThread<Option<Instance<Policy>>> = OneThread(RefCell::new(None));

struct Component;

bindings::export!(Component with_types_in bindings);

impl lifecycle::Guest for Component {
    fn configure(
        now_us: u64,
        service: types::Service,
        parameters: Vec<types::Parameter>,
        seed: u64,
    ) -> Result<types::Needs, String> {
        let parameters: Vec<_> = parameters.into_iter().map(Into::into).collect();
        let instance = Instance::configure(now_us, &service.into(), &parameters, seed)?;
        *INSTANCE.0.borrow_mut() = Some(instance);
        Ok(convert::needs(Policy::NEEDS))
    }

    fn set_servers(servers: Vec<types::Server>) {
        if let Some(instance) = &mut *INSTANCE.0.borrow_mut() {
            instance.set_servers(servers.into_iter().map(Into::into).collect());
        }
    }
}

struct OneThread<T>(RefCell<T>);

// SAFETY: the target has no threads, and the host enters a component through one call at a time.
unsafe impl<T> Sync for OneThread<T> {}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
