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
use super::record::Record;
use super::shared::{Inner, Shared, forget_runner};
use super::{keep, pidfd, spawn};

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
        let _under_way = self.may_launch(&name)?;
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

    /// Counted until the returned value is dropped, so that who drains knows of it.
    fn may_launch(&self, name: &str) -> Result<UnderWay<'_>, Error> {
        let mut inner = self.lock();
        refuse_draining(&inner)?;
        inner.deaths.get(name).map_or(Ok(()), |backoff| backoff.check(name, Instant::now()))?;
        inner.launching += 1;
        Ok(UnderWay(self))
    }

    fn new_record(&self, spec: &SandboxSpec) -> Record {
        Record {
            user: spec.isolation.user,
            exclusive: (!spec.isolation.paths.is_empty()).then(|| spec.id.to_string()),
            ..Record::new(&RunnerId::random(), &spec.isolation.group, &self.config, &self.boot_id)
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
        let ready = self.ready(&runner).await;
        refuse_draining(&self.lock())?;
        ready.map(|()| runner)
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

    /// From now on it is known, and so are the runs that were recorded for it. One that was being started when draining
    /// began is ended.
    pub(crate) fn enlist(&self, runner: &Arc<Runner>, recorded: Recorded) {
        let mut inner = self.lock();
        inner.state.add_runner(runner.id.clone(), runner.facts());
        inner.state.recall(&runner.id, recorded);
        inner.runners.insert(runner.id.clone(), runner.clone());
        if inner.draining {
            inner.state.end(&runner.id, true);
        }
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

/// The start of a runner.
struct UnderWay<'a>(&'a Shared);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().launching -= 1;
        self.0.learned.send_replace(());
    }
}

fn refuse_draining(inner: &Inner) -> Result<(), Error> {
    let refusal = || Error::Failed("the node is being drained: no runner is started".to_owned());
    if inner.draining { Err(refusal()) } else { Ok(()) }
}

fn clean_up(dirs: &GroupDirs, id: &RunnerId) {
    if let Err(error) = forget_runner(dirs, id) {
        debug!(runner = %id, %error, "Could not remove what a runner would have had");
    }
}
