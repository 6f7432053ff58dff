//! Ctrl-C, once and twice.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Home, Said};

const PODS: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: idle}\nspec:\n  replicas: 2\n  \
    selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}, annotations: {wasmnode.dev/stop: STOP}}\n    \
    spec: {containers: [{name: c, image: ./sleeper.wasm}]}\n";

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// Waits for a line that says this; whatever came before it is lost.
fn read_until(stderr: &mut impl BufRead, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "{text:?} was never said");
    }
}

fn rest(mut child: Child, mut stderr: impl Read) -> Said {
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    Said { stderr: text, ..Said::of(child_output(&mut child)) }
}

fn child_output(child: &mut Child) -> std::process::Output {
    let status = child.wait().unwrap();
    std::process::Output { status, stdout: Vec::new(), stderr: Vec::new() }
}

fn start(home: &Home, stop: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    home.write("idle.yaml", PODS.replace("STOP", stop));
    let mut child = home.command(&["run", "idle.yaml"]).stdout(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut stderr, "started");
    read_until(&mut stderr, "started");
    (child, stderr)
}

#[test]
fn once_stops_gracefully() {
    let home = Home::with(&["sleeper"]);
    let (child, mut stderr) = start(&home, "cancel");
    interrupt(&child);
    read_until(&mut stderr, "wasmnode: stopping; once more ends everything at once");
    let said = rest(child, stderr);
    assert_eq!(said.code, 143, "{said:?}");
    assert_eq!(said.stderr.matches("ended with exit code 143").count(), 2, "{said:?}");
    assert_eq!(home.runs(), ["lock"]);
}

#[test]
fn twice_ends_at_once_what_does_not_want_to() {
    // Its input is closed, which it does not read, and then the grace period is waited for.
    let home = Home::with(&["sleeper"]);
    let (child, mut stderr) = start(&home, "stdin");
    interrupt(&child);
    read_until(&mut stderr, "stopping");
    interrupt(&child);
    let said = rest(child, stderr);
    assert_eq!(said.code, 137, "{said:?}");
    assert_eq!(home.runs(), ["lock"]);
}

#[test]
fn a_reader_that_leaves_ends_the_program() {
    const CHATTER: &str = r#"(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\10\00\00\00\02\00\00\00")
      (data (i32.const 16) "y\n")
      (func (export "_start")
        (loop $again (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $again))))"#;
    let home = Home::with(&[]);
    home.write("yes.wasm", wat::parse_str(CHATTER).unwrap());
    let mut child = home.command(&["run", "yes.wasm"]).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("y\n", Some(143)));
}
