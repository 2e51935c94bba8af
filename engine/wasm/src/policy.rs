//! From a file's bytes to a policy that can be started: every reason to refuse it is found here.
//!
//! Does not read files: bytes come in.

use std::fmt;

use equipoise_core::{Fault, Parameter, Policy, Scheduler, ServiceIdentity, Timestamp};
use sha2::{Digest as _, Sha256};
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, InstancePre, Linker};

use crate::budget::Budget;
use crate::contract::{self, batch, lifecycle, request_scheduler, scheduler};
use crate::scheduler::ComponentScheduler;
use crate::{CodeCache, Engine, LoadError, fault, shape};

const REQUEST_SCHEDULER: &str = "request-scheduler";

/// SHA-256 of a component's bytes, shown as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A policy component, compiled and found to follow the contract.
pub struct ComponentPolicy {
    engine: Engine,
    name: String,
    digest: Digest,
    pre: InstancePre<Budget>,
    lifecycle: lifecycle::GuestIndices,
    door: Door<scheduler::GuestIndices, batch::GuestIndices, request_scheduler::GuestIndices>,
}

/// Which interfaces decide: `request-scheduler` where a component exports it, else `scheduler` and
/// perhaps its packed twin.
pub(crate) enum Door<S, B, R> {
    Flows(S, Option<B>),
    Requests(R),
}

/// The functions of one instance, type-checked.
pub(crate) struct Exports {
    pub(crate) lifecycle: lifecycle::Guest,
    pub(crate) door: Door<scheduler::Guest, batch::Guest, request_scheduler::Guest>,
}

impl ComponentPolicy {
    /// Compiles a component and starts it once, to check it; `name` is used in messages.
    pub fn load(engine: &Engine, bytes: &[u8], name: &str) -> Result<Self, LoadError> {
        check_header(engine, bytes, name)?;
        let component = compile(engine, bytes, name)?;
        Self::link(engine, &component, Digest::of(bytes), name)
    }

    /// As [`ComponentPolicy::load`], but takes the compiled code from the cache where it is there,
    /// and leaves it there where it is not. A cache that cannot be written costs time, nothing else.
    pub fn load_cached(
        engine: &Engine,
        cache: &CodeCache,
        bytes: &[u8],
        name: &str,
    ) -> Result<Self, LoadError> {
        check_header(engine, bytes, name)?;
        let digest = Digest::of(bytes);
        let component = if let Some(component) = cache.get(engine, digest) {
            component
        } else {
            let component = compile(engine, bytes, name)?;
            cache.put(engine, digest, &component);
            component
        };
        Self::link(engine, &component, digest, name)
    }

    /// The name that it was loaded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it exports the packed twin.
    pub fn has_batch(&self) -> bool {
        matches!(self.door, Door::Flows(_, Some(_)))
    }

    fn link(
        engine: &Engine,
        component: &Component,
        digest: Digest,
        name: &str,
    ) -> Result<Self, LoadError> {
        check_imports(engine, component, name)?;
        check_exports(engine, component, name)?;
        let invalid = |error: wasmtime::Error| LoadError::Invalid {
            name: String::from(name),
            reason: fault::one_line(&format!("{error:#}")),
        };
        let pre = Linker::new(engine.wasm())
            .instantiate_pre(component)
            .map_err(invalid)?;
        let mismatch = |(interface, error)| type_mismatch(name, interface, &error);
        let lifecycle =
            lifecycle::GuestIndices::new(&pre).map_err(|error| mismatch(("lifecycle", error)))?;
        let exports = |interface| has_export(component, interface);
        let door = if exports(REQUEST_SCHEDULER) {
            request_scheduler::GuestIndices::new(&pre)
                .map(Door::Requests)
                .map_err(|error| mismatch((REQUEST_SCHEDULER, error)))?
        } else {
            let batch = exports("batch").then(|| batch::GuestIndices::new(&pre));
            let batch = batch.transpose();
            Door::Flows(
                scheduler::GuestIndices::new(&pre)
                    .map_err(|error| mismatch(("scheduler", error)))?,
                batch.map_err(|error| mismatch(("batch", error)))?,
            )
        };
        let policy = Self {
            engine: engine.clone(),
            name: String::from(name),
            digest,
            lifecycle,
            door,
            pre,
        };
        let (mut store, instance) = policy.instantiate().map_err(|fault| LoadError::Start {
            name: String::from(name),
            fault,
        })?;
        policy.exports(&mut store, &instance).map_err(mismatch)?;
        Ok(policy)
    }

    fn instantiate(&self) -> Result<(Store<Budget>, Instance), Fault> {
        let mut store = self.engine.store().map_err(|error| unexpected(&error))?;
        match self.pre.instantiate(&mut store) {
            Ok(instance) => Ok((store, instance)),
            Err(error) => Err(fault::of_call(&error, store.data(), self.engine.limits())),
        }
    }

