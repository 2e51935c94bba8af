;; Decides 99 times, and traps in the 100th decision.
(global $decisions (mut i32) (i32.const 0))
(data (i32.const 32) "\01\00\00\00\00\00\00\00")
(func (export "equipoise:policy/scheduler@0.1.0#schedule")
  (param i64 i64 i64 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32)
  (global.set $decisions (i32.add (global.get $decisions) (i32.const 1)))
  (if (i32.eq (global.get $decisions) (i32.const 100))
    (then (unreachable)))
  i32.const 32)
