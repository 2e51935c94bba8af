;; Answers a batch with one word, however many it was asked for.
(data (i32.const 64) "\60\00\00\00\01\00\00\00")
(func (export "equipoise:policy/batch@0.1.0#run") (param i32 i32 i32 i32) (result i32)
  i32.const 64)
