//! The guest programs of `tests/guests` as bytes.

use std::fs;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::paths;

/// Assembles `tests/guests/wat/<name>.wat`.
pub fn wat(name: &str) -> Result<Vec<u8>> {
    let path = paths::guests().join("wat").join(name).with_extension("wat");
    wat::parse_file(&path).with_context(|| format!("cannot assemble guest {name}"))
}

/// The scriptable command, a preview 1 module, that `tests/guests/build.sh` makes.
pub fn tool() -> Result<Vec<u8>> {
    let path = paths::guests().join("bin/tool.wasm");
    fs::read(&path).with_context(|| format!("{}: run tests/guests/build.sh", path.display()))
}

/// The component `tests/guests/components/<name>.wasm`, if it is the one that its checksum was taken of.
pub fn component(name: &str) -> Result<Vec<u8>> {
    let path = paths::guests().join("components").join(name).with_extension("wasm");
    let content = fs::read(&path).with_context(|| path.display().to_string())?;
    let sum = fs::read_to_string(path.with_extension("wasm.sha256")).with_context(|| path.display().to_string())?;
    let found = hex::encode(Sha256::digest(&content));
    ensure!(sum.split_whitespace().next() == Some(found.as_str()), "{} has sha256 {found}", path.display());
    Ok(content)
}
