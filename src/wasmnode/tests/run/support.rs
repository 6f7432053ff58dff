//! A home directory with programs in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Text-format guests of the tests.
const GUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/guests/wat");

/// Where a person works.
pub(crate) struct Home(TempDir);

/// What a finished command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    /// With these guests as `NAME.wasm`.
    pub(crate) fn with(guests: &[&str]) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for guest in guests {
            let wasm = wat::parse_file(Path::new(GUESTS).join(format!("{guest}.wat"))).unwrap();
            home.write(&format!("{guest}.wasm"), wasm);
        }
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// `wasmnode` in this directory, with a cache of its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmnode"));
        command.args(arguments).current_dir(self.path()).env_remove("RUST_LOG").env_remove("XDG_CACHE_HOME");
        command.env("HOME", self.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }

    /// Names below the directory of runs: none but the lock's once nothing runs.
    pub(crate) fn runs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join(".cache/wasmnode/runs")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
