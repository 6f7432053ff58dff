//! What goes when a runner has ended: links to code that nobody in its group uses, programs that nobody was started
//! from.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use tracing::warn;

use super::handle::Runner;
use super::shared::Shared;
use super::{code, record};

/// Builds that are looked at.
const MAX_BUILDS: usize = 1024;

/// Name of the program in its build's directory.
const PROGRAM: &str = "wasmnode";

impl Shared {
    /// After a runner has ended.
    pub(crate) async fn tidy(self: &Arc<Self>, runner: &Arc<Runner>) {
        let now = tokio::time::Instant::now();
        self.lock().deaths.retain(|_, backoff| !backoff.is_over(now));
        let (shared, runner) = (self.clone(), runner.clone());
        let tidied = tokio::task::spawn_blocking(move || {
            shared.collect_code(runner.group(), &runner.dirs.code)?;
            shared.collect_bins()
        });
        if let Ok(Err(error)) = tidied.await {
            warn!(%error, "Could not remove what a runner used");
        }
    }

    /// Blocks.
    pub(crate) fn collect_code(&self, group: &str, directory: &Path) -> io::Result<()> {
        let _links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        match self.code_in_use(group) {
            Some(used) => code::collect(directory, &used),
            None => Ok(()),
        }
    }

    /// `None`: a runner of the group has more than is known.
    fn code_in_use(&self, group: &str) -> Option<HashSet<PathBuf>> {
        let mut used = HashSet::new();
        for runner in self.live_runners().iter().filter(|runner| runner.group() == group) {
            used.extend(runner.code.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.iter().cloned());
        }
        Some(used)
    }

    /// Programs of other builds that no live runner was started from. Blocks.
    pub(crate) fn collect_bins(&self) -> io::Result<()> {
        let builds = match std::fs::read_dir(&self.config.bin_dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            builds => builds?,
        };
        let mut used: HashSet<String> = self.live_runners().iter().map(|runner| runner.record.build.clone()).collect();
        used.insert(self.config.build.clone());
        for build in builds.take(MAX_BUILDS) {
            let build = build?;
            if !build.file_name().to_str().is_some_and(|name| used.contains(name)) && build.file_type()?.is_dir() {
                record::remove(&build.path().join(PROGRAM))?;
                // Whatever else is in there is not ours.
                let _kept = std::fs::remove_dir(build.path());
            }
        }
        Ok(())
    }
}
