;; Traps in its first decision.
(func (export "equipoise:policy/scheduler@0.1.0#schedule")
  (param i64 i64 i64 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32)
  unreachable)
