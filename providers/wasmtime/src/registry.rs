//! What exists: sandboxes, runs, and exits that nobody has acknowledged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use wasmnode_provider_api::{
    Error, Event, Exit, Listing, Reporter, RunId, RunSpec, SandboxId, SandboxSpec, SandboxUpdate,
};

use crate::budget::MemoryBudget;
use crate::cpu::CpuLimit;
use crate::net::{Network, Outside, Shared};
use crate::run::{Program, Run};

/// A pod: what its containers share.
#[derive(Debug)]
pub(crate) struct Sandbox {
    spec: SandboxSpec,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) cpu: Arc<CpuLimit>,
    pub(crate) network: Arc<Network>,
}

/// Exits that wait to be acknowledged, as a multiple of the capacity. A caller that starts runs and never hears of
/// their ends is refused before it fills the memory.
const EXITS_PER_PLACE: usize = 8;

#[derive(Debug)]
pub(crate) struct Registry {
    capacity: u32,
    state: Mutex<State>,
    reporter: Reporter,
    /// Where guests run.
    guests: Handle,
    /// What networks of later sandboxes are made with.
    pub(crate) outside: Shared,
}

#[derive(Debug, Default)]
struct State {
    sandboxes: HashMap<SandboxId, Arc<Sandbox>>,
    runs: HashMap<RunId, Arc<Run>>,
    exits: HashMap<RunId, Exit>,
    /// Network accesses that were denied in sandboxes that are gone.
    denied: u64,
}

fn not_found(what: &str, id: &impl ToString) -> Error {
    Error::NotFound { what: what.to_owned(), id: id.to_string() }
}

fn exists(what: &str, id: &impl ToString) -> Error {
    Error::Exists { what: what.to_owned(), id: id.to_string() }
}

// === impl Sandbox ===

impl Sandbox {
    fn new(spec: SandboxSpec, outside: &Outside, guests: &Handle) -> Self {
        let network = Arc::new(Network::new(&spec.name, &spec.addresses, outside, guests.clone()));
        let memory = Arc::new(MemoryBudget::new(spec.memory_limit, None));
        let cpu = Arc::new(CpuLimit::new(spec.cpu_millis));
        Self { spec, memory, cpu, network }
    }

    /// The pod's display name.
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }
}

// === impl Registry ===

impl Registry {
    pub(crate) fn new(capacity: u32, guests: Handle) -> Self {
        let (state, reporter) = (Mutex::default(), Reporter::default());
        Self { capacity, state, reporter, guests, outside: Shared::default() }
    }

    pub(crate) fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    pub(crate) fn create_sandbox(&self, spec: SandboxSpec) -> Result<(), Error> {
        let mut state = self.lock();
        match state.sandboxes.get(&spec.id) {
            Some(there) if there.spec == spec => Ok(()),
            Some(_) => Err(exists("sandbox", &spec.id)),
            None => {
                state
                    .sandboxes
                    .insert(spec.id.clone(), Arc::new(Sandbox::new(spec, &self.outside.outside(), &self.guests)));
                Ok(())
            }
        }
    }

    pub(crate) fn update_sandbox(&self, update: &SandboxUpdate) -> Result<(), Error> {
        let sandbox = self.sandbox(&update.id)?;
        sandbox.memory.set(update.memory_limit);
        sandbox.cpu.set(update.cpu_millis);
        Ok(())
    }

    /// Forgets the sandbox and returns what still runs in it.
    pub(crate) fn remove_sandbox(&self, id: &SandboxId) -> Vec<Arc<Run>> {
        let mut state = self.lock();
        if let Some(sandbox) = state.sandboxes.remove(id) {
            sandbox.network.gone.cancel();
            state.denied += sandbox.network.denied();
        }
        state.runs_of(id)
    }

    pub(crate) fn sandbox(&self, id: &SandboxId) -> Result<Arc<Sandbox>, Error> {
        self.lock().sandboxes.get(id).cloned().ok_or_else(|| not_found("sandbox", id))
    }

    pub(crate) fn runs_of(&self, sandbox: &SandboxId) -> Vec<Arc<Run>> {
        self.lock().runs_of(sandbox)
    }

    /// Makes room for a run, under the lock of everything that could speak against it.
    pub(crate) fn admit(
        &self,
        spec: RunSpec,
        program: impl FnOnce(&RunSpec, &Sandbox) -> Program,
    ) -> Result<Arc<Run>, Error> {
        let mut state = self.lock();
        let found = state.sandboxes.get(&spec.sandbox).cloned();
        let sandbox = found.ok_or_else(|| not_found("sandbox", &spec.sandbox))?;
        if state.runs.contains_key(&spec.id) || state.exits.contains_key(&spec.id) {
            return Err(exists("run", &spec.id));
        }
        if state.runs.len() >= self.capacity as usize {
            return Err(Error::Full(format!("{} runs are all that fit at the same time", self.capacity)));
        }
        if state.exits.len() >= self.capacity as usize * EXITS_PER_PLACE {
            return Err(Error::Full(format!("{} exits wait to be acknowledged", state.exits.len())));
        }
        let (id, program) = (spec.id.clone(), program(&spec, &sandbox));
        let run = Arc::new(Run::new(spec, program));
        state.runs.insert(id, run.clone());
        Ok(run)
    }

    /// A run that was never entered.
    pub(crate) fn withdraw(&self, id: &RunId) {
        self.lock().runs.remove(id);
    }

    /// A run that is live, `None` if it has ended.
    pub(crate) fn run(&self, id: &RunId) -> Result<Option<Arc<Run>>, Error> {
        let state = self.lock();
        match state.runs.get(id) {
            Some(run) => Ok(Some(run.clone())),
            None if state.exits.contains_key(id) => Ok(None),
            None => Err(not_found("run", id)),
        }
    }

    /// The run has ended. Reported under the lock, so that a listing and the events never contradict each other.
    pub(crate) fn end(&self, exit: Exit) {
        let mut state = self.lock();
        state.runs.remove(&exit.run);
        state.exits.insert(exit.run.clone(), exit.clone());
        self.reporter.report(Event::Exited(exit));
    }

    pub(crate) fn acknowledge(&self, id: &RunId) {
        self.lock().exits.remove(id);
    }

    /// Runs that have not ended.
    pub(crate) fn live(&self) -> usize {
        self.lock().runs.len()
    }

    /// Network accesses of guests that were denied so far.
    pub(crate) fn denied(&self) -> u64 {
        let state = self.lock();
        state.denied + state.sandboxes.values().map(|sandbox| sandbox.network.denied()).sum::<u64>()
    }

    pub(crate) fn list(&self) -> Listing {
        let state = self.lock();
        Listing {
            sandboxes: state.sandboxes.keys().cloned().collect(),
            runs: state.runs.values().filter_map(|run| run.listed()).collect(),
            exits: state.exits.values().cloned().collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn runs_of(&self, sandbox: &SandboxId) -> Vec<Arc<Run>> {
        self.runs.values().filter(|run| run.spec.sandbox == *sandbox).cloned().collect()
    }
}
