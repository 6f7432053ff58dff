//! What the fake provider knows.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;
use wasmnode_provider_api::{
    Artifact, ContainerUsage, Error, Event, Exit, ListedRun, Listing, Reporter, RunId, RunSpec, SandboxId, SandboxSpec,
    SandboxUpdate,
};

use crate::guest::{Orders, Verdict};
use crate::script::Script;

/// A run that has not ended.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) spec: RunSpec,
    pub(crate) started_at: SystemTime,
    pub(crate) memory: Arc<AtomicU64>,
    pub(crate) orders: watch::Sender<Orders>,
}

#[derive(Debug)]
pub(crate) struct Registry {
    state: Mutex<State>,
    pub(crate) reporter: Reporter,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) capacity: u32,
    pub(crate) sandboxes: HashMap<SandboxId, SandboxSpec>,
    pub(crate) prepared: HashSet<String>,
    pub(crate) runs: HashMap<RunId, Live>,
    pub(crate) exits: HashMap<RunId, Exit>,
    /// Every start that was asked for, refused ones too.
    pub(crate) starts: Vec<RunSpec>,
    pub(crate) refused_starts: VecDeque<Error>,
    pub(crate) refused_artifacts: HashMap<String, Error>,
    pub(crate) scripts: HashMap<String, Script>,
}

pub(crate) fn not_found(what: &str, id: &impl ToString) -> Error {
    Error::NotFound { what: what.to_owned(), id: id.to_string() }
}

fn exists(what: &str, id: &impl ToString) -> Error {
    Error::Exists { what: what.to_owned(), id: id.to_string() }
}

// === impl Registry ===

impl Registry {
    pub(crate) fn new(capacity: u32) -> Self {
        let state = State { capacity, ..State::default() };
        Self { state: Mutex::new(state), reporter: Reporter::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run has begun: one step, so that events and listings never contradict each other.
    pub(crate) fn begin(&self, spec: RunSpec) -> Result<(Live, Script), Error> {
        let mut state = self.lock();
        let script = state.admit(&spec)?;
        let live = Live {
            started_at: SystemTime::now(),
            memory: Arc::new(AtomicU64::new(0)),
            orders: watch::Sender::new(Orders::default()),
            spec,
        };
        state.runs.insert(live.spec.id.clone(), live.clone());
        self.reporter.report(Event::Started { run: live.spec.id.clone(), at: live.started_at });
        Ok((live, script))
    }

    pub(crate) fn end(&self, live: &Live, verdict: Verdict) {
        let Verdict { code, reason, message } = verdict;
        let (run, started_at, finished_at) = (live.spec.id.clone(), live.started_at, SystemTime::now());
        let exit = Exit { run, code, reason, message, started_at, finished_at };
        let mut state = self.lock();
        state.runs.remove(&exit.run);
        state.exits.insert(exit.run.clone(), exit.clone());
        self.reporter.report(Event::Exited(exit));
    }
}

// === impl State ===

impl State {
    pub(crate) fn create_sandbox(&mut self, spec: SandboxSpec) -> Result<(), Error> {
        match self.sandboxes.get(&spec.id) {
            Some(there) if *there != spec => Err(exists("sandbox", &spec.id)),
            _ => {
                self.sandboxes.insert(spec.id.clone(), spec);
                Ok(())
            }
        }
    }

    pub(crate) fn update_sandbox(&mut self, update: SandboxUpdate) -> Result<(), Error> {
        let sandbox = self.sandboxes.get_mut(&update.id).ok_or_else(|| not_found("sandbox", &update.id))?;
        sandbox.memory_limit = update.memory_limit;
        sandbox.cpu_millis = update.cpu_millis;
        Ok(())
    }

    pub(crate) fn prepare(&mut self, artifact: &Artifact) -> Result<(), Error> {
        if let Some(refusal) = self.refused_artifacts.get(&artifact.digest) {
            return Err(refusal.clone());
        }
        self.prepared.insert(artifact.digest.clone());
        Ok(())
    }

    fn admit(&mut self, spec: &RunSpec) -> Result<Script, Error> {
        self.starts.push(spec.clone());
        if let Some(refusal) = self.refused_starts.pop_front() {
            return Err(refusal);
        }
        if !self.prepared.contains(&spec.artifact.digest) {
            return Err(not_found("artifact", &spec.artifact.digest));
        }
        if !self.sandboxes.contains_key(&spec.sandbox) {
            return Err(not_found("sandbox", &spec.sandbox));
        }
        if self.runs.contains_key(&spec.id) || self.exits.contains_key(&spec.id) {
            return Err(exists("run", &spec.id));
        }
        if self.runs.len() >= self.capacity as usize {
            return Err(Error::Full(format!("{} runs are all that fit at the same time", self.capacity)));
        }
        Ok(self.script(spec))
    }

    /// From the arguments, else as set for the artifact, else one that never exits.
    pub(crate) fn script(&self, spec: &RunSpec) -> Script {
        let spoken = Script::parse(&spec.argv).ok().filter(|script| !script.steps.is_empty() || script.ignores_stop);
        spoken.or_else(|| self.scripts.get(&spec.artifact.digest).cloned()).unwrap_or_else(Script::never_exit)
    }

    /// Changes what a live run was told; one that has ended hears nothing any more.
    pub(crate) fn order(&self, run: &RunId, change: impl FnOnce(&mut Orders)) -> Result<(), Error> {
        match self.runs.get(run) {
            Some(live) => live.orders.send_modify(change),
            None if self.exits.contains_key(run) => {}
            None => return Err(not_found("run", run)),
        }
        Ok(())
    }

    pub(crate) fn list(&self) -> Listing {
        let listed = |live: &Live| ListedRun {
            run: live.spec.id.clone(),
            sandbox: live.spec.sandbox.clone(),
            container: live.spec.container.clone(),
            started_at: live.started_at,
        };
        Listing {
            sandboxes: self.sandboxes.keys().cloned().collect(),
            runs: self.runs.values().map(listed).collect(),
            exits: self.exits.values().cloned().collect(),
        }
    }

    pub(crate) fn usage(&self, sandbox: &SandboxId) -> Result<Vec<ContainerUsage>, Error> {
        if !self.sandboxes.contains_key(sandbox) {
            return Err(not_found("sandbox", sandbox));
        }
        let within = self.runs.values().filter(|live| live.spec.sandbox == *sandbox);
        let usage = |live: &Live| ContainerUsage {
            container: live.spec.container.clone(),
            memory_bytes: live.memory.load(Ordering::Relaxed),
            instances: 1,
            ..ContainerUsage::default()
        };
        Ok(within.map(usage).collect())
    }
}
