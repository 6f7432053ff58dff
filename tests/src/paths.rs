//! Where things are in the checkout and in the build folder.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The checkout's top folder.
pub fn repository() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// A program that `tests/cluster/build.sh` makes: `controlplane`, `kubectl` or `registry`.
pub fn cluster_program(name: &str) -> PathBuf {
    repository().join("tests/cluster/bin").join(name)
}

/// The folder of guest sources.
pub fn guests() -> PathBuf {
    repository().join("tests/guests")
}

/// Cargo's folder for the profile of the running program, such as `target/debug`.
pub fn profile() -> Result<PathBuf> {
    let program = env::current_exe().context("no path of the running program")?;
    let folder = program.parent().context("the running program has no folder")?;
    // Test programs are one level deeper than others.
    let profile = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(profile.to_owned())
}

/// The agent's program: `WASMNODE_BIN`, or what Cargo built beside the running program.
pub fn wasmnode() -> Result<PathBuf> {
    match env::var_os("WASMNODE_BIN") {
        Some(path) => Ok(path.into()),
        None => Ok(profile()?.join("wasmnode")),
    }
}
