//! What runners say of runs, and what follows from their deaths.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use wasmnode_provider_api::{Error, Event, Exit, ExitReason, Listing, RunId, SandboxId};

use super::{Effects, Phase, Run, RunPhase, State, exists, not_found};
use crate::runners::names::RunnerId;

/// Exit code of a run that went with its process.
const LOST: i32 = 255;

/// Bytes of an exit's message.
const MAX_MESSAGE: usize = 4096;

impl State {
    /// A run is about to be started.
    pub(crate) fn begin(&mut self, id: RunId, run: Run) -> Result<(), Error> {
        if self.runs.contains_key(&id) {
            return Err(exists("run", &id));
        }
        let slot = self.slots.get_mut(&run.runner).ok_or_else(|| not_found("sandbox", &run.sandbox))?;
        slot.runs.insert(id.clone());
        if run.phase == RunPhase::Starting {
            self.starting.insert(id.clone(), false);
        }
        self.runs.insert(id, run);
        Ok(())
    }

    /// `start` succeeded. False if the runner died of it or with it, and nobody was told that it began.
    pub(crate) fn started(&mut self, id: &RunId, at: SystemTime) -> bool {
        let (since, seen) = (self.tick(), self.starting.remove(id).unwrap_or(false));
        match self.runs.get_mut(id).filter(|run| run.phase == RunPhase::Starting) {
            Some(run) => {
                run.phase = RunPhase::Accepted { at, since };
                true
            }
            None => seen,
        }
    }

    /// `start` was refused.
    pub(crate) fn refused(&mut self, id: &RunId) -> Effects {
        self.starting.remove(id);
        let starting = self.runs.get(id).is_some_and(|run| run.phase == RunPhase::Starting);
        if starting { self.forget(id) } else { Effects::default() }
    }

    /// `start` got no answer: true if the run is known to have begun all the same, otherwise it is withdrawn.
    pub(crate) fn unanswered(&mut self, id: &RunId) -> bool {
        let seen = self.starting.remove(id).unwrap_or(false);
        if let Some(run) = self.runs.get_mut(id).filter(|run| run.phase == RunPhase::Starting) {
            run.phase = RunPhase::Withdrawn;
        }
        seen
    }

    /// The runner does not know a run that was withdrawn.
    pub(crate) fn give_up(&mut self, id: &RunId) -> Effects {
        if self.is_withdrawn(id) { self.forget(id) } else { Effects::default() }
    }

    /// Whether it is to be ended and forgotten still.
    pub(crate) fn is_withdrawn(&self, id: &RunId) -> bool {
        self.runs.get(id).is_some_and(|run| run.phase == RunPhase::Withdrawn)
    }

    /// A run that was not acknowledged yet.
    pub(crate) fn run(&self, id: &RunId) -> Result<&Run, Error> {
        let known = self.runs.get(id).filter(|run| run.phase != RunPhase::Withdrawn);
        known.ok_or_else(|| not_found("run", id))
    }

    /// Whether anything of the sandbox runs.
    pub(crate) fn runs_in(&self, sandbox: &SandboxId) -> bool {
        let live = |run: &Run| run.sandbox == *sandbox && !matches!(run.phase, RunPhase::Ended(_));
        self.runs.values().any(live)
    }

    /// The exit was recorded by the caller. What has not ended stays.
    pub(crate) fn acknowledge(&mut self, id: &RunId) -> Effects {
        let ended = self.runs.get(id).is_some_and(|run| matches!(run.phase, RunPhase::Ended(_)));
        if ended { self.forget(id) } else { Effects::default() }
    }

    /// What a runner reported.
    pub(crate) fn learn(&mut self, runner: &RunnerId, event: Event) -> Effects {
        let mut effects = Effects::default();
        match event {
            Event::Started { run, at } => self.learn_start(runner, &run, at, &mut effects),
            Event::Exited(exit) => self.learn_exit(runner, exit, &mut effects),
            Event::FirstRequest { run } => {
                let live = |known: &Run| known.runner == *runner && matches!(known.phase, RunPhase::Live { .. });
                if self.runs.get(&run).is_some_and(live) && self.requested.insert(run.clone()) {
                    effects.events.push(Event::FirstRequest { run });
                }
            }
        }
        effects
    }

