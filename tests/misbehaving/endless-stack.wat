;; Calls itself for ever.
(func $deeper (result i32)
  (i32.add (call $deeper) (i32.const 1)))
(func (export "equipoise:policy/scheduler@0.1.0#schedule")
  (param i64 i64 i64 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32)
  call $deeper)
