//! Programs that read what is typed or piped into them.

use std::io::Write;
use std::process::Stdio;

use crate::support::{Home, Said};
use crate::terminal::Terminal;

/// Asks for a name if standard input is a terminal, reads one line at most, and greets.
const GREETER: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; The iovecs: at 0 the question, at 8 where the name goes, at 16 both parts of the greeting.
  (data (i32.const 0) "\40\00\00\00\06\00\00\00\00\01\00\00\40\00\00\00\48\00\00\00\03\00\00\00\00\01\00\00")
  (data (i32.const 64) "name? \00\00hi ")
  (func (export "_start")
    (drop (call $stat (i32.const 0) (i32.const 128)))
    ;; 2 is a character device.
    (if (i32.eq (i32.load8_u (i32.const 128)) (i32.const 2))
      (then (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 48)))))
    (drop (call $read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 28)))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 48)))
    (drop (call $write (i32.const 1) (i32.const 24) (i32.const 1) (i32.const 48)))))"#;

fn with_greeter(guests: &[&str]) -> Home {
    let home = Home::with(guests);
    home.write("greeter.wasm", wat::parse_str(GREETER).unwrap());
    home
}

fn piped(home: &Home, arguments: &[&str], input: &[u8]) -> Said {
    let mut child = home.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let (mut to, input) = (child.stdin.take().unwrap(), input.to_owned());
    // The program may end before it has read everything.
    let writing = std::thread::spawn(move || to.write_all(&input));
    let said = Said::of(child.wait_with_output().unwrap());
    let _broken_pipe = writing.join().unwrap();
    said
}

#[test]
fn a_pipe_is_the_programs_input_if_it_shall_be() {
    let home = Home::with(&["echo", "exit-42"]);
    let input: String = (0..20_000).map(|n| format!("line {n} of many\n")).collect::<String>() + "the last";
    let said = piped(&home, &["run", "-i", "echo.wasm"], input.as_bytes());
    assert!(said.code == 0 && said.stdout == input && said.stderr.is_empty(), "{} {}", said.code, said.stderr);
    let said = piped(&home, &["run", "echo.wasm"], input.as_bytes());
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{said:?}");
    let said = piped(&home, &["run", "--interactive", "exit-42.wasm"], input.as_bytes());
    assert_eq!((said.code, said.stderr.as_str()), (42, ""), "{said:?}");
}

#[test]
fn input_is_for_one_program_and_a_terminal_is_one() {
    let home = with_greeter(&[]);
    home.write("pod.yaml", "");
    for (arguments, problem) in [
        (&["run", "-i", "pod.yaml"][..], "--interactive cannot be given with a file"),
        (&["run", "-t", "pod.yaml"], "--tty cannot be given with a file"),
        (&["run", "-it", "greeter.wasm"], "needs a terminal as standard input"),
    ] {
        let said = home.run(arguments);
        assert!(said.code == 2 && said.stderr.contains(problem), "{arguments:?} {said:?}");
    }
    let said = home.run(&["run", "--tty", "greeter.wasm"]);
    assert_eq!((said.code, said.stdout.as_str()), (0, "hi "), "{said:?}");
}

#[test]
fn a_question_is_shown_before_it_is_answered() {
    let home = with_greeter(&[]);
    let mut terminal = Terminal::start(&home, &["run", "-it", "greeter.wasm"]);
    terminal.read_until("name? ");
    terminal.press("you\r");
    terminal.read_until("hi you\r\n");
    assert_eq!(terminal.exit_code(), Some(0));
    // Not told that it is at a terminal, it does not ask.
    let mut terminal = Terminal::start(&home, &["run", "-i", "greeter.wasm"]);
    terminal.press("me\r");
    terminal.read_until("hi me\r\n");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn keys_end_the_input_and_the_program() {
    let home = Home::with(&["echo"]);
    for (key, code) in [("\x04", 0), ("\x03", 143)] {
        let mut terminal = Terminal::start(&home, &["run", "-it", "echo.wasm"]);
        terminal.press("one\r");
        terminal.read_until_times("one\r\n", 2);
        terminal.press(key);
        assert_eq!(terminal.exit_code(), Some(code), "{key:?}");
    }
}
