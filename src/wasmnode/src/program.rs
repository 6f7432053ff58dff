//! This program's file, kept for the runners that are started from it.
//!
//! Runners outlive the agent and its upgrades, and code for a runner is compiled by the very program that runs it. So
//! each agent keeps its own file as `bin/<build id>/wasmnode`: a package manager may replace the installed one at any
//! time.

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// Leads to the file that this process was started from, even after it was replaced.
const RUNNING: &str = "/proc/self/exe";

/// What a copy is called before it is complete, with the process id behind it.
const UNFINISHED: &str = "unfinished-";

/// Hexadecimal digits of the file's sha256 that tell one build from another.
const BUILD_DIGITS: usize = 16;

/// A program that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// Tells this build from all others, two of one version included.
    pub(crate) build: String,
    /// The file that is kept.
    pub(crate) path: PathBuf,
}

// === impl Program ===

impl Program {
    /// Keeps this process's own program in `bin`, unless it is there already. Reads the whole file: a second at most.
    pub(crate) fn keep(bin: &Path) -> anyhow::Result<Self> {
        let build = build_id(Path::new(RUNNING)).context("cannot read this program's file")?;
        let directory = bin.join(&build);
        let path = directory.join("wasmnode");
        if !path.exists() {
            copy(Path::new(RUNNING), &directory, &path)
                .with_context(|| format!("cannot keep this program as {}", path.display()))?;
        }
        Ok(Self { build, path })
    }
}

fn build_id(file: &Path) -> io::Result<String> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(file)?);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(BUILD_DIGITS);
    Ok(digits)
}

/// Complete or not there at all: a runner may be started from it at any time.
fn copy(from: &Path, directory: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    remove_unfinished(directory)?;
    // Two agents of one machine may do this at the same time.
    let unfinished = directory.join(format!("{UNFINISHED}{}", std::process::id()));
    fs::copy(from, &unfinished)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o755))?;
    File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, to)
}

/// Copies of agents that were killed meanwhile.
fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_kept_once() {
        let top = tempfile::tempdir().unwrap();
        let build = build_id(Path::new(RUNNING)).unwrap();
        fs::create_dir(top.path().join(&build)).unwrap();
        fs::write(top.path().join(&build).join("unfinished-0"), "of an agent that was killed").unwrap();
        let first = Program::keep(top.path()).unwrap();
        assert_eq!(first.path, top.path().join(&first.build).join("wasmnode"));
        assert_eq!(build_id(&first.path).unwrap(), first.build);
        let before = fs::metadata(&first.path).unwrap().modified().unwrap();
        assert_eq!(Program::keep(top.path()).unwrap(), first);
        assert_eq!(fs::metadata(&first.path).unwrap().modified().unwrap(), before);
        let others: Vec<_> = fs::read_dir(top.path().join(&first.build)).unwrap().collect();
        assert_eq!(others.len(), 1);
    }

    #[test]
    fn two_builds_have_two_ids() {
        let top = tempfile::tempdir().unwrap();
        let (one, two) = (top.path().join("one"), top.path().join("two"));
        fs::write(&one, "a").unwrap();
        fs::write(&two, "b").unwrap();
        assert_ne!(build_id(&one).unwrap(), build_id(&two).unwrap());
        assert_eq!(build_id(&one).unwrap().len(), BUILD_DIGITS);
    }
}
