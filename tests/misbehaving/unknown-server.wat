;; Answers server 99.
(data (i32.const 32) "\01\00\00\00\63\00\00\00")
(func (export "equipoise:policy/scheduler@0.1.0#schedule")
  (param i64 i64 i64 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32)
  i32.const 32)
