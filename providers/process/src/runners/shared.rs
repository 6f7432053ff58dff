//! What tasks and verbs share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use wasmnode_provider_api::{Configure, Error, Hello, Provider, Reporter, RunId, SandboxId};

use super::Config;
use super::backoff::Backoff;
use super::handle::Runner;
use super::metrics::Counters;
use super::names::{GroupDirs, RunnerId};
use super::state::{Effects, State};
use super::turns::Turns;
use super::{exits, files, record};
use crate::PROTOCOL;

/// Things of a kind that are put right in a runner at once.
const MAX_CORRECTIONS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) boot_id: String,
    inner: Mutex<Inner>,
    pub(crate) reporter: Reporter,
    pub(crate) counters: Counters,
    /// Placing a sandbox, starting a runner of a group: one at a time.
    pub(crate) turns: Turns,
    /// Held while links to code are made or removed, in threads that may block.
    pub(crate) links: Mutex<()>,
    /// The agent goes; runners stay.
    pub(crate) closing: CancellationToken,
    /// Changes with everything that was learned.
    pub(crate) learned: watch::Sender<()>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) state: State,
    /// Live ones, and those that are gone while an exit was not acknowledged.
    pub(crate) runners: BTreeMap<RunnerId, Arc<Runner>>,
    pub(crate) deaths: HashMap<String, Backoff>,
    pub(crate) settings: Option<Configure>,
    pub(crate) hello: Hello,
    /// No runner is started any more.
    pub(crate) draining: bool,
    /// Starts of runners that are under way and not in `state` yet, perhaps.
    pub(crate) launching: usize,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(config: Config, boot_id: String) -> Arc<Self> {
        let inner = Inner {
            state: State::default(),
            runners: BTreeMap::new(),
            deaths: HashMap::new(),
            settings: None,
            hello: Hello { protocol: PROTOCOL, build: config.build.clone() },
            draining: false,
            launching: 0,
        };
        Arc::new(Self {
            config,
            boot_id,
            inner: Mutex::new(inner),
            reporter: Reporter::default(),
            counters: Counters::default(),
            turns: Turns::default(),
            links: Mutex::default(),
            closing: CancellationToken::new(),
            learned: watch::Sender::default(),
        })
    }

    /// Never across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn dirs(&self, group: &str) -> GroupDirs {
        GroupDirs::new(&self.config.state_root, &self.config.memory_root, group)
    }

    /// Those whose end was not seen.
    pub(crate) fn live_runners(&self) -> Vec<Arc<Runner>> {
        let inner = self.lock();
        inner.state.slots().filter_map(|(id, _)| inner.runners.get(id).cloned()).collect()
    }

    /// Something was learned about that runner. Events are reported under the lock, so that they and listings never
    /// contradict each other.
    pub(crate) fn learn(self: &Arc<Self>, runner: &Arc<Runner>, change: impl FnOnce(&mut State) -> Effects) {
        let effects = {
            let mut inner = self.lock();
            let mut effects = change(&mut inner.state);
            effects.events.drain(..).for_each(|event| self.reporter.report(event));
            effects
        };
        self.learned.send_replace(());
        self.carry_out(runner, effects);
    }

    fn carry_out(self: &Arc<Self>, runner: &Arc<Runner>, effects: Effects) {
        let Effects { events: _, forgotten, acknowledge, kill, remove, cleared } = effects;
        let runs = runner.dirs.runs(&runner.id);
        for run in &forgotten {
            if let Err(error) = files::forget_run(&runs, run) {
                warn!(%run, %error, "Could not remove the record of a run");
            }
        }
        if cleared.is_some() {
            self.clear(runner);
        }
        if !(acknowledge.is_empty() && kill.is_empty() && remove.is_empty()) {
            correct(runner, acknowledge, kill, remove);
        }
    }

    /// Nothing is left to be told of a runner that is gone.
    fn clear(&self, runner: &Arc<Runner>) {
        self.lock().runners.remove(&runner.id);
        let runner = runner.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = forget_runner(&runner.dirs, &runner.id) {
                warn!(runner = %runner.id, %error, "Could not remove what a runner left");
            }
        });
    }
}

/// Removes everything of a runner that is gone; its record last, so that a crash leaves a way to the rest. Blocks.
pub(crate) fn forget_runner(dirs: &GroupDirs, id: &RunnerId) -> std::io::Result<()> {
    record::remove(&dirs.socket(id))?;
    exits::remove(&dirs.exits_of(id))?;
    files::remove_dir(&dirs.runs(id))?;
    record::remove(&dirs.record(id))
}

/// One task per runner: it may say what it likes as often as it likes, and what is left out now is shown again by the next
/// listing.
fn correct(runner: &Arc<Runner>, mut acknowledge: Vec<RunId>, mut kill: Vec<RunId>, mut remove: Vec<SandboxId>) {
    if runner.correcting.swap(true, Ordering::AcqRel) {
        return;
    }
    acknowledge.truncate(MAX_CORRECTIONS);
    kill.truncate(MAX_CORRECTIONS);
    remove.truncate(MAX_CORRECTIONS);
    let runner = runner.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = runner.dead.cancelled() => {}
            () = put_right(&runner, acknowledge, kill, remove) => {}
        }
        runner.correcting.store(false, Ordering::Release);
    });
}

/// What a listing or an event of a runner showed to be wrong there. Whatever fails is shown again by the next listing.
async fn put_right(runner: &Runner, acknowledge: Vec<RunId>, kill: Vec<RunId>, remove: Vec<SandboxId>) {
    let Ok(remote) = runner.remote() else { return };
    let log = |what: &str, id: &str, result: Result<(), Error>| match result {
        Ok(()) | Err(Error::NotFound { .. }) => debug!(runner = %runner.id, id, what, "Corrected a runner"),
        Err(error) => debug!(runner = %runner.id, id, what, %error, "Could not correct a runner"),
    };
    for run in acknowledge {
        log("acknowledge", run.as_str(), remote.acknowledge(&run).await);
    }
    for run in kill {
        log("kill", run.as_str(), remote.kill(&run).await);
    }
    for sandbox in remove {
        log("remove", sandbox.as_str(), remote.remove_sandbox(&sandbox).await);
    }
}