    /// A runner's listing that was asked for at `asked` and came at `now`.
    pub(crate) fn absorb(&mut self, runner: &RunnerId, asked: u64, listing: Listing, now: SystemTime) -> Effects {
        let mut effects = Effects::default();
        let first = self.slots.get(runner).is_some_and(|slot| slot.phase == Phase::Unknown);
        let listed: HashSet<RunId> = listing
            .runs
            .iter()
            .map(|run| &run.run)
            .chain(listing.exits.iter().map(|exit| &exit.run))
            .cloned()
            .collect();
        for run in listing.runs {
            self.learn_start(runner, &run.run, run.started_at, &mut effects);
        }
        for exit in listing.exits {
            self.learn_exit(runner, exit, &mut effects);
        }
        self.miss(runner, (asked, now), &listed, &mut effects);
        if first {
            self.adopt(runner, listing.sandboxes, &mut effects);
        }
        effects
    }

    /// The runner is gone. `exits` is what it left on disk, which nobody vouches for; `cause` is the message of those
    /// that it did not write.
    pub(crate) fn bury(&mut self, runner: &RunnerId, exits: Vec<Exit>, cause: &str, at: SystemTime) -> Effects {
        let mut effects = Effects::default();
        for exit in exits {
            self.learn_exit(runner, exit, &mut effects);
        }
        effects.acknowledge.clear();
        let Some(slot) = self.slots.remove(runner) else { return effects };
        for sandbox in slot.homes {
            if let Some(sandbox) = self.sandboxes.get_mut(&sandbox).filter(|s| s.home.as_ref() == Some(runner)) {
                sandbox.home = None;
            }
        }
        self.graves.insert(runner.clone(), slot.runs.clone());
        for id in slot.runs {
            let more = self.lose(&id, cause, at);
            effects.events.extend(more.events);
            effects.forgotten.extend(more.forgotten);
            effects.cleared = effects.cleared.or(more.cleared);
        }
        effects.cleared = effects.cleared.or_else(|| self.clear(runner));
        effects
    }

    fn learn_start(&mut self, runner: &RunnerId, id: &RunId, at: SystemTime, effects: &mut Effects) {
        let since = self.tick();
        match self.runs.get_mut(id).filter(|run| run.runner == *runner) {
            None => effects.kill.push(id.clone()),
            Some(run) if run.is_expected() => {
                run.phase = RunPhase::Live { started_at: at, since };
                self.starting.entry(id.clone()).and_modify(|seen| *seen = true);
                effects.events.push(Event::Started { run: id.clone(), at });
            }
            Some(run) if run.phase == RunPhase::Withdrawn => effects.kill.push(id.clone()),
            Some(_) => {}
        }
    }

    fn learn_exit(&mut self, runner: &RunnerId, exit: Exit, effects: &mut Effects) {
        let exit = bounded(exit);
        let Some(run) = self.runs.get_mut(&exit.run).filter(|run| run.runner == *runner) else {
            // Acknowledged before, or never ours.
            effects.acknowledge.push(exit.run);
            return;
        };
        match run.phase {
            RunPhase::Ended(_) => return,
            RunPhase::Withdrawn => {
                let forgotten = self.forget(&exit.run);
                effects.forgotten.extend(forgotten.forgotten);
                effects.acknowledge.push(exit.run);
                return;
            }
            RunPhase::Recorded(_) | RunPhase::Starting | RunPhase::Accepted { .. } => {
                self.starting.entry(exit.run.clone()).and_modify(|seen| *seen = true);
                effects.events.push(Event::Started { run: exit.run.clone(), at: exit.started_at });
            }
            RunPhase::Live { .. } => {}
        }
        run.phase = RunPhase::Ended(exit.clone());
        effects.events.push(Event::Exited(exit));
    }

