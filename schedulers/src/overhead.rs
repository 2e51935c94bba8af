//! The connection overhead that `lc`, `wlc`, `lblc`, `lblcr` and `twos` weigh, in both of the
//! kernel's generations.

use equipoise_core::Server;

use crate::sdk::{Accepts, ParameterSpec, Setup};

/// Chooses the generation.
pub(crate) const KERNEL: ParameterSpec = ParameterSpec {
    key: "kernel",
    accepts: Accepts::OneOf(&["current", "classic"]),
    doc: "overhead as this generation of kernels counts it: current 257·active + inactive, \
          classic 256·active + inactive",
};

/// Overhead of a server's connections, 32-bit as the kernel's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overhead {
    per_active: u32,
}

impl Overhead {
    /// As the user chose.
    pub(crate) fn configure(setup: &Setup<'_>) -> Self {
        Self {
            per_active: if setup.number(&KERNEL) == 0 { 257 } else { 256 },
        }
    }

    /// An active connection counts about as much as 256 inactive ones.
    #[inline]
    pub(crate) fn of(self, server: &Server) -> i32 {
        let active = server.active.wrapping_mul(self.per_active);
        active.wrapping_add(server.inactive).cast_signed()
    }
}
