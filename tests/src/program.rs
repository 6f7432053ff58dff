//! The agent's program as another build of it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::{Context, Result, ensure};

use crate::paths;

/// What stands before the salt of the engine ids in the program, see `providers/wasmtime/src/engine.rs`.
const MARK: &[u8] = b"wasmnode engine salt:\0";

/// Writes a program that is the same but for the salt of its engine ids, as a distributor stamps it: another build,
/// whose compiled code is its own.
pub fn other_build(to: &Path) -> Result<()> {
    let from = paths::wasmnode()?;
    let mut program = fs::read(&from).with_context(|| from.display().to_string())?;
    let found: Vec<usize> = memchr::memmem::find_iter(&program, MARK).collect();
    ensure!(found.len() == 1, "the mark stands {} times in {}", found.len(), from.display());
    let salt = found[0] + MARK.len() - 1;
    program[salt..salt + 5].copy_from_slice(b"other");
    fs::write(to, program).with_context(|| to.display().to_string())?;
    fs::set_permissions(to, Permissions::from_mode(0o755)).with_context(|| to.display().to_string())
}
