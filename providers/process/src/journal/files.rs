//! One file per exit.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use wasmnode_provider_api::{Exit, RunId, wire};

/// Behind the run's id in the name of an exit's file.
pub const EXIT_SUFFIX: &str = ".exit";

/// A file that is being written.
const UNFINISHED_SUFFIX: &str = ".tmp";

/// The name of the file for a run's exit.
pub fn exit_file_name(run: &RunId) -> String {
    format!("{run}{EXIT_SUFFIX}")
}

/// The directory.
#[derive(Debug, Clone)]
pub(super) struct Files {
    dir: PathBuf,
}

// === impl Files ===

impl Files {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::read_dir(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Whole or not at all.
    pub(super) fn write(&self, exit: Exit) -> io::Result<()> {
        let path = self.dir.join(exit_file_name(&exit.run));
        let unfinished = self.dir.join(format!("{}{UNFINISHED_SUFFIX}", exit.run));
        let written = File::create(&unfinished)
            .and_then(|mut file| file.write_all(&wire::encode(exit)))
            .and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            // Room for others; what is left is not read by anyone.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    pub(super) fn remove(&self, run: &RunId) -> io::Result<()> {
        match fs::remove_file(self.dir.join(exit_file_name(run))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