    /// What a complete listing does not have, although it was known before that was asked for.
    fn miss(&mut self, runner: &RunnerId, at: (u64, SystemTime), listed: &HashSet<RunId>, effects: &mut Effects) {
        let (asked, now) = at;
        let Some(slot) = self.slots.get(runner) else { return };
        let missing: Vec<RunId> = slot.runs.iter().filter(|id| !listed.contains(*id)).cloned().collect();
        for id in missing {
            match self.runs.get(&id).map(|run| &run.phase) {
                // Never started, or acknowledged when the agent ended.
                Some(RunPhase::Recorded(_)) => effects.forgotten.extend(self.forget(&id).forgotten),
                Some(RunPhase::Live { since, .. } | RunPhase::Accepted { since, .. }) if *since < asked => {
                    let cause = format!("runner {runner} does not know the run any more");
                    effects.events.extend(self.lose(&id, &cause, now).events);
                }
                _ => {}
            }
        }
    }

    /// What an earlier agent created there.
    fn adopt(&mut self, runner: &RunnerId, listed: Vec<SandboxId>, effects: &mut Effects) {
        let Some(slot) = self.slots.get_mut(runner) else { return };
        slot.phase = Phase::Ready;
        for id in listed {
            match self.sandboxes.get_mut(&id) {
                Some(sandbox) if sandbox.spec.isolation.group == slot.facts.group && sandbox.home.is_none() => {
                    sandbox.home = Some(runner.clone());
                    slot.homes.insert(id);
                }
                Some(_) => {}
                None => effects.remove.push(id),
            }
        }
    }

    fn lose(&mut self, id: &RunId, cause: &str, at: SystemTime) -> Effects {
        let Some(run) = self.runs.get_mut(id) else { return Effects::default() };
        let mut effects = Effects::default();
        let started_at = match run.phase {
            RunPhase::Recorded(at) => at,
            RunPhase::Live { started_at, .. } => started_at,
            RunPhase::Accepted { at, .. } => {
                effects.events.push(Event::Started { run: id.clone(), at });
                at
            }
            RunPhase::Ended(_) => return Effects::default(),
            // Whoever starts it is told.
            RunPhase::Starting | RunPhase::Withdrawn => return self.forget(id),
        };
        let (run_id, message) = (id.clone(), cause.to_owned());
        let exit = Exit { run: run_id, code: LOST, reason: ExitReason::Lost, message, started_at, finished_at: at };
        run.phase = RunPhase::Ended(exit.clone());
        effects.events.push(Event::Exited(exit));
        effects
    }

    fn forget(&mut self, id: &RunId) -> Effects {
        let Some(run) = self.runs.remove(id) else { return Effects::default() };
        self.requested.remove(id);
        if let Some(slot) = self.slots.get_mut(&run.runner) {
            slot.runs.remove(id);
        }
        if let Some(left) = self.graves.get_mut(&run.runner) {
            left.remove(id);
        }
        let cleared = self.clear(&run.runner);
        Effects { forgotten: vec![id.clone()], cleared, ..Effects::default() }
    }

    fn clear(&mut self, runner: &RunnerId) -> Option<RunnerId> {
        let empty = self.graves.get(runner).is_some_and(HashSet::is_empty);
        empty.then(|| self.graves.remove(runner)).map(|_| runner.clone())
    }

    /// Runs that an earlier agent recorded for a runner.
    pub(crate) fn recall(&mut self, runner: &RunnerId, runs: HashMap<RunId, (SandboxId, String, SystemTime)>) {
        for (id, (sandbox, container, at)) in runs {
            let phase = RunPhase::Recorded(at);
            // Of two records of one run, the first stands: ids are never used twice.
            let _twice = self.begin(id, Run { runner: runner.clone(), sandbox, container, phase });
        }
    }
}

impl Run {
    /// It was started and nothing was heard of it yet.
    fn is_expected(&self) -> bool {
        matches!(self.phase, RunPhase::Recorded(_) | RunPhase::Starting | RunPhase::Accepted { .. })
    }
}

/// What may be passed on of an exit, whoever wrote it.
fn bounded(mut exit: Exit) -> Exit {
    exit.code = exit.code.clamp(0, LOST);
    exit.message.truncate(exit.message.floor_char_boundary(MAX_MESSAGE));
    exit
}
