(component
  (import "example:metrics/counters" (instance (export "count" (func (param "name" string))))))
