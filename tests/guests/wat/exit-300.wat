;; Ends with a status that an engine's own proc_exit refuses and a process cannot have: 300 & 255 = 44.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $proc_exit (i32.const 300))))
