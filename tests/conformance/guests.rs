//! Guests in the text format, smallest first. Each one shows one thing.

/// What several guests need: the functions of preview 1, a memory, and `print` of one buffer.
const PRELUDE: &str = r#"
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func $print (param $fd i32) (param $at i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $len))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $sleep_an_hour
    (i32.store8 (i32.const 72) (i32.const 0))
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (i64.const 3600000000000))
    (drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192))))
  (func $lines (param $at i32) (param $len i32) ;; strings that end in 0 become lines
    (local $i i32)
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $len)))
      (if (i32.eqz (i32.load8_u (i32.add (local.get $at) (local.get $i))))
        (then (i32.store8 (i32.add (local.get $at) (local.get $i)) (i32.const 10))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next))))
"#;

fn program(body: &str) -> String {
    format!("(module {PRELUDE} {body})")
}

pub(crate) fn exit(code: i32) -> String {
    program(&format!("(func (export \"_start\") (call $proc_exit (i32.const {code})))"))
}

pub(crate) fn sleep() -> String {
    program("(func (export \"_start\") (call $sleep_an_hour))")
}

pub(crate) fn trap() -> String {
    program("(func $inner unreachable) (func (export \"_start\") (call $inner))")
}

pub(crate) fn spin() -> String {
    program("(func (export \"_start\") (loop $l (br $l)))")
}

/// Spins before `_start`, in the module's start function.
pub(crate) fn spin_in_start_function() -> String {
    program("(func $spin (loop $l (br $l))) (start $spin) (func (export \"_start\"))")
}

/// Exits with the number of its arguments if there are any besides its name, else sleeps.
pub(crate) fn count_arguments() -> String {
    program(
        r#"(func (export "_start")
          (drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
          (if (i32.gt_u (i32.load (i32.const 16)) (i32.const 1))
            (then (call $proc_exit (i32.load (i32.const 16)))))
          (call $sleep_an_hour))"#,
    )
}

/// Prints its arguments to stdout and its environment to stderr, one per line.
pub(crate) fn print_arguments_and_environment() -> String {
    program(
        r#"(func (export "_start")
          (drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
          (drop (call $args_get (i32.const 1024) (i32.const 8192)))
          (call $lines (i32.const 8192) (i32.load (i32.const 20)))
          (call $print (i32.const 1) (i32.const 8192) (i32.load (i32.const 20)))
          (drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
          (drop (call $environ_get (i32.const 1024) (i32.const 8192)))
          (call $lines (i32.const 8192) (i32.load (i32.const 20)))
          (call $print (i32.const 2) (i32.const 8192) (i32.load (i32.const 20))))"#,
    )
}

/// Copies stdin to stdout; exits with 7 at its end.
pub(crate) fn cat() -> String {
    program(
        r#"(func (export "_start")
          (loop $next
            (i32.store (i32.const 0) (i32.const 8192))
            (i32.store (i32.const 4) (i32.const 4096))
            (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
            (if (i32.eqz (i32.load (i32.const 16))) (then (call $proc_exit (i32.const 7))))
            (call $print (i32.const 1) (i32.const 8192) (i32.load (i32.const 16)))
            (br $next)))"#,
    )
}

/// Prints one line as often as told and exits.
pub(crate) fn print_lines(count: u32) -> String {
    program(&format!(
        r#"(data (i32.const 8192) "a line of output\n")
        (func (export "_start") (local $i i32)
          (loop $next
            (call $print (i32.const 1) (i32.const 8192) (i32.const 17))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const {count})))))"#
    ))
}

/// Opens `file` for writing below each of the given preopened directories, creating it; exits with the last error.
pub(crate) fn create_file(directories: u32) -> String {
    let open = |fd: u32| {
        format!(
            "(local.set $e (call $path_open (i32.const {fd}) (i32.const 0) (i32.const 8192) (i32.const 4)
               (i32.const 1) (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 512)))"
        )
    };
    let opens: String = (3..3 + directories).map(open).collect();
    program(&format!(
        r#"(data (i32.const 8192) "file")
        (func (export "_start") (local $e i32) {opens} (call $proc_exit (local.get $e)))"#
    ))
}

/// Opens its root again and again; exits with the first error.
pub(crate) fn open_files() -> String {
    program(
        r#"(data (i32.const 8192) ".")
        (func (export "_start") (local $e i32)
          (loop $next
            (local.set $e (call $path_open (i32.const 3) (i32.const 0) (i32.const 8192) (i32.const 1)
              (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 512)))
            (br_if $next (i32.eqz (local.get $e))))
          (call $proc_exit (local.get $e)))"#,
    )
}

/// Grows its memories in turn, a mebibyte at a time, until it may not; then traps. Never writes to them.
pub(crate) fn grow() -> String {
    r#"(module (memory 0) (memory 0)
      (func $more
        (if (i32.eq (memory.grow 0 (i32.const 16)) (i32.const -1)) (then unreachable))
        (if (i32.eq (memory.grow 1 (i32.const 16)) (i32.const -1)) (then unreachable)))
      (func (export "_start") (loop $next (call $more) (br $next))))"#
        .to_owned()
}

/// Holds this much memory and sleeps.
pub(crate) fn hold(mebibytes: u32) -> String {
    let pages = mebibytes * 16 - 2;
    program(&format!("(func (export \"_start\") (drop (memory.grow (i32.const {pages}))) (call $sleep_an_hour))"))
}

