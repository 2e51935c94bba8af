//! One compiler configuration with its limits, and the clock that its watchdog runs on.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use wasmtime::{Config, Store};

use crate::LoadError;
use crate::budget::Budget;

/// What an instance may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory and tables of one instance.
    pub memory_bytes: u64,
    /// Size of a component file.
    pub component_bytes: u64,
    /// What ends a call that does not come back.
    pub watchdog: Watchdog,
}

/// What ends a call that does not come back. Each call starts afresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watchdog {
    /// Wall-clock time, a batch being one call; kept to within 20 ms.
    Deadline(Duration),
    /// Instructions, roughly: ends the same call at the same place on every machine, and slows
    /// loops in the policy by a quarter.
    Fuel(u64),
}

impl Default for Limits {
    /// 64 MiB of memory, components of 64 MiB, one second for a call.
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            component_bytes: 64 << 20,
            watchdog: Watchdog::Deadline(Duration::from_secs(1)),
        }
    }
}

/// [`Watchdog`] as the compiled code counts it.
#[derive(Clone, Copy)]
enum CallBudget {
    Ticks(u64),
    Fuel(u64),
}

/// Compiles and runs components under one set of limits. Cheap to clone; clones share the watchdog.
#[derive(Clone)]
pub struct Engine {
    wasm: wasmtime::Engine,
    limits: Limits,
    budget_of_a_call: CallBudget,
    _ticker: Option<Arc<Ticker>>,
}

impl Engine {
    /// An engine for this machine.
    pub fn new(limits: Limits) -> Result<Self, LoadError> {
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            // Async, streams and futures: nobody here needs them, and they cost 300 ns a call.
            .concurrency_support(false)
            .wasm_relaxed_simd(false)
            .cranelift_nan_canonicalization(true);
        match limits.watchdog {
            Watchdog::Deadline(_) => config.epoch_interruption(true),
            Watchdog::Fuel(_) => config.consume_fuel(true),
        };
        let unsupported = |reason: String| LoadError::Unsupported { reason };
        let wasm =
            wasmtime::Engine::new(&config).map_err(|error| unsupported(format!("{error:#}")))?;
        let ticker = match limits.watchdog {
            Watchdog::Deadline(_) => Some(Arc::new(
                Ticker::start(wasm.clone()).map_err(|error| unsupported(error.to_string()))?,
            )),
            Watchdog::Fuel(_) => None,
        };
        let budget_of_a_call = match limits.watchdog {
            Watchdog::Deadline(deadline) => {
                // One more, since the running tick may be about to end.
                let ticks = deadline.as_nanos() / Ticker::PERIOD.as_nanos() + 1;
                CallBudget::Ticks(u64::try_from(ticks).unwrap_or(u64::MAX / 2))
            }
            Watchdog::Fuel(fuel) => CallBudget::Fuel(fuel),
        };
        Ok(Self {
            wasm,
            limits,
            budget_of_a_call,
            _ticker: ticker,
        })
    }

    /// The limits that it was made with.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// A store with the whole budget, armed for its first call.
    pub(crate) fn store(&self) -> Result<Store<Budget>, wasmtime::Error> {
        let mut store = Store::new(&self.wasm, Budget::new(self.limits.memory_bytes));
        store.limiter(|budget| budget);
        self.arm(&mut store)?;
        Ok(store)
    }

    /// Sets the watchdog for the next call.
    #[inline]
    pub(crate) fn arm(&self, store: &mut Store<Budget>) -> Result<(), wasmtime::Error> {
        store.data_mut().forget_refusal();
        match self.budget_of_a_call {
            CallBudget::Ticks(ticks) => {
                store.set_epoch_deadline(ticks);
                Ok(())
            }
            CallBudget::Fuel(fuel) => store.set_fuel(fuel),
        }
    }
}

/// Advances an engine's epoch until it is dropped.
struct Ticker {
    _stop: mpsc::Sender<()>,
}

impl Ticker {
    const PERIOD: Duration = Duration::from_millis(10);

    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new()
            .name(String::from("watchdog"))
            .spawn(move || {
                while stopped.recv_timeout(Self::PERIOD) == Err(RecvTimeoutError::Timeout) {
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { _stop: stop })
    }
}
