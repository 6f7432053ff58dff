//! A group gets another runner.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;
use tracing::{debug, info};
use wasmnode_provider_api::{Error, SandboxSpec};

use super::files::Recorded;
use super::handle::Runner;
use super::names::{GroupDirs, RunnerId};
use super::pidfd::{Process, start_time};
use super::record::{Record, VERSION};
use super::shared::{Shared, forget_runner};
use super::{keep, pidfd, spawn};
use crate::PROTOCOL;

/// From the start of its process to its first answer.
const READY_WITHIN: Duration = Duration::from_secs(10);

impl Shared {
    /// Starts a runner for the sandbox's group, or for itself where it must be alone, and waits until it is ready.
    /// The caller has the group's turn.
    ///
    /// # Errors
    /// [`Error::Failed`], naming the group and what happened.
    pub(crate) async fn launch(self: &Arc<Self>, spec: &SandboxSpec) -> Result<Arc<Runner>, Error> {
        let record = self.new_record(spec);
        let name = keep::backoff_name(&record);
        self.may_launch(&name)?;
        let began = Instant::now();
        let launched = self.try_launch(spec, record, &name).await;
        match &launched {
            Ok(runner) => {
                let (pid, group, took) = (runner.record.pid, runner.group(), began.elapsed());
                self.counters.started(took);
                info!(pid, group, ?took, "Started a runner");
            }
            Err(_) => {
                self.counters.failed_starts.fetch_add(1, Relaxed);
            }
        }
        launched
    }

    fn may_launch(&self, name: &str) -> Result<(), Error> {
        let inner = self.lock();
        if inner.draining {
            return Err(Error::Failed("the node is being drained: no runner is started".to_owned()));
        }
        inner.deaths.get(name).map_or(Ok(()), |backoff| backoff.check(name, Instant::now()))
    }

    fn new_record(&self, spec: &SandboxSpec) -> Record {
        Record {
            version: VERSION,
            id: RunnerId::random().as_str().to_owned(),
            group: spec.isolation.group.clone(),
            pid: 0,
            start_time: 0,
            boot_id: self.boot_id.clone(),
            build: self.config.build.clone(),
            program: self.config.program.clone(),
            user: spec.isolation.user,
            exclusive: (!spec.isolation.paths.is_empty()).then(|| spec.id.to_string()),
            protocol: PROTOCOL,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            ended: None,
        }
    }

    async fn try_launch(
        self: &Arc<Self>,
        spec: &SandboxSpec,
        record: Record,
        name: &str,
    ) -> Result<Arc<Runner>, Error> {
        let group = spec.isolation.group.clone();
        let failed =
            |what: &dyn std::fmt::Display| Error::Failed(format!("runner of group {group} cannot start: {what}"));
        let id = RunnerId::parse(&record.id).ok_or_else(|| failed(&"it has no id"))?;
        let dirs = self.dirs(&group);
        let (shared, spec, blocking) = (self.clone(), spec.clone(), (id.clone(), dirs.clone()));
        let spawned = tokio::task::spawn_blocking(move || {
            let (id, dirs) = blocking;
            let begun = shared.begin(&spec, record, &id, &dirs);
            begun.inspect_err(|_| clean_up(&dirs, &id))
        });
        let spawned = spawned.await.map_err(|e| failed(&e))?;
        let (record, held) = spawned.map_err(|e| {
            self.lock().deaths.entry(name.to_owned()).or_default().died(Instant::now());
            failed(&e)
        })?;
        let runner = Runner::alive(record, dirs, id, held, false);
        self.enlist(&runner, Recorded::new());
        self.watch(&runner);
        self.ready(&runner).await?;
        Ok(runner)
    }

    /// Blocks.
    fn begin(
        &self,
        spec: &SandboxSpec,
        mut record: Record,
        id: &RunnerId,
        dirs: &GroupDirs,
    ) -> io::Result<(Record, (Process, OwnedFd))> {
        std::fs::create_dir_all(&self.config.logs_root)?;
        let (directory, socket) = spawn::prepare(dirs, id, spec.isolation.user)?;
        // Before there is a process, so that one is found whose agent died in between.
        record.write(&dirs.record(id))?;
        record.pid = spawn::spawn(&self.config, spec, id, socket)?;
        let recorded = start_time(record.pid).and_then(|at| {
            record.start_time = at;
            record.write(&dirs.record(id))?;
            Process::open(record.pid)
        });
        // Without a record it must not be.
        let process = recorded.inspect_err(|_| pidfd::kill_child(record.pid))?;
        Ok((record, (process, directory)))
    }

    /// From now on it is known, and so are the runs that were recorded for it.
    pub(crate) fn enlist(&self, runner: &Arc<Runner>, recorded: Recorded) {
        let mut inner = self.lock();
        inner.state.add_runner(runner.id.clone(), runner.facts());
        inner.state.recall(&runner.id, recorded);
        inner.runners.insert(runner.id.clone(), runner.clone());
    }

    /// From now on its end is noticed.
    pub(crate) fn watch(self: &Arc<Self>, runner: &Arc<Runner>) {
        tokio::spawn(keep::keep(self.clone(), runner.clone()));
    }

    async fn ready(&self, runner: &Arc<Runner>) -> Result<(), Error> {
        let late = tokio::select! {
            () = runner.known.cancelled() => return Ok(()),
            () = runner.gone.cancelled() => return Err(Error::Failed(runner.epitaph().to_owned())),
            () = tokio::time::sleep(READY_WITHIN) => runner.trouble(),
        };
        runner.signal(Signal::KILL);
        Err(runner.error(&format!("was not ready within {} s: {late}", READY_WITHIN.as_secs())))
    }
}

fn clean_up(dirs: &GroupDirs, id: &RunnerId) {
    if let Err(error) = forget_runner(dirs, id) {
        debug!(runner = %id, %error, "Could not remove what a runner would have had");
    }
}
