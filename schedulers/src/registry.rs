//! Every policy in `src/policies/`, found by the build script: name, documentation, native twin
//! and, with the feature `host`, the built component.

use equipoise_core::{Needs, Policy};

use crate::native::NativePolicy;
use crate::sdk::{Algorithm, ParameterSpec, Promise};

include!(concat!(env!("OUT_DIR"), "/registry.rs"));

/// One policy in the box.
pub struct Entry {
    /// Its name, as in `ipvsadm -s`.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What it reads.
    pub needs: Needs,
    /// The parameters it takes.
    pub parameters: &'static [ParameterSpec],
    /// How it means to share connections out.
    pub promise: Promise,
    /// Whether it chooses a server whenever all are usable.
    pub always_chooses: bool,
    /// Whether the kernel's IPVS has a scheduler of this name, which decides the same.
    pub in_ipvs: bool,
    /// Whether connections wait for their first request.
    pub reads_requests: bool,
    /// Starts native instances.
    pub native: &'static dyn Policy,
    /// The component, where this build embeds it.
    pub component: Option<&'static [u8]>,
}

impl Entry {
    const fn of<A: Algorithm + Send + 'static>(component: Option<&'static [u8]>) -> Self {
        Self {
            name: A::NAME,
            summary: A::SUMMARY,
            needs: A::NEEDS,
            parameters: A::PARAMETERS,
            promise: A::PROMISE,
            always_chooses: A::ALWAYS_CHOOSES,
            in_ipvs: A::IN_IPVS,
            reads_requests: A::READS_REQUESTS,
            native: &NativePolicy::<A>::NEW,
            component,
        }
    }
}

/// All policies, by name.
pub fn all() -> &'static [Entry] {
    ENTRIES
}

/// The policy of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_files_in_order() {
        let names: alloc::vec::Vec<&str> = all().iter().map(|entry| entry.name).collect();
        assert_eq!(names, FILES);
        assert!(names.is_sorted());
        assert!(names.iter().all(|name| find(name).is_some()));
        assert!(find("none").is_none());
    }
}
