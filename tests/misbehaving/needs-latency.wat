;; Wants latency, which nothing simulates yet.
(data (i32.const 64) "\00\00\00\00\02\00\00\00")
(func (export "equipoise:policy/lifecycle@0.1.0#configure")
  (param i64 i32 i64 i64 i32 i32 i32 i32 i32 i64) (result i32)
  i32.const 64)
