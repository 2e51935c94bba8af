(component
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance (export "now" (func (result u64))))))
