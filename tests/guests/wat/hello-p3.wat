;; A wasi:cli 0.3 command: prints one line through a stream and succeeds.
(component
  (import "wasi:cli/types@0.3.0" (instance $types
    (type $codes (enum "io" "illegal-byte-sequence" "pipe"))
    (export "error-code" (type (eq $codes)))))
  (alias export $types "error-code" (type $error-code))
  (import "wasi:cli/stdout@0.3.0" (instance $stdout
    (alias outer 1 $error-code (type $outer-code))
    (export "error-code" (type $code (eq $outer-code)))
    (type $bytes (stream u8))
    (type $outcome (future (result (error $code))))
    (export "write-via-stream" (func (param "data" $bytes) (result $outcome)))))

  (type $bytes (stream u8))
  (type $outcome (future (result (error $error-code))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $write-via-stream (canon lower (func $stdout "write-via-stream")))
  (core func $stream-new (canon stream.new $bytes))
  (core func $stream-write (canon stream.write $bytes async (memory (core memory $memory "memory"))))
  (core func $stream-end (canon stream.drop-writable $bytes))
  (core func $outcome-read (canon future.read $outcome async (memory (core memory $memory "memory"))))
  (core func $outcome-drop (canon future.drop-readable $outcome))
  (core func $set-new (canon waitable-set.new))
  (core func $set-wait (canon waitable-set.wait (memory (core memory $memory "memory"))))
  (core func $join (canon waitable.join))

  (core module $main
    (import "memory" "memory" (memory 1))
    (import "host" "write-via-stream" (func $write-via-stream (param i32) (result i32)))
    (import "host" "stream-new" (func $stream-new (result i64)))
    (import "host" "stream-write" (func $stream-write (param i32 i32 i32) (result i32)))
    (import "host" "stream-end" (func $stream-end (param i32)))
    (import "host" "outcome-read" (func $outcome-read (param i32 i32) (result i32)))
    (import "host" "outcome-drop" (func $outcome-drop (param i32)))
    (import "host" "set-new" (func $set-new (result i32)))
    (import "host" "set-wait" (func $set-wait (param i32 i32) (result i32)))
    (import "host" "join" (func $join (param i32 i32)))
    (data (i32.const 16) "hello from an async component!\n")

    ;; Waits for the end of an operation on one end of a stream or future: -1 says that it goes on.
    (func $finish (param $set i32) (param $end i32) (param $result i32)
      (if (i32.eq (local.get $result) (i32.const -1)) (then
        (call $join (local.get $end) (local.get $set))
        (drop (call $set-wait (local.get $set) (i32.const 0)))
        (call $join (local.get $end) (i32.const 0)))))

    (func (export "run") (result i32) (local $set i32) (local $ends i64) (local $writable i32) (local $outcome i32)
      ;; The readable end is in the lower half, the writable one in the upper.
      (local.set $ends (call $stream-new))
      (local.set $writable (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
      (local.set $outcome (call $write-via-stream (i32.wrap_i64 (local.get $ends))))
      (local.set $set (call $set-new))
      (call $finish (local.get $set) (local.get $writable)
        (call $stream-write (local.get $writable) (i32.const 16) (i32.const 31)))
      (call $stream-end (local.get $writable))
      (call $finish (local.get $set) (local.get $outcome) (call $outcome-read (local.get $outcome) (i32.const 8)))
      (call $outcome-drop (local.get $outcome))
      (i32.const 0)))
  (core instance $main (instantiate $main
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "write-via-stream" (func $write-via-stream))
      (export "stream-new" (func $stream-new))
      (export "stream-write" (func $stream-write))
      (export "stream-end" (func $stream-end))
      (export "outcome-read" (func $outcome-read))
      (export "outcome-drop" (func $outcome-drop))
      (export "set-new" (func $set-new))
      (export "set-wait" (func $set-wait))
      (export "join" (func $join))))))

  (func $run async (result (result)) (canon lift (core func $main "run")))
  (instance $run (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $run)))
