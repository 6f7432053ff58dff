//! What the agent knows of sandboxes and runs in all runners. Pure: no I/O, no clock.
//!
//! A run's life, as seen from here:
//!
//! ```text
//!             start ok            Started        Exited, listed, on disk, lost
//!   Starting ──────────→ Accepted ───────→ Live ───────────────────────────→ Ended ──acknowledge→ forgotten
//!      │ refused → forgotten                ↑
//!      │ no answer → Withdrawn → ended and forgotten, nobody hears of it
//!   Recorded (by an earlier agent) ─────────┴─ absent from the first listing → forgotten
//! ```
//!
//! Only what was recorded before its start is believed: a runner that was taken over may speak of runs that are not
//! its own.

mod effects;
mod place;
mod runs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::SystemTime;

pub(crate) use effects::Effects;
use wasmnode_provider_api::{Error, Exit, ListedRun, Listing, RunId, SandboxId, SandboxSpec};

use super::names::RunnerId;

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct State {
    slots: BTreeMap<RunnerId, Slot>,
    sandboxes: HashMap<SandboxId, Sandbox>,
    runs: HashMap<RunId, Run>,
    /// Runners that are gone, and their exits that were not acknowledged.
    graves: HashMap<RunnerId, HashSet<RunId>>,
    /// Runs whose `start` has not returned, and whether their beginning was reported.
    starting: HashMap<RunId, bool>,
    /// Runs whose first request was reported.
    requested: HashSet<RunId>,
    /// Orders what happened and what was asked.
    clock: u64,
}

/// What placing depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) group: String,
    pub(crate) user: Option<u32>,
    pub(crate) build: String,
    /// The sandbox that has it to itself.
    pub(crate) exclusive: Option<SandboxId>,
}

/// Where a runner is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It was not heard of yet.
    Unknown,
    /// It takes sandboxes.
    Ready,
    /// It was told to end.
    Ending,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) facts: Facts,
    pub(crate) phase: Phase,
    capacity: u32,
    homes: BTreeSet<SandboxId>,
    runs: HashSet<RunId>,
}

#[derive(Debug)]
struct Sandbox {
    spec: SandboxSpec,
    home: Option<RunnerId>,
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) runner: RunnerId,
    pub(crate) sandbox: SandboxId,
    pub(crate) container: String,
    pub(crate) phase: RunPhase,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RunPhase {
    /// An earlier agent started it, then.
    Recorded(SystemTime),
    /// `start` was sent and has not returned.
    Starting,
    /// `start` succeeded, at about this time; the runner's own word is still to come. Known since this moment of the
    /// clock.
    Accepted { at: SystemTime, since: u64 },
    /// It runs, known since this moment of the clock.
    Live { started_at: SystemTime, since: u64 },
    /// Not acknowledged.
    Ended(Exit),
    /// Whether it began is not known, and it was reported as refused.
    Withdrawn,
}

pub(crate) fn not_found(what: &str, id: &impl ToString) -> Error {
    Error::NotFound { what: what.to_owned(), id: id.to_string() }
}

fn exists(what: &str, id: &impl ToString) -> Error {
    Error::Exists { what: what.to_owned(), id: id.to_string() }
}

// === impl State ===

impl State {
    /// A moment: what is known from now on is later.
    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    // Sandboxes.

    /// True if it is new.
    pub(crate) fn admit_sandbox(&mut self, spec: &SandboxSpec) -> Result<bool, Error> {
        match self.sandboxes.get(&spec.id) {
            Some(there) if there.spec == *spec => Ok(false),
            Some(_) => Err(exists("sandbox", &spec.id)),
            None => {
                self.sandboxes.insert(spec.id.clone(), Sandbox { spec: spec.clone(), home: None });
                Ok(true)
            }
        }
    }

    pub(crate) fn sandbox(&self, id: &SandboxId) -> Result<(&SandboxSpec, Option<&RunnerId>), Error> {
        let sandbox = self.sandboxes.get(id).ok_or_else(|| not_found("sandbox", id))?;
        Ok((&sandbox.spec, sandbox.home.as_ref()))
    }

    /// What it is created from after the loss of its runner.
    pub(crate) fn remember(&mut self, spec: SandboxSpec) {
        if let Some(sandbox) = self.sandboxes.get_mut(&spec.id) {
            sandbox.spec = spec;
        }
    }

    /// It was created there.
    pub(crate) fn settle(&mut self, sandbox: &SandboxId, runner: &RunnerId) {
        let there = self.slots.get(runner).is_some_and(|slot| slot.homes.contains(sandbox));
        if let Some(sandbox) = self.sandboxes.get_mut(sandbox).filter(|_| there) {
            sandbox.home = Some(runner.clone());
        }
    }

    /// It is not there, or no longer.
    pub(crate) fn unsettle(&mut self, sandbox: &SandboxId, runner: &RunnerId) {
        if let Some(slot) = self.slots.get_mut(runner) {
            slot.homes.remove(sandbox);
        }
        if let Some(sandbox) = self.sandboxes.get_mut(sandbox).filter(|s| s.home.as_ref() == Some(runner)) {
            sandbox.home = None;
        }
    }

    /// Its exits stay.
    pub(crate) fn remove_sandbox(&mut self, id: &SandboxId) {
        self.sandboxes.remove(id);
        for slot in self.slots.values_mut() {
            slot.homes.remove(id);
        }
    }

    // Runners.

    pub(crate) fn add_runner(&mut self, id: RunnerId, facts: Facts) {
        let (homes, runs) = (BTreeSet::new(), HashSet::new());
        self.slots.insert(id, Slot { facts, phase: Phase::Unknown, capacity: 0, homes, runs });
    }

    pub(crate) fn slot(&self, id: &RunnerId) -> Option<&Slot> {
        self.slots.get(id)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = (&RunnerId, &Slot)> {
        self.slots.iter()
    }

    /// It told how many runs fit.
    pub(crate) fn sized(&mut self, id: &RunnerId, capacity: u32) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.capacity = capacity;
        }
    }

    /// It gets no more sandboxes. False if it is used, unless `anyway`.
    pub(crate) fn end(&mut self, id: &RunnerId, anyway: bool) -> bool {
        let Some(slot) = self.slots.get_mut(id) else { return false };
        if anyway || slot.is_empty() {
            slot.phase = Phase::Ending;
        }
        slot.phase == Phase::Ending
    }

    pub(crate) fn list(&self) -> Listing {
        let mut listing = Listing { sandboxes: self.sandboxes.keys().cloned().collect(), ..Listing::default() };
        for (id, run) in &self.runs {
            match &run.phase {
                // A recorded one is of a runner that hangs: all others were heard of before anybody is told.
                RunPhase::Live { started_at, .. }
                | RunPhase::Accepted { at: started_at, .. }
                | RunPhase::Recorded(started_at) => listing.runs.push(ListedRun {
                    run: id.clone(),
                    sandbox: run.sandbox.clone(),
                    container: run.container.clone(),
                    started_at: *started_at,
                }),
                RunPhase::Ended(exit) => listing.exits.push(exit.clone()),
                RunPhase::Starting | RunPhase::Withdrawn => {}
            }
        }
        listing
    }

    /// Runs that have not ended.
    pub(crate) fn live(&self) -> usize {
        self.runs.values().filter(|run| !matches!(run.phase, RunPhase::Ended(_))).count()
    }
}

// === impl Slot ===

impl Slot {
    /// No sandbox, no run, no exit that was not acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.homes.is_empty() && self.runs.is_empty()
    }
}
