//! A `wasi:cli` 0.2 command that reports what it was given: arguments, environment, working directory
//! and preopened directories, one JSON-like line each.
//!
//! Its first argument after the name may be `fail` (the run's result is an error), `exit N` as two
//! arguments, `trap`, or `echo` (standard input to standard output, to its end).
//!
//! It uses the bindings rather than `std`, so that it builds with and without a wasm target of rustup.

use wasip2::cli::{environment, exit, stderr, stdin, stdout};
use wasip2::filesystem::preopens;
use wasip2::io::streams::{OutputStream, StreamError};

struct Report;

wasip2::cli::command::export!(Report);

impl wasip2::exports::cli::run::Guest for Report {
    fn run() -> Result<(), ()> {
        let arguments = environment::get_arguments();
        say(&stdout::get_stdout(), &format!("arguments {arguments:?}"));
        match arguments.iter().skip(1).map(String::as_str).collect::<Vec<_>>()[..] {
            [] => report_surroundings(),
            ["echo"] => echo(),
            ["exit", code] => exit::exit_with_code(code.parse().map_err(|_| ())?),
            ["fail"] => {
                say(&stderr::get_stderr(), "failing as told");
                return Err(());
            }
            ["trap"] => core::arch::wasm32::unreachable(),
            _ => {}
        }
        Ok(())
    }
}

fn report_surroundings() {
    let out = stdout::get_stdout();
    let mut variables = environment::get_environment();
    variables.sort();
    for (name, value) in variables {
        say(&out, &format!("variable {name}={value}"));
    }
    if let Some(directory) = environment::initial_cwd() {
        say(&out, &format!("directory {directory}"));
    }
    for (_, path) in preopens::get_directories() {
        say(&out, &format!("preopen {path}"));
    }
}

/// A stream takes at most 4096 bytes in one call that waits.
fn say(to: &OutputStream, text: &str) {
    for piece in format!("{text}\n").as_bytes().chunks(4096) {
        let _ = to.blocking_write_and_flush(piece);
    }
}

fn echo() {
    let (from, to) = (stdin::get_stdin(), stdout::get_stdout());
    loop {
        match from.blocking_read(4096) {
            Ok(bytes) => {
                let _ = to.blocking_write_and_flush(&bytes);
            }
            Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => return,
        }
    }
}
