;; A WebAssembly module that nobody made a component of.
(module (memory (export "memory") 1))
