//! The program as operators and its own compile queue meet it: exit statuses and what it says.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn wasmnode(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmnode"));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

/// Exit status and the only line of standard error.
fn refusal(arguments: &[&str]) -> (i32, String) {
    let output = wasmnode(arguments).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    (output.status.code().unwrap(), text.trim().to_owned())
}

fn compile(arguments: &[&str], wasm: &[u8]) -> Output {
    let mut command = wasmnode(&["compile", "--nice", "1"]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A job that refuses its limits ends before it reads.
    let _ = child.stdin.take().unwrap().write_all(wasm);
    child.wait_with_output().unwrap()
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.display().to_string()
}

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
    contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\n";

#[test]
fn what_cannot_work_is_one_line_and_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").display().to_string();
    let empty = write(&folder.path().join("empty"), "");
    let unknown = write(&folder.path().join("config.yaml"), "port: 10260\nmaxpods: 3\n");
    let logs = write(&folder.path().join("logs.yaml"), &format!("podLogsDir: {}\n", folder.path().display()));
    let cases: [(&[&str], &str); 6] = [
        (&["agent", "--config", &logs], "wasmnode: flag --kubeconfig: is missing"),
        (&["agent", "--config", &logs, "--kubeconfig", &missing], "cannot be read"),
        (&["agent", "--config", &logs, "--kubeconfig", &empty], "is not valid"),
        (&["agent", "--config", &unknown, "--kubeconfig", &missing], ", line 2: unknown field `maxpods`"),
        (&["config", "show", "--config", &missing], "cannot read the configuration"),
        (&["agent", "--config", &logs, "--node-ip", "127.0.0.1"], "cannot be reached from other machines"),
    ];
    for (arguments, text) in cases {
        let (status, said) = refusal(arguments);
        assert!(said.contains(text), "{arguments:?}: {said}");
        assert_eq!(status, 2, "{said}");
    }
}

#[test]
fn the_second_agent_on_a_root_directory_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let kubeconfig = write(&path("kubeconfig"), KUBECONFIG);
    let logs = write(&path("logs.yaml"), &format!("podLogsDir: {}\n", folder.path().display()));
    let lock = std::fs::File::create(path("lock")).unwrap();
    lock.lock().unwrap();
    (&lock).write_all(b"4711\n").unwrap();
    let root = folder.path().display().to_string();
    let (status, said) = refusal(&["agent", "--config", &logs, "--kubeconfig", &kubeconfig, "--root-dir", &root]);
    assert_eq!(
        said,
        format!("wasmnode: another agent (process 4711) works on {root}: stop it or choose another --root-dir")
    );
    assert_eq!(status, 3);
}

#[test]
fn compile_jobs_say_by_their_status_whose_fault_it_is() {
    // An empty core module.
    let module = b"\0asm\x01\0\0\0";
    let good = compile(&["--engine", "base"], module);
    assert!(good.status.success() && good.stdout.starts_with(b"\x7fELF"), "{good:?}");
    assert!(compile(&["--engine", "wasip3"], module).status.success());

    let invalid = compile(&["--engine", "base"], b"#!/bin/sh\n");
    assert_eq!(invalid.status.code(), Some(65), "{invalid:?}");
    let said = String::from_utf8(invalid.stderr).unwrap();
    assert!(said.lines().count() == 1 && said.contains("magic"), "{said}");

    // Too little to hold the program itself.
    let starved = compile(&["--engine", "base", "--memory-limit", "1000000"], module);
    assert!(!starved.status.success() && starved.status.code() != Some(65) && starved.stdout.is_empty(), "{starved:?}");
}

#[test]
fn versions_and_configuration_can_be_asked_for() {
    let version = wasmnode(&["--version"]).output().unwrap();
    let text = String::from_utf8(version.stdout).unwrap();
    assert!(text.starts_with("wasmnode 0.") && text.contains("wasmtime 4") && text.contains("protocol 1"), "{text}");
    let shown = wasmnode(&["config", "show", "--v", "4"]).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("verbosity: 4") && text.contains("port: 10250"), "{text}");
}
