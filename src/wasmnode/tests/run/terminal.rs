//! At a terminal: progress, and the keys that stop.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::Home;

/// A pseudo-terminal with a command in its foreground.
pub(crate) struct Terminal {
    screen: File,
    child: Child,
    shown: String,
}

impl Terminal {
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let path = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
        let end = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        // The command becomes the leader of a session with this terminal, so that keys are its signals.
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_wasmnode")]).args(arguments).current_dir(home.path());
        command.env("HOME", home.path()).env_remove("RUST_LOG").env_remove("XDG_CACHE_HOME");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { screen: screen.into(), child, shown: String::new() }
    }

    pub(crate) fn read_until(&mut self, text: &str) {
        self.read_until_times(text, 1);
    }

    /// The terminal echoes what is typed, and a program may repeat it.
    pub(crate) fn read_until_times(&mut self, text: &str, times: usize) {
        let mut piece = [0; 4096];
        while self.shown.matches(text).count() < times {
            // The end of a terminal is an error.
            let size = self.screen.read(&mut piece).unwrap_or(0);
            assert!(size > 0, "{text:?} was never shown: {:?}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&piece[..size]));
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// Large enough that compiling it takes a while.
fn large() -> Vec<u8> {
    let mut text = "(module (func (export \"_start\"))".to_owned();
    for n in 0..6000 {
        let sum = "(i32.add (i32.mul (local.get 0) (local.get 0)) ".repeat(20) + "(local.get 0)" + &")".repeat(20);
        write!(text, "(func (export \"f{n}\") (param i32) (result i32) {sum})").unwrap();
    }
    wat::parse_str(text + ")").unwrap()
}

#[test]
fn progress_is_shown_and_erased() {
    let home = Home::with(&[]);
    home.write("large.wasm", large());
    let mut terminal = Terminal::start(&home, &["run", "large.wasm"]);
    terminal.read_until("Compiling large.wasm … ");
    terminal.read_until("\r\x1b[K");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn ctrl_c_stops_and_twice_ends_at_once() {
    let home = Home::with(&["sleeper"]);
    let pod = |stop: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: idle, annotations: {{wasmnode.dev/stop: {stop}}}}}\n\
            spec: {{restartPolicy: Never, containers: [{{name: c, image: ./sleeper.wasm}}]}}\n"
        )
    };
    for (stop, presses, code) in [("cancel", 1, 143), ("stdin", 2, 137)] {
        home.write("pod.yaml", pod(stop));
        let mut terminal = Terminal::start(&home, &["run", "pod.yaml"]);
        terminal.read_until("wasmnode: idle started");
        terminal.press("\x03");
        terminal.read_until("once more ends everything at once");
        if presses > 1 {
            terminal.press("\x03");
        }
        terminal.read_until(&format!("ended with exit code {code}"));
        assert_eq!(terminal.exit_code(), Some(code), "{stop}");
    }
}
