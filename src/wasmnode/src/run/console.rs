//! The terminal: what programs print, what is said about them, and one line of progress that gives way to both.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Characters of the progress line; a longer one would wrap and could not be erased.
const MAX_PROGRESS: usize = 70;

/// Erases the line and goes to its start.
const ERASE: &str = "\r\x1b[K";

/// Standard output and standard error of this process.
#[derive(Debug)]
pub(crate) struct Console {
    /// Whether a line of progress stands at the end of standard error.
    shown: Mutex<bool>,
    is_terminal: bool,
}

/// Where a piece of output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    Stderr,
}

// === impl Console ===

impl Console {
    pub(crate) fn new() -> Self {
        Self { shown: Mutex::new(false), is_terminal: io::stderr().is_terminal() }
    }

    /// Whether progress is shown at all.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// A line about what happens.
    pub(crate) fn say(&self, line: &str) {
        let mut shown = self.erased();
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(io::stderr(), "wasmnode: {line}");
        *shown = false;
    }

    /// Shows a line that the next one replaces; `None` erases it. Only on a terminal.
    pub(crate) fn progress(&self, line: Option<&str>) {
        if !self.is_terminal {
            return;
        }
        let mut shown = self.erased();
        if let Some(line) = line {
            let line: String = line.chars().take(MAX_PROGRESS).collect();
            let mut stderr = io::stderr();
            let _ = write!(stderr, "{line}").and_then(|()| stderr.flush());
            *shown = true;
        }
    }

    /// What a program printed, as it is.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub(super) fn write(&self, target: Target, bytes: &[u8]) -> io::Result<()> {
        let _shown = self.erased();
        match target {
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Target::Stderr => io::stderr().write_all(bytes),
        }
    }

    fn erased(&self) -> MutexGuard<'_, bool> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *shown) {
            let _ = io::stderr().write_all(ERASE.as_bytes());
        }
        shown
    }
}

/// Whether standard output and standard error are the same file: then their order matters.
pub(super) fn is_one_stream() -> bool {
    match (rustix::fs::fstat(io::stdout()), rustix::fs::fstat(io::stderr())) {
        (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
        _ => false,
    }
}
