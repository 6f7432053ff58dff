//! Sandboxes are put into runners, and into others when they lose them.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use wasmnode_provider_api::{Error, Provider, SandboxId, SandboxSpec, SandboxUpdate};

use super::handle::Runner;
use super::names::{self, RunnerId};
use super::shared::Shared;
use super::{files, record};

/// Runners that are tried for one sandbox.
const TRIES: usize = 3;

/// A connection may break a moment before its process is seen to have ended.
const DYING: Duration = Duration::from_millis(300);

impl Shared {
    pub(crate) async fn create_sandbox(self: &Arc<Self>, spec: SandboxSpec) -> Result<(), Error> {
        names::group(&spec.isolation.group)?;
        let _turn = self.turns.take(spec.id.as_str()).await;
        let new = self.lock().state.admit_sandbox(&spec)?;
        if new && let Err(e) = files::write_spec(&self.dirs(&spec.isolation.group), &spec) {
            self.lock().state.remove_sandbox(&spec.id);
            return Err(Error::Failed(format!("sandbox {} cannot be recorded: {e}", spec.id)));
        }
        let placed = self.place(&spec.id, None).await;
        if placed.is_err() && new {
            self.forget_sandbox(&spec);
        }
        placed.map(drop)
    }

    /// The runner that has the sandbox; it is put into one if it lost its own.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a sandbox that was not created, otherwise why no runner takes it.
    pub(crate) async fn home(self: &Arc<Self>, id: &SandboxId) -> Result<Arc<Runner>, Error> {
        if let Some(runner) = self.current_home(id).await? {
            return Ok(runner);
        }
        let (shared, id) = (self.clone(), id.clone());
        // A task of its own: a caller that gives up must not leave it half done.
        let placing = tokio::spawn(async move {
            let _turn = shared.turns.take(id.as_str()).await;
            shared.place(&id, None).await
        });
        placing.await.map_err(|e| Error::Failed(format!("sandbox cannot be placed: {e}")))?
    }

    /// The runner that has it now.
    pub(crate) async fn current_home(&self, id: &SandboxId) -> Result<Option<Arc<Runner>>, Error> {
        let runner = {
            let inner = self.lock();
            let (_, home) = inner.state.sandbox(id)?;
            home.and_then(|home| inner.runners.get(home)).cloned()
        };
        match runner {
            Some(runner) if runner.dead.is_cancelled() => {
                runner.gone.cancelled().await;
                Ok(None)
            }
            runner => Ok(runner),
        }
    }

    /// Moves a sandbox that nothing runs in out of a runner that is full. False if it stays.
    pub(crate) async fn relocate(self: &Arc<Self>, id: &SandboxId, from: &Arc<Runner>) -> Result<bool, Error> {
        let _turn = self.turns.take(id.as_str()).await;
        {
            let inner = self.lock();
            let (spec, home) = inner.state.sandbox(id)?;
            if home != Some(&from.id) || inner.state.runs_in(id) || !spec.isolation.paths.is_empty() {
                return Ok(home != Some(&from.id));
            }
        }
        from.remote()?.remove_sandbox(id).await?;
        self.lock().state.unsettle(id, &from.id);
        self.place(id, Some(&from.id)).await?;
        Ok(true)
    }

    pub(crate) async fn update_sandbox(self: &Arc<Self>, update: SandboxUpdate) -> Result<(), Error> {
        let _turn = self.turns.take(update.id.as_str()).await;
        let mut spec = self.lock().state.sandbox(&update.id)?.0.clone();
        spec.memory_limit = update.memory_limit;
        spec.cpu_millis = update.cpu_millis;
        if let Some(runner) = self.current_home(&update.id).await? {
            runner.remote()?.update_sandbox(update).await?;
        }
        if let Err(error) = files::write_spec(&self.dirs(&spec.isolation.group), &spec) {
            warn!(sandbox = %spec.id, %error, "Could not record the change of a sandbox");
        }
        self.lock().state.remember(spec);
        Ok(())
    }

    pub(crate) async fn remove_sandbox(self: &Arc<Self>, id: &SandboxId) -> Result<(), Error> {
        let _turn = self.turns.take(id.as_str()).await;
        let Ok(spec) = self.lock().state.sandbox(id).map(|(spec, _)| spec.clone()) else { return Ok(()) };
        if let Some(runner) = self.current_home(id).await? {
            match runner.remote()?.remove_sandbox(id).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(_) if runner.is_dying().await => {}
                Err(error) => return Err(error),
            }
        }
        self.forget_sandbox(&spec);
        Ok(())
    }

    fn forget_sandbox(&self, spec: &SandboxSpec) {
        if let Err(error) = record::remove(&self.dirs(&spec.isolation.group).spec(&spec.id)) {
            warn!(sandbox = %spec.id, %error, "Could not remove the record of a sandbox");
        }
        self.lock().state.remove_sandbox(&spec.id);
    }

    /// The caller has the sandbox's turn.
    async fn place(self: &Arc<Self>, id: &SandboxId, not: Option<&RunnerId>) -> Result<Arc<Runner>, Error> {
        let (mut not, mut refusal) = (not.cloned(), None);
        for _ in 0..TRIES {
            if let Some(runner) = self.current_home(id).await? {
                return Ok(runner);
            }
            let spec = self.lock().state.sandbox(id)?.0.clone();
            let runner = self.take_place(&spec, not.as_ref()).await?;
            match self.create_in(&runner, spec).await {
                Ok(()) => return Ok(runner),
                Err(error @ Error::Full(_)) => refusal = Some(error),
                Err(error) if runner.is_dying().await => refusal = Some(error),
                Err(error) => return Err(error),
            }
            not = Some(runner.id.clone());
        }
        Err(refusal.unwrap_or_else(|| Error::Full("every runner of the group is full".to_owned())))
    }

    async fn create_in(&self, runner: &Arc<Runner>, spec: SandboxSpec) -> Result<(), Error> {
        let id = spec.id.clone();
        let created = async { runner.remote()?.create_sandbox(spec).await }.await;
        let mut inner = self.lock();
        match &created {
            Ok(()) => inner.state.settle(&id, &runner.id),
            Err(_) => inner.state.unsettle(&id, &runner.id),
        }
        created
    }

    /// A place in a runner of the group, in a new one if need be: one start per group at a time, so that those who wait
    /// for it find room in it.
    async fn take_place(self: &Arc<Self>, spec: &SandboxSpec, not: Option<&RunnerId>) -> Result<Arc<Runner>, Error> {
        if let Some(runner) = self.try_take_place(spec, not) {
            return Ok(runner);
        }
        let _turn = self.turns.take(&format!("group {}", spec.isolation.group)).await;
        if let Some(runner) = self.try_take_place(spec, not) {
            return Ok(runner);
        }
        let fresh = self.launch(spec).await?;
        self.try_take_place(spec, not).ok_or_else(|| fresh.error("has no room although it is new"))
    }

    fn try_take_place(&self, spec: &SandboxSpec, not: Option<&RunnerId>) -> Option<Arc<Runner>> {
        let mut inner = self.lock();
        let taken = inner.state.take_place(&spec.id, &spec.isolation, &self.config.build, not)?;
        inner.runners.get(&taken).cloned()
    }
}

// === impl Runner ===

impl Runner {
    /// After a verb failed: whether that was the runner's end, which is reported by then.
    pub(crate) async fn is_dying(&self) -> bool {
        let dead = tokio::time::timeout(DYING, self.dead.cancelled()).await.is_ok();
        if dead {
            self.gone.cancelled().await;
        }
        dead
    }
}
