;; The right names, but a decision is made from nothing.
(component
  (core module $guest
    (func (export "configure"))
    (func (export "set-servers"))
    (func (export "schedule") (result i32) i32.const 0))
  (core instance $guest (instantiate $guest))
  (func $configure (canon lift (core func $guest "configure")))
  (func $set-servers (canon lift (core func $guest "set-servers")))
  (func $schedule (result u32) (canon lift (core func $guest "schedule")))
  (instance $lifecycle (export "configure" (func $configure)) (export "set-servers" (func $set-servers)))
  (instance $scheduler (export "schedule" (func $schedule)))
  (export "equipoise:policy/lifecycle@0.1.0" (instance $lifecycle))
  (export "equipoise:policy/scheduler@0.1.0" (instance $scheduler)))
