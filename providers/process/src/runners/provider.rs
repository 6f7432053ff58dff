//! The verbs, each sent to the runner that it concerns.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tracing::{debug, warn};
use wasmnode_provider_api::{
    Artifact, Configure, Duplex, Error, EventStream, ExecSpec, Hello, Listing, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, SandboxUpdate, ServicesDelta, Streams, Target, Usage, Welcome,
};

use super::handle::Runner;
use super::shared::Shared;
use super::state::{RunPhase, not_found};
use super::{Runners, exits, pump};
use crate::PROTOCOL;

/// What a runner may take to be asked for its listing; what is known already is told without it.
const LIST_WITHIN: Duration = Duration::from_secs(2);

/// What a runner may take to be told something that it is told again when it comes back.
const TELL_WITHIN: Duration = Duration::from_secs(5);

#[async_trait]
impl Provider for Runners {
    /// Of this build; runners are greeted when they are reached.
    async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        let config = &self.shared.config;
        self.shared.lock().hello.build = hello.build;
        Ok(Welcome {
            protocol: PROTOCOL,
            build: config.build.clone(),
            runtime: config.runtime.clone(),
            engines: config.engines.clone(),
            capacity: config.capacity,
            features: Vec::new(),
        })
    }

    /// Of this side; each runner has a heartbeat of its own.
    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Told to every runner, those to come included.
    async fn configure(&self, settings: Configure) -> Result<(), Error> {
        self.shared.lock().settings = Some(settings.clone());
        let runners = self.shared.live_runners();
        join_all(runners.iter().map(|runner| configure(runner, settings.clone()))).await;
        Ok(())
    }

    /// Waits for runners of earlier agents that have not said yet what they run, until they do or count as hung, at most
    /// some 16 s: what runs there must not be taken for lost. What was recorded for a hung one runs until its end is seen.
    async fn list(&self) -> Result<Listing, Error> {
        let runners = self.shared.live_runners();
        join_all(runners.iter().filter(|runner| runner.is_adopted()).map(|runner| runner.heard_of())).await;
        join_all(runners.iter().map(|runner| refresh(&self.shared, runner))).await;
        Ok(self.shared.lock().state.list())
    }

    async fn events(&self) -> Result<EventStream, Error> {
        Ok(self.shared.reporter.subscribe())
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        let Some(runner) = self.runner_of(run).filter(|_| self.has_ended(run)) else { return Ok(()) };
        // The record first: an exit without one is known to have been acknowledged.
        self.shared.learn(&runner, |state| state.acknowledge(run));
        acknowledge(&runner, run).await;
        Ok(())
    }

    async fn target(&self, sandbox: &SandboxId) -> Result<Target, Error> {
        let runner = self.shared.home(sandbox).await?;
        // Its own word counts for runners that were recorded without: whatever it says is what the agent compiles for.
        let engines = match runner.record.engines() {
            none if none.is_empty() => runner.welcome()?.engines.clone(),
            recorded => recorded,
        };
        Ok(Target { engines, compiler: runner.record.program.clone() })
    }

    async fn prepare(&self, sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        self.shared.prepare(sandbox, artifact).await
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        let shared = self.shared.clone();
        detached(async move { shared.create_sandbox(sandbox).await }).await
    }

    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error> {
        let shared = self.shared.clone();
        detached(async move { shared.update_sandbox(update).await }).await
    }

    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error> {
        let (shared, sandbox) = (self.shared.clone(), sandbox.clone());
        detached(async move { shared.remove_sandbox(&sandbox).await }).await
    }

    async fn update_services(&self, delta: ServicesDelta) -> Result<(), Error> {
        let runners = self.shared.live_runners();
        let told = runners.iter().map(|runner| {
            let delta = delta.clone();
            async move { runner.remote()?.update_services(delta).await }
        });
        join_all(told).await.into_iter().collect()
    }

    async fn start(&self, run: RunSpec) -> Result<(), Error> {
        let shared = self.shared.clone();
        detached(async move { shared.start(run).await }).await
    }

    async fn stop(&self, run: &RunId) -> Result<(), Error> {
        let Some(runner) = self.live_in(run)? else { return Ok(()) };
        let stopped = async { runner.remote()?.stop(run).await }.await;
        self.ending(&runner, stopped).await
    }

    async fn kill(&self, run: &RunId) -> Result<(), Error> {
        let Some(runner) = self.live_in(run)? else { return Ok(()) };
        let killed = async { runner.remote()?.kill(run).await }.await;
        self.ending(&runner, killed).await
    }

    async fn exec(&self, exec: ExecSpec, streams: Streams) -> Result<i32, Error> {
        let runner = self.live_in(&exec.run)?.ok_or_else(|| not_found("run", &exec.run))?;
        runner.remote()?.exec(exec, streams).await
    }

    async fn attach(&self, run: &RunId, streams: Streams) -> Result<(), Error> {
        match self.live_in(run)? {
            Some(runner) => runner.remote()?.attach(run, streams).await,
            None => Ok(()),
        }
    }

    async fn connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error> {
        let runner = self.shared.current_home(sandbox).await?;
        let runner = runner.ok_or_else(|| Error::Failed(format!("nothing runs in sandbox {sandbox}")))?;
        runner.remote()?.connect(sandbox, port).await
    }

    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error> {
        match self.shared.current_home(sandbox).await? {
            Some(runner) => runner.remote()?.usage(sandbox).await,
            None => Ok(Usage::default()),
        }
    }
}

