//! From what the engine says of a failed call to the core's faults.

use equipoise_core::Fault;
use wasmtime::{Error, Trap, WasmBacktrace};

use crate::Limits;
use crate::budget::Budget;

/// Longest text of a policy's own that is shown.
const TEXT_MAX: usize = 400;

/// What a failed call means. A refused growth of memory counts as the reason: the policy may well
/// have trapped because of it.
pub(crate) fn of_call(error: &Error, budget: &Budget, limits: Limits) -> Fault {
    if budget.refused() {
        return Fault::MemoryExceeded {
            limit_bytes: limits.memory_bytes,
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::DeadlineExceeded,
        Some(Trap::OutOfFuel) => Fault::FuelExhausted,
        Some(trap) => Fault::Trapped {
            message: described(*trap, error),
        },
        None => Fault::Failed {
            message: one_line(&format!("{error:#}")),
        },
    }
}

/// A policy's own text as one printable line of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.trim().chars().take(TEXT_MAX).map(printable).collect();
    if text.trim().chars().nth(TEXT_MAX).is_some() {
        line.push('…');
    }
    line
}

/// The trap, and the function where it happened if the component still has its names.
fn described(trap: Trap, error: &Error) -> String {
    let text = trap.to_string();
    let text = text.strip_prefix("wasm trap: ").unwrap_or(&text);
    let function = error
        .downcast_ref::<WasmBacktrace>()
        .and_then(|trace| trace.frames().first()?.func_name());
    match function {
        Some(function) => format!("{text} in {}", one_line(function)),
        None => String::from(text),
    }
}
