;; Wants 2 GiB before it has done anything.
(memory (export "memory") 32768)
