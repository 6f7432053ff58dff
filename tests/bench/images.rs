//! What an image costs on its way from a registry to the exit of its program, and `wasmnode run` beside its peer.

mod by_hand;
mod node;

use std::fs;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use wasmnode_tests::{guests, paths};

/// A program of a certain size, which ends at once.
struct Guest {
    /// As in the name of a figure.
    size: &'static str,
    wasm: Vec<u8>,
    args: &'static [&'static str],
}

/// From a registry to the exit.
pub(crate) fn on_a_node() -> Result<()> {
    Runtime::new()?.block_on(node::measure(&guests()?))
}

/// From a file to the exit of a process.
pub(crate) fn by_hand() -> Result<()> {
    by_hand::measure(&guests()?)
}

/// From the smallest to the largest.
fn guests() -> Result<[Guest; 3]> {
    Ok([
        Guest { size: "40kb", wasm: guests::component("report")?, args: &[] },
        Guest { size: "3mb", wasm: guests::tool()?, args: &["print hello"] },
        Guest { size: "11mb", wasm: large()?, args: &[] },
    ])
}

/// What `tests/bench/large/build.sh` makes.
fn large() -> Result<Vec<u8>> {
    let path = paths::repository().join("tests/bench/large/bin/large.wasm");
    fs::read(&path).with_context(|| format!("{}: run tests/bench/large/build.sh", path.display()))
}
