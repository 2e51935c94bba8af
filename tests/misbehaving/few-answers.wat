;; Answers a batch with the one word 7, however many it was asked for.
(data (i32.const 64) "\60\00\00\00\01\00\00\00")
(data (i32.const 96) "\07\00\00\00")
(func (export "equipoise:policy/batch@0.1.0#run") (param i32 i32 i32 i32) (result i32)
  i32.const 64)
