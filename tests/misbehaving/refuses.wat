;; Refuses its parameters, with a line break and a bell in its text.
(data (i32.const 64) "\01\00\00\00\60\00\00\00\2f\00\00\00")
(data (i32.const 96) "unknown key `speed`:\0athis policy takes none\07 of it")
(func (export "equipoise:policy/lifecycle@0.1.0#configure")
  (param i64 i32 i64 i64 i32 i32 i32 i32 i32 i64) (result i32)
  i32.const 64)
