;; Sleeps for an hour at a time, for ever: the smallest idle pod.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; A subscription (48 bytes at 0): tag 0 (clock) at 8, the monotonic clock (1) at 16,
  ;; 3,600,000,000,000 ns at 24, relative (flags 0) at 40.
  (data (i32.const 16) "\01")
  (data (i32.const 24) "\00\a0\b8\30\46\03\00\00")
  (func (export "_start")
    (loop $again
      (drop (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (br $again))))
