//! Which exits are on disk, so that none is written after it was acknowledged.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use wasmnode_provider_api::{Error, Exit, Listing, RunId};

use super::files::Files;

/// How far a run's exit is. One whose event came and that was acknowledged is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Written when it was listed, before its event came.
    Listed,
    /// Its event came, and it is on disk.
    Kept,
    /// Its event came, and it could not be written.
    Unwritten,
    /// Acknowledged before its event came.
    Settled,
}

/// The exits of one process.
#[derive(Debug)]
pub(super) struct Record {
    files: Files,
    /// Held while files change. At most one entry per run that has not been acknowledged, or is about to be reported.
    states: Mutex<HashMap<RunId, State>>,
    complained: AtomicBool,
}

// === impl Record ===

impl Record {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self { files: Files::open(dir)?, states: Mutex::default(), complained: AtomicBool::new(false) })
    }

    /// The run's event, which comes once.
    pub(super) async fn ended(&self, exit: Exit) {
        let mut states = self.states.lock().await;
        let run = exit.run.clone();
        let on_disk = match states.get(&run) {
            Some(State::Settled) => {
                states.remove(&run);
                return;
            }
            Some(State::Listed | State::Kept) => true,
            Some(State::Unwritten) | None => self.write(exit).await,
        };
        let state = if on_disk { State::Kept } else { State::Unwritten };
        states.insert(run, state);
    }

    /// What somebody is about to be told; some may not have been told by their events yet. The provider is asked while
    /// the states are held: an exit that it still has is not settled here before this is through, so that none is written
    /// after its acknowledgement.
    pub(super) async fn listed(&self, asked: impl Future<Output = Result<Listing, Error>>) -> Result<Listing, Error> {
        let mut states = self.states.lock().await;
        let listing = asked.await?;
        for exit in &listing.exits {
            let before = states.get(&exit.run).copied();
            if matches!(before, None | Some(State::Unwritten)) && self.write(exit.clone()).await {
                states.insert(exit.run.clone(), if before.is_none() { State::Listed } else { State::Kept });
            }
        }
        Ok(listing)
    }

    /// A run whose exit nobody was told of cannot be acknowledged.
    pub(super) async fn acknowledged(&self, run: &RunId) {
        let mut states = self.states.lock().await;
        match states.get(run) {
            Some(State::Listed) => states.insert(run.clone(), State::Settled),
            Some(State::Kept | State::Unwritten) => states.remove(run),
            Some(State::Settled) | None => return,
        };
        let (files, run) = (self.files.clone(), run.clone());
        let removed = blocking(move || files.remove(&run)).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "An acknowledged exit cannot be removed");
        }
    }

    /// Whether it is on disk now. The first failure is logged, and the first after a success.
    async fn write(&self, exit: Exit) -> bool {
        let files = self.files.clone();
        match blocking(move || files.write(exit)).await {
            Ok(()) => {
                self.complained.store(false, Ordering::Relaxed);
                true
            }
            Err(error) => {
                if !self.complained.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "Exits cannot be written, they would be lost with this process");
                }
                false
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}
