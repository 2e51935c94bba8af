//! The memory cap of one instance: linear memories and tables draw on one budget.

use wasmtime::ResourceLimiter;

/// What a table element takes in the host.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// What one store may still take, and whether it was ever told no.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    refused: bool,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            left: usize::try_from(bytes).unwrap_or(usize::MAX),
            refused: false,
        }
    }

    /// Whether a request was refused since [`Budget::forget_refusal`].
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    pub(crate) fn forget_refusal(&mut self) {
        self.refused = false;
    }

    /// Growth beyond what the policy itself declared fails whatever the budget says.
    fn grow(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
        unit_bytes: usize,
    ) -> bool {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let bytes = desired.saturating_sub(current).saturating_mul(unit_bytes);
        let left = self.left.checked_sub(bytes);
        self.refused |= left.is_none();
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

/// Growth that the engine itself fails to carry out stays charged: it is the end of the instance
/// anyway.
impl ResourceLimiter for Budget {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, 1))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, TABLE_ELEMENT_BYTES))
    }
}
