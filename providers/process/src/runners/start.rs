//! Code is given to runners, and runs are started there.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use tracing::{debug, warn};
use wasmnode_provider_api::{Artifact, Error, Provider, RunId, RunSpec, SandboxId};

use super::handle::Runner;
use super::shared::Shared;
use super::state::{Effects, Run, RunPhase};
use super::{code, files};

/// Between two attempts to end a run that may have begun although its start failed.
const WITHDRAW_AGAIN: Duration = Duration::from_secs(1);

impl Shared {
    pub(crate) async fn prepare(self: &Arc<Self>, sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        let runner = self.home(sandbox).await?;
        match self.prepare_in(&runner, sandbox, artifact).await {
            Err(Error::Failed(_)) if runner.is_dying().await => {
                let runner = self.home(sandbox).await?;
                self.prepare_in(&runner, sandbox, artifact).await
            }
            prepared => prepared,
        }
    }

    async fn prepare_in(
        self: &Arc<Self>,
        runner: &Arc<Runner>,
        sandbox: &SandboxId,
        artifact: &Artifact,
    ) -> Result<(), Error> {
        let own = Artifact { path: code::path(&runner.dirs.code, artifact)?, ..artifact.clone() };
        let (shared, runner_of, from, to) = (self.clone(), runner.clone(), artifact.clone(), own.path.clone());
        let offered = tokio::task::spawn_blocking(move || {
            let _links = shared.links.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(code) = runner_of.code.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                code.insert(to.clone());
            }
            code::offer(&from, &to)
        });
        offered.await.map_err(|e| Error::Failed(format!("code cannot be given to the runner: {e}")))??;
        runner.remote()?.prepare(sandbox, &own).await
    }

    pub(crate) async fn start(self: &Arc<Self>, run: RunSpec) -> Result<(), Error> {
        let runner = self.home(&run.sandbox).await?;
        match self.start_in(&runner, &run).await {
            Err(full @ Error::Full(_)) => {
                if !self.relocate(&run.sandbox, &runner).await? {
                    return Err(full);
                }
                let runner = self.home(&run.sandbox).await?;
                self.start_in(&runner, &run).await
            }
            started => started,
        }
    }

    async fn start_in(self: &Arc<Self>, runner: &Arc<Runner>, run: &RunSpec) -> Result<(), Error> {
        let mut own = run.clone();
        own.artifact.path = code::path(&runner.dirs.code, &run.artifact)?;
        self.begin_run(runner, run)?;
        match self.ask_to_start(runner, run, own).await {
            Ok(()) if self.lock().state.started(&run.id, SystemTime::now()) => Ok(()),
            Ok(()) => Err(Error::Failed(runner.epitaph().to_owned())),
            Err(Error::Failed(error)) => self.unanswered(runner, &run.id, error).await,
            Err(refusal) => {
                self.learn(runner, |state| state.refused(&run.id));
                Err(refusal)
            }
        }
    }

    /// Written down before the runner hears of it: what is not recorded is not believed.
    fn begin_run(self: &Arc<Self>, runner: &Arc<Runner>, run: &RunSpec) -> Result<(), Error> {
        let (sandbox, container) = (run.sandbox.clone(), run.container.clone());
        let begun = Run { runner: runner.id.clone(), sandbox, container, phase: RunPhase::Starting };
        self.lock().state.begin(run.id.clone(), begun)?;
        let recorded = files::record_run(&runner.dirs.runs(&runner.id), &run.id, &run.sandbox, &run.container);
        recorded.map_err(|e| {
            self.learn(runner, |state| state.refused(&run.id));
            Error::Failed(format!("run {} cannot be recorded: {e}", run.id))
        })
    }

    /// A sandbox that came here after the loss of its runner, or code that was dropped since: it is given again.
    async fn ask_to_start(self: &Arc<Self>, runner: &Arc<Runner>, run: &RunSpec, own: RunSpec) -> Result<(), Error> {
        let remote = runner.remote()?;
        match remote.start(own.clone()).await {
            Err(Error::NotFound { what, .. }) if what == "artifact" => {
                self.prepare_in(runner, &run.sandbox, &run.artifact).await?;
                remote.start(own).await
            }
            started => started,
        }
    }

    /// It may have begun. If it is known to have, the start has succeeded; otherwise it is ended, and nobody hears of
    /// it.
    async fn unanswered(self: &Arc<Self>, runner: &Arc<Runner>, run: &RunId, error: String) -> Result<(), Error> {
        let died = runner.is_dying().await;
        if self.lock().state.unanswered(run) {
            return Ok(());
        }
        if died {
            return Err(Error::Failed(runner.epitaph().to_owned()));
        }
        tokio::spawn(withdraw(self.clone(), runner.clone(), run.clone()));
        Err(Error::Failed(error))
    }
}

/// Ends a run that may have begun.
async fn withdraw(shared: Arc<Shared>, runner: Arc<Runner>, run: RunId) {
    while shared.lock().state.is_withdrawn(&run) && !shared.closing.is_cancelled() {
        let killed = async { runner.remote()?.kill(&run).await }.await;
        match killed {
            Err(Error::NotFound { .. }) => {
                let give_up = |state: &mut super::state::State| -> Effects { state.give_up(&run) };
                shared.learn(&runner, give_up);
                return;
            }
            Ok(()) => debug!(%run, "Ended a run whose start got no answer"),
            Err(error) => warn!(%run, %error, "Could not end a run whose start got no answer, trying again"),
        }
        tokio::time::sleep(WITHDRAW_AGAIN).await;
    }
}
