//! Builds what the tests need besides themselves, so that a plain `cargo test` is enough. Done before
//! entering the namespace, where there is no network to fetch modules from.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::paths;

/// Builds the cluster's programs, the guests and the agent; seconds when nothing has changed, about ten
/// minutes the first time.
pub fn everything() -> Result<()> {
    run(Command::new("tests/cluster/build.sh"))?;
    run(Command::new("tests/guests/build.sh"))?;
    if env::var_os("WASMNODE_BIN").is_none() {
        run(cargo_build()?)?;
    }
    Ok(())
}

/// The whole workspace, although the agent would do: another selection of packages selects other
/// features of their dependencies, and would build those anew.
fn cargo_build() -> Result<Command> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--workspace", "--bins"]);
    if paths::profile()?.ends_with("release") {
        cargo.arg("--release");
    }
    Ok(cargo)
}

/// Standard output is the test report's.
fn run(mut command: Command) -> Result<()> {
    let name = command.get_program().to_owned();
    let status = command
        .current_dir(paths::repository())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", name.display()))?;
    ensure!(status.success(), "{} failed with {status}", name.display());
    Ok(())
}