impl Runners {
    /// The runner of a run, gone ones included.
    fn runner_of(&self, run: &RunId) -> Option<Arc<Runner>> {
        let inner = self.shared.lock();
        let id = &inner.state.run(run).ok()?.runner;
        inner.runners.get(id).cloned()
    }

    fn has_ended(&self, run: &RunId) -> bool {
        let inner = self.shared.lock();
        inner.state.run(run).is_ok_and(|run| matches!(run.phase, RunPhase::Ended(_)))
    }

    /// Where a run is, `None` if it has ended.
    fn live_in(&self, run: &RunId) -> Result<Option<Arc<Runner>>, Error> {
        self.shared.lock().state.run(run)?;
        Ok(self.runner_of(run).filter(|_| !self.has_ended(run)))
    }

    /// A run that cannot be ended because it is gone was ended: its exit is on its way.
    async fn ending(&self, runner: &Arc<Runner>, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(Error::NotFound { .. }) => {
                refresh(&self.shared, runner).await;
                Ok(())
            }
            Err(Error::Failed(_)) if runner.is_dying().await => Ok(()),
            result => result,
        }
    }
}

/// In a task of its own: a caller that gives up must not leave it half done.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.map_err(|e| Error::Failed(format!("the verb was not carried out: {e}")))?
}

async fn configure(runner: &Runner, settings: Configure) {
    let told = async { runner.remote()?.configure(settings).await };
    match tokio::time::timeout(TELL_WITHIN, told).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(runner = %runner.id, %error, "Could not configure a runner"),
        Err(_) => warn!(runner = %runner.id, "Could not configure a runner in time"),
    }
}

/// Repairs what events did not bring.
async fn refresh(shared: &Arc<Shared>, runner: &Arc<Runner>) {
    let asked = async {
        match runner.remote() {
            Ok(remote) if runner.known.is_cancelled() => pump::list(shared, runner, remote).await,
            _ => Ok(()),
        }
    };
    match tokio::time::timeout(LIST_WITHIN, asked).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(runner = %runner.id, %error, "Could not ask a runner what it runs"),
        Err(_) => debug!(runner = %runner.id, "A runner did not say in time what it runs"),
    }
}

/// What fails is done by the next listing.
async fn acknowledge(runner: &Arc<Runner>, run: &RunId) {
    let acknowledged = if runner.dead.is_cancelled() || runner.process().is_none() {
        let (directory, run) = (runner.dirs.exits_of(&runner.id), run.clone());
        let forgotten = tokio::task::spawn_blocking(move || exits::forget(&directory, &run)).await;
        forgotten.map_err(|e| e.to_string()).and_then(|forgotten| forgotten.map_err(|e| e.to_string()))
    } else {
        async { runner.remote()?.acknowledge(run).await }.await.map_err(|e: Error| e.to_string())
    };
    if let Err(error) = acknowledged {
        debug!(%run, error, "Could not have an exit forgotten");
    }
}

// === impl Runner ===

impl Runner {
    /// It said what it runs, or it is gone, or as good as gone.
    pub(crate) async fn heard_of(&self) {
        tokio::select! {
            () = self.known.cancelled() => {}
            () = self.gone.cancelled() => {}
            () = self.hung.cancelled() => {}
        }
    }
}