pub(crate) fn unknown_imports() -> String {
    r#"(module
      (import "env" "dlopen" (func))
      (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
      (import "wasmedge" "sock_listen" (func))
      (func (export "_start")))"#
        .to_owned()
}

pub(crate) fn reactor() -> String {
    r#"(module (func (export "_initialize")) (func (export "handle")))"#.to_owned()
}

/// A component whose `wasi:cli/run` returns ok or error.
pub(crate) fn component(ok: bool) -> String {
    let result = i32::from(!ok);
    format!(
        r#"(component
          (core module $m (func (export "run") (result i32) (i32.const {result})))
          (core instance $i (instantiate $m))
          (func $run (result (result)) (canon lift (core func $i "run")))
          (instance $cli (export "run" (func $run)))
          (export "wasi:cli/run@0.2.6" (instance $cli)))"#
    )
}

/// A component that calls `exit` with a code.
pub(crate) fn component_exit(code: u8) -> String {
    format!(
        r#"(component
          (import "wasi:cli/exit@0.2.12" (instance $exit (export "exit-with-code" (func (param "status-code" u8)))))
          (core func $exit (canon lower (func $exit "exit-with-code")))
          (core module $m
            (import "host" "exit" (func $exit (param i32)))
            (func (export "run") (result i32) (call $exit (i32.const {code})) (i32.const 0)))
          (core instance $i (instantiate $m (with "host" (instance (export "exit" (func $exit))))))
          (func $run (result (result)) (canon lift (core func $i "run")))
          (instance $cli (export "run" (func $run)))
          (export "wasi:cli/run@0.2.6" (instance $cli)))"#
    )
}

/// A component that prints its working directory to stdout.
pub(crate) fn component_print_cwd() -> String {
    r#"(component
      (import "wasi:cli/environment@0.2.6" (instance $env
        (export "initial-cwd" (func (result (option string))))))
      (import "wasi:io/error@0.2.6" (instance $error (export "error" (type (sub resource)))))
      (alias export $error "error" (type $err))
      (import "wasi:io/streams@0.2.6" (instance $streams
        (export "output-stream" (type $out (sub resource)))
        (alias outer 1 $err (type $e))
        (export "error" (type $error (eq $e)))
        (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $failure)))
        (export "[method]output-stream.blocking-write-and-flush"
          (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
      (alias export $streams "output-stream" (type $out))
      (import "wasi:cli/stdout@0.2.6" (instance $stdout
        (alias outer 1 $out (type $o))
        (export "output-stream" (type $stream (eq $o)))
        (export "get-stdout" (func (result (own $stream))))))
      (core module $libc
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
      (core instance $libc (instantiate $libc))
      (core func $cwd (canon lower (func $env "initial-cwd")
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
      (core func $get (canon lower (func $stdout "get-stdout")))
      (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
        (memory (core memory $libc "memory"))))
      (core module $m
        (import "host" "cwd" (func $cwd (param i32)))
        (import "host" "get" (func $get (result i32)))
        (import "host" "write" (func $write (param i32 i32 i32 i32)))
        (import "libc" "memory" (memory 1))
        (func (export "run") (result i32)
          (call $cwd (i32.const 16))
          (call $write (call $get) (i32.load (i32.const 20)) (i32.load (i32.const 24)) (i32.const 64))
          (i32.const 0)))
      (core instance $i (instantiate $m
        (with "host" (instance
          (export "cwd" (func $cwd)) (export "get" (func $get)) (export "write" (func $write))))
        (with "libc" (instance $libc))))
      (func $run (result (result)) (canon lift (core func $i "run")))
      (instance $cli (export "run" (func $run)))
      (export "wasi:cli/run@0.2.6" (instance $cli)))"#
        .to_owned()
}

/// A component for WASI 0.3, which returns ok or error, or spins.
pub(crate) fn component3(body: &str) -> String {
    format!(
        r#"(component
          (core module $m (func (export "run") (result i32) {body}))
          (core instance $i (instantiate $m))
          (func $run async (result (result)) (canon lift (core func $i "run")))
          (instance $cli (export "run" (func $run)))
          (export "wasi:cli/run@0.3.0" (instance $cli)))"#
    )
}

pub(crate) fn component_http() -> String {
    r#"(component
      (core module $m (func (export "handle")))
      (core instance $i (instantiate $m))
      (func $handle (canon lift (core func $i "handle")))
      (instance $http (export "handle" (func $handle)))
      (export "wasi:http/incoming-handler@0.2.6" (instance $http)))"#
        .to_owned()
}

pub(crate) fn component_unknown_imports() -> String {
    r#"(component
      (import "acme:queue/topics@1.2.3" (instance (export "publish" (func))))
      (import "wasi:keyvalue/store@0.2.0-draft" (instance (export "get" (func))))
      (import "wasi:random/random@0.2.6" (instance (export "get-random-u64" (func (result u64)))))
      (core module $m (func (export "run") (result i32) (i32.const 0)))
      (core instance $i (instantiate $m))
      (func $run (result (result)) (canon lift (core func $i "run")))
      (instance $cli (export "run" (func $run)))
      (export "wasi:cli/run@0.2.6" (instance $cli)))"#
        .to_owned()
}
