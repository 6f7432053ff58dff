;; Computes for ever without a call: only an interruption ends it.
(module
  (memory (export "memory") 1)
  (func (export "_start") (loop $again (br $again))))
