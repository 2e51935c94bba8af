//! Why a file is not taken as a policy. Each message is one line: what is wrong, and what to do.

use equipoise_core::Fault;

use crate::contract::VERSION;

/// Why a component is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Larger than the limits allow.
    #[error(
        "{name} has {bytes} bytes, and components of at most {limit} are taken: build it without debug information"
    )]
    TooLarge {
        /// The policy.
        name: String,
        /// Its size.
        bytes: u64,
        /// The largest size taken.
        limit: u64,
    },
    /// WebAssembly as text.
    #[error("{name} is WebAssembly text: encode it first, for example with `wasm-tools parse`")]
    Text {
        /// The policy.
        name: String,
    },
    /// Anything but WebAssembly.
    #[error(
        "{name} is not WebAssembly (its first bytes are not `\\0asm`): give a component (`cargo xtask policies` builds the bundled ones)"
    )]
    NotWasm {
        /// The policy.
        name: String,
    },
    /// A core module.
    #[error(
        "{name} is a core WebAssembly module, and a policy is a component: link it with wasm-component-ld, or encode it with `wasm-tools component new`"
    )]
    CoreModule {
        /// The policy.
        name: String,
    },
    /// Broken, or in need of WebAssembly features that are off here.
    #[error("{name} does not compile: {reason}")]
    Invalid {
        /// The policy.
        name: String,
        /// What the compiler said.
        reason: String,
    },
    /// Small to read, and without end to compile.
    #[error("{name} is too intricate to compile ({reason}): build it as one plain component")]
    TooComplex {
        /// The policy.
        name: String,
        /// What there is too much of.
        reason: String,
    },
    /// It imports part of WASI.
    #[error(
        "{name} wants {import}, and a policy may import nothing: build it for wasm32-unknown-unknown instead of WASI, or let your language's tool stub WASI out (`--stub-wasi`)"
    )]
    Wasi {
        /// The policy.
        name: String,
        /// The first import.
        import: String,
    },
    /// It imports something else.
    #[error(
        "{name} wants {import}, and a policy may import nothing: take that import out of its world"
    )]
    Import {
        /// The policy.
        name: String,
        /// The first import.
        import: String,
    },
    /// It was built against another version of the contract.
    #[error(
        "{name} exports {export}, and this host takes equipoise:policy@{VERSION} only: build it against wit/{VERSION}"
    )]
    Version {
        /// The policy.
        name: String,
        /// What it exports.
        export: String,
    },
    /// It lacks an interface of the contract.
    #[error(
        "{name} does not export {export}: a policy exports lifecycle and scheduler or request-scheduler of equipoise:policy@{VERSION}"
    )]
    MissingExport {
        /// The policy.
        name: String,
        /// What is not there.
        export: String,
    },
    /// An interface has not the contract's functions or types.
    #[error(
        "{name} exports {export} with other functions or types than wit/{VERSION} has ({reason}): build it against that"
    )]
    TypeMismatch {
        /// The policy.
        name: String,
        /// The interface.
        export: String,
        /// Where they differ.
        reason: String,
    },
    /// It could not be started at all.
    #[error("{name} does not start: {fault}")]
    Start {
        /// The policy.
        name: String,
        /// What happened.
        #[source]
        fault: Fault,
    },
    /// This machine cannot run components.
    #[error("WebAssembly cannot be run here: {reason}")]
    Unsupported {
        /// What the engine said.
        reason: String,
    },
}
