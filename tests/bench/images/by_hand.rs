//! `wasmnode run FILE` beside `wasmtime run FILE`, as somebody at a terminal waits for them: from the start of the
//! process to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use wasmnode_tests::paths;

use super::Guest;
use crate::figure::{complain, percentile, print};

/// Of each guest, one of ours and one of the peer's in turn.
const COLD_ROUNDS: usize = 10;
const COMPILED_ROUNDS: usize = 30;

/// Both programs with one guest.
struct Pair<'a> {
    guest: &'a Guest,
    files: TempDir,
    ours: PathBuf,
    /// What `tests/peers/build.sh` makes.
    peer: Option<PathBuf>,
}

/// First compiled anew each time, then from what was compiled before.
pub(super) fn measure(guests: &[Guest]) -> Result<()> {
    let peer = paths::repository().join("tests/peers/bin/wasmtime");
    let peer = peer.is_file().then_some(peer);
    if peer.is_none() {
        complain("the figures of `run` have no peer: ./just peers builds it, in a quarter of an hour");
    }
    for guest in guests {
        let pair = Pair { guest, files: tempfile::tempdir()?, ours: paths::wasmnode()?, peer: peer.clone() };
        pair.cold()?;
        pair.compiled()?;
    }
    Ok(())
}

// === impl Pair ===

impl Pair<'_> {
    fn cold(&self) -> Result<()> {
        let wasm = self.file("guest.wasm");
        std::fs::write(&wasm, &self.guest.wasm)?;
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..COLD_ROUNDS {
            let root = tempfile::tempdir()?;
            ours.push(self.our_run(root.path(), &wasm)?);
            if let Some(peer) = &self.peer {
                peers.push(self.time(Command::new(peer).arg("run").arg(&wasm))?);
            }
        }
        self.print("cold", &mut ours, "wasmtime run FILE", &mut peers);
        Ok(())
    }

    fn compiled(&self) -> Result<()> {
        let (wasm, code, root) = (self.file("guest.wasm"), self.file("guest.cwasm"), self.file("root"));
        self.our_run(&root, &wasm)?;
        if let Some(peer) = &self.peer {
            let status = Command::new(peer).arg("compile").arg(&wasm).arg("-o").arg(&code).status()?;
            ensure!(status.success(), "{} compile: {status}", peer.display());
        }
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..COMPILED_ROUNDS {
            ours.push(self.our_run(&root, &wasm)?);
            if let Some(peer) = &self.peer {
                peers.push(self.time(Command::new(peer).args(["run", "--allow-precompiled"]).arg(&code))?);
            }
        }
        self.print("compiled", &mut ours, "wasmtime run --allow-precompiled", &mut peers);
        Ok(())
    }

    fn our_run(&self, root: &Path, wasm: &Path) -> Result<Duration> {
        self.time(Command::new(&self.ours).arg("run").arg("--root-dir").arg(root).arg(wasm))
    }

    fn time(&self, command: &mut Command) -> Result<Duration> {
        command.args(self.guest.args).stdin(Stdio::null()).stdout(Stdio::null());
        let began = Instant::now();
        let status = command.status().with_context(|| format!("cannot run {:?}", command.get_program()))?;
        let took = began.elapsed();
        ensure!(status.success(), "{command:?}: {status}");
        Ok(took)
    }

    fn print(&self, what: &str, ours: &mut [Duration], peer: &str, peers: &mut [Duration]) {
        let peer = self.peer.as_ref().map(|_| (peer, percentile(peers, 0.5)));
        print(&format!("run_{}_{what}_p50", self.guest.size), "us", percentile(ours, 0.5), peer);
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }
}
