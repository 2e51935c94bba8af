;; Asks for 2 GiB in a decision, and traps when it does not get them.
(func (export "equipoise:policy/scheduler@0.1.0#schedule")
  (param i64 i64 i64 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32)
  (if (i32.eq (memory.grow (i32.const 32768)) (i32.const -1))
    (then (unreachable)))
  i32.const 32)
