;; Traps three calls deep; the names are for the backtrace.
(module
  (memory (export "memory") 1)
  (func $innermost unreachable)
  (func $middle (call $innermost))
  (func $_start (export "_start") (call $middle)))