    /// Type-checks what an instance exports; an error names the interface.
    fn exports(
        &self,
        store: &mut Store<Budget>,
        instance: &Instance,
    ) -> Result<Exports, (&'static str, wasmtime::Error)> {
        let lifecycle = self.lifecycle.load(&mut *store, instance);
        let lifecycle = lifecycle.map_err(|e| ("lifecycle", e))?;
        let door = match &self.door {
            Door::Flows(scheduler, batch) => {
                let batch = batch
                    .as_ref()
                    .map(|batch| batch.load(&mut *store, instance));
                let batch = batch.transpose().map_err(|e| ("batch", e))?;
                let scheduler = scheduler.load(&mut *store, instance);
                Door::Flows(scheduler.map_err(|e| ("scheduler", e))?, batch)
            }
            Door::Requests(scheduler) => {
                let scheduler = scheduler.load(&mut *store, instance);
                Door::Requests(scheduler.map_err(|e| (REQUEST_SCHEDULER, e))?)
            }
        };
        Ok(Exports { lifecycle, door })
    }
}

impl Policy for ComponentPolicy {
    fn start(
        &self,
        now: Timestamp,
        service: &ServiceIdentity,
        parameters: &[Parameter],
        seed: u64,
    ) -> Result<Box<dyn Scheduler>, Fault> {
        let (mut store, instance) = self.instantiate()?;
        let exports = self
            .exports(&mut store, &instance)
            .map_err(|(_, error)| unexpected(&error))?;
        let started = ComponentScheduler::configure(
            self.engine.clone(),
            store,
            exports,
            now,
            service,
            parameters,
            seed,
        )?;
        Ok(Box::new(started))
    }

    fn reads_requests(&self) -> bool {
        matches!(self.door, Door::Requests(_))
    }
}

fn unexpected(error: &wasmtime::Error) -> Fault {
    Fault::Failed {
        message: fault::one_line(&format!("{error:#}")),
    }
}

fn type_mismatch(name: &str, interface: &str, error: &wasmtime::Error) -> LoadError {
    LoadError::TypeMismatch {
        name: String::from(name),
        export: contract::export(interface),
        reason: fault::one_line(&format!("{error:#}")),
    }
}

/// Looks at size and magic, so that the common mistakes get a better answer than the compiler's.
fn check_header(engine: &Engine, bytes: &[u8], name: &str) -> Result<(), LoadError> {
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    let name = String::from(name);
    let limit = engine.limits().component_bytes;
    let size = bytes.len() as u64;
    if size > limit {
        return Err(LoadError::TooLarge {
            name,
            bytes: size,
            limit,
        });
    }
    if bytes.starts_with(b"\0asm") {
        return if bytes.starts_with(MODULE) {
            Err(LoadError::CoreModule { name })
        } else {
            Ok(())
        };
    }
    let text = bytes.trim_ascii_start();
    Err(
        if text.starts_with(b"(component") || text.starts_with(b"(module") {
            LoadError::Text { name }
        } else {
            LoadError::NotWasm { name }
        },
    )
}

fn compile(engine: &Engine, bytes: &[u8], name: &str) -> Result<Component, LoadError> {
    shape::check(bytes, name)?;
    Component::from_binary(engine.wasm(), bytes).map_err(|error| LoadError::Invalid {
        name: String::from(name),
        reason: fault::one_line(&format!("{error:#}")),
    })
}

/// Refuses every import that a host would have to provide. Interfaces of types alone, which
/// toolchains write for `use`, need nothing.
fn check_imports(engine: &Engine, component: &Component, name: &str) -> Result<(), LoadError> {
    let component = component.component_type();
    let wanted = component
        .imports(engine.wasm())
        .find_map(|(import, item)| match item.ty {
            ComponentItem::Type(_) => None,
            ComponentItem::ComponentInstance(instance) => {
                let mut wanted = instance
                    .exports(engine.wasm())
                    .filter(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)));
                wanted
                    .next()
                    .map(|(function, _)| format!("{import} ({function})"))
            }
            _ => Some(String::from(import)),
        });
    let name = String::from(name);
    match wanted {
        None => Ok(()),
        Some(import) if import.starts_with("wasi:") => Err(LoadError::Wasi { name, import }),
        Some(import) => Err(LoadError::Import { name, import }),
    }
}

fn has_export(component: &Component, interface: &str) -> bool {
    let index = component.get_export_index(None, contract::export(interface));
    index.is_some()
}

/// Finds the interfaces that a policy must have, and tells a missing one from another version's.
fn check_exports(engine: &Engine, component: &Component, name: &str) -> Result<(), LoadError> {
    let has_requests = has_export(component, REQUEST_SCHEDULER);
    for interface in ["lifecycle", "scheduler"] {
        if has_export(component, interface) || has_requests && interface == "scheduler" {
            continue;
        }
        let export = contract::export(interface);
        let other = format!("equipoise:policy/{interface}@");
        let name = String::from(name);
        let types = component.component_type();
        let found = types
            .exports(engine.wasm())
            .find(|(found, _)| found.starts_with(&other));
        return Err(match found {
            Some((found, _)) => LoadError::Version {
                name,
                export: fault::one_line(found),
            },
            None => LoadError::MissingExport { name, export },
        });
    }
    Ok(())
}
