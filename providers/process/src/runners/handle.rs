//! One runner, as tasks and verbs hold it.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::{Error, SandboxId, Welcome};

use super::memory::OutOfMemory;
use super::names::{GroupDirs, RunnerId};
use super::pidfd::Process;
use super::record::Record;
use super::spawn::socket_address;
use super::state::Facts;
use crate::Remote;

/// A runner, alive or gone.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) id: RunnerId,
    pub(crate) record: Record,
    pub(crate) dirs: GroupDirs,
    /// `None`: it was gone before this agent began.
    alive: Option<Alive>,
    remote: OnceLock<Arc<Remote>>,
    welcome: OnceLock<Welcome>,
    trouble: Mutex<Option<Error>>,
    epitaph: OnceLock<String>,
    /// Code that it was given; `None` if an earlier agent may have given it more.
    pub(crate) code: Mutex<Option<HashSet<PathBuf>>>,
    /// One correction of it at a time.
    pub(crate) correcting: AtomicBool,
    /// It was silent for too long and is killed; it may take its time to go.
    pub(crate) hung: CancellationToken,
    /// Its first listing was read.
    pub(crate) known: CancellationToken,
    /// Its process has ended.
    pub(crate) dead: CancellationToken,
    /// Its end was reported.
    pub(crate) gone: CancellationToken,
}

#[derive(Debug)]
struct Alive {
    process: Process,
    directory: OwnedFd,
    /// Set when it has answered: before, it may still be `systemd-run` in the agent's own cgroup.
    memory: OnceLock<OutOfMemory>,
}

// === impl Runner ===

impl Runner {
    /// `adopted`: an earlier agent started it.
    pub(crate) fn alive(
        record: Record,
        dirs: GroupDirs,
        id: RunnerId,
        held: (Process, OwnedFd),
        adopted: bool,
    ) -> Arc<Self> {
        let (process, directory) = held;
        let memory = OnceLock::new();
        let code = (!adopted).then(HashSet::new);
        Self::new(record, dirs, id, Some(Alive { process, directory, memory }), code)
    }

    pub(crate) fn gone(record: Record, dirs: GroupDirs, id: RunnerId) -> Arc<Self> {
        Self::new(record, dirs, id, None, None)
    }

    fn new(
        record: Record,
        dirs: GroupDirs,
        id: RunnerId,
        alive: Option<Alive>,
        code: Option<HashSet<PathBuf>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            record,
            dirs,
            alive,
            remote: OnceLock::new(),
            welcome: OnceLock::new(),
            trouble: Mutex::default(),
            epitaph: OnceLock::new(),
            code: Mutex::new(code),
            correcting: AtomicBool::new(false),
            hung: CancellationToken::new(),
            known: CancellationToken::new(),
            dead: CancellationToken::new(),
            gone: CancellationToken::new(),
        })
    }

    /// Whether an earlier agent started it.
    pub(crate) fn is_adopted(&self) -> bool {
        self.code.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    pub(crate) fn group(&self) -> &str {
        &self.record.group
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts {
            group: self.record.group.clone(),
            user: self.record.user,
            build: self.record.build.clone(),
            exclusive: self.record.exclusive.as_ref().and_then(|id| SandboxId::new(id.as_str()).ok()),
        }
    }

    pub(crate) fn process(&self) -> Option<&Process> {
        self.alive.as_ref().map(|alive| &alive.process)
    }

    /// It has answered, so that it is what it was started as, and where.
    pub(crate) fn watch_memory(&self) {
        let Some(alive) = self.alive.as_ref().filter(|alive| alive.memory.get().is_none()) else { return };
        if let Some(memory) = OutOfMemory::watch(alive.process.pid()) {
            let _first = alive.memory.set(memory);
        }
    }

    /// Whether it died for lack of memory, as far as its cgroup tells.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.alive.as_ref().and_then(|alive| alive.memory.get()).is_some_and(OutOfMemory::happened)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Option<PathBuf> {
        self.alive.as_ref().map(|alive| socket_address(&alive.directory, &self.id))
    }

    /// One that has ended already is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(Err(error)) = self.process().map(|process| process.signal(signal)) {
            tracing::debug!(runner = %self.id, %error, "Could not signal a runner");
        }
    }

    pub(crate) fn kill_hung(&self) {
        self.signal(Signal::KILL);
        self.hung.cancel();
    }

    pub(crate) fn is_hung(&self) -> bool {
        self.hung.is_cancelled()
    }

    /// The connection.
    ///
    /// # Errors
    /// [`Error::Failed`] while it was never reached.
    pub(crate) fn remote(&self) -> Result<&Arc<Remote>, Error> {
        self.remote.get().ok_or_else(|| self.error("has not answered yet"))
    }

    pub(crate) fn reached(&self, remote: Remote) -> Arc<Remote> {
        self.remote.get_or_init(|| Arc::new(remote)).clone()
    }

    /// What it said of itself.
    pub(crate) fn welcome(&self) -> Result<&Welcome, Error> {
        self.welcome.get().ok_or_else(|| self.error("has not answered yet"))
    }

    pub(crate) fn welcomed(&self, welcome: Welcome) {
        let _first = self.welcome.set(welcome);
    }

    /// Why it was not reached the last time.
    pub(crate) fn trouble(&self) -> String {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map_or_else(|| "it did not answer".to_owned(), Error::to_string)
    }

    pub(crate) fn troubled(&self, error: Error) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// What it died of.
    pub(crate) fn epitaph(&self) -> &str {
        self.epitaph.get().map_or("the runner has ended", String::as_str)
    }

    pub(crate) fn mourn(&self, text: String) {
        let _first = self.epitaph.set(text);
    }

    pub(crate) fn error(&self, what: &str) -> Error {
        Error::Failed(format!("runner {} of group {} {what}", self.record.pid, self.record.group))
    }
}
