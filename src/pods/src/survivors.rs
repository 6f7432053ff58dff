//! What outlived the agent that made it: sandboxes, runs, and ends that nobody acknowledged. The provider knows them by
//! ids, which are hashes: whose they are is found by hashing what they may be.

use std::collections::{BTreeMap, HashMap, HashSet};

use wasmnode_core::desired::Desired;
use wasmnode_core::pod::LiveRun;
use wasmnode_core::{PodRef, run_id};
use wasmnode_provider_api::{Exit, ListedRun, Listing, RunId, SandboxId};

use crate::actions::exit::timestamp;
use crate::site;

/// Numbers of runs that are tried for one that lives, the newest first. The newest is known from its log, so that more
/// than a few are needed only where logs and the API server have both lost some.
const LIVE_NUMBERS: u32 = 4096;

/// The same for exits: all runs before the latest were acted upon before that was started.
const EXIT_NUMBERS: u32 = 16;

/// Numbers beyond the highest that is known: an agent may have died before it wrote down what it had started.
pub(crate) const AHEAD: u32 = 4;

/// What of one pod outlived the agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survivors {
    /// Whether its sandbox exists.
    pub(crate) sandbox: bool,
    /// Runs by container.
    pub(crate) live: BTreeMap<String, LiveRun>,
    /// Unacknowledged ends of containers that do not live, with the number of the run.
    pub(crate) exits: BTreeMap<String, (u32, Exit)>,
    /// Runs that nobody started, or that another one of their container came after: they must end before anything of
    /// the pod is started.
    pub(crate) stray: Vec<RunId>,
}

/// What a provider lists and nobody has claimed yet.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    sandboxes: HashSet<SandboxId>,
    runs: HashMap<SandboxId, Vec<ListedRun>>,
    exits: HashMap<RunId, Exit>,
}

// === impl Survivors ===

impl Survivors {
    pub(crate) fn is_empty(&self) -> bool {
        !self.sandbox && self.live.is_empty() && self.exits.is_empty()
    }

    /// Containers and numbers of all runs.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&str, u32)> {
        let live = self.live.iter().map(|(container, run)| (container.as_str(), run.attempt));
        live.chain(self.exits.iter().map(|(container, (attempt, _))| (container.as_str(), *attempt)))
    }
}

// === impl Remains ===

impl From<Listing> for Remains {
    fn from(listing: Listing) -> Self {
        let mut runs: HashMap<_, Vec<_>> = HashMap::new();
        for run in listing.runs {
            runs.entry(run.sandbox.clone()).or_default().push(run);
        }
        let exits = listing.exits.into_iter().map(|exit| (exit.run.clone(), exit)).collect();
        Self { sandboxes: listing.sandboxes.into_iter().collect(), runs, exits }
    }
}

impl Remains {
    /// Whether there may be something of that pod.
    pub(crate) fn may_have(&self, pod: &PodRef) -> bool {
        !self.exits.is_empty() || site::sandbox(pod).is_ok_and(|id| self.has(&id))
    }

    fn has(&self, sandbox: &SandboxId) -> bool {
        self.sandboxes.contains(sandbox) || self.runs.contains_key(sandbox)
    }

    /// Takes what is of that pod. `highest` are the highest numbers of runs that are known, by container.
    pub(crate) fn claim(&mut self, desired: &Desired, highest: &BTreeMap<String, u32>) -> Survivors {
        let Ok(sandbox) = site::sandbox(&desired.pod) else { return Survivors::default() };
        let mut survivors = Survivors { sandbox: self.has(&sandbox), ..Survivors::default() };
        let (_, runs) = self.take(&sandbox);
        for container in &desired.containers {
            let name = &container.name;
            let newest = highest.get(name).map_or(0, |highest| *highest).saturating_add(AHEAD);
            let lives = runs.iter().filter(|run| run.container == *name);
            if let Some(live) = lives.filter_map(|run| live_run(&sandbox, run, newest)).max_by_key(|run| run.attempt) {
                survivors.live.insert(name.clone(), live);
            } else if let Some(exit) = self.take_exit(&sandbox, name, newest) {
                survivors.exits.insert(name.clone(), exit);
            }
        }
        let claimed: HashSet<RunId> = survivors
            .live
            .iter()
            .filter_map(|(name, run)| RunId::new(run_id(sandbox.as_str(), name, run.attempt)).ok())
            .collect();
        survivors.stray = runs.into_iter().map(|run| run.run).filter(|run| !claimed.contains(run)).collect();
        survivors
    }

    /// Takes a sandbox with its runs; false when it is not listed.
    pub(crate) fn take(&mut self, sandbox: &SandboxId) -> (bool, Vec<ListedRun>) {
        let listed = self.sandboxes.remove(sandbox);
        let runs = self.runs.remove(sandbox).unwrap_or_default();
        (listed || !runs.is_empty(), runs)
    }

    fn take_exit(&mut self, sandbox: &SandboxId, container: &str, newest: u32) -> Option<(u32, Exit)> {
        if self.exits.is_empty() {
            return None;
        }
        numbers(newest, EXIT_NUMBERS).find_map(|attempt| {
            let run = RunId::new(run_id(sandbox.as_str(), container, attempt)).ok()?;
            Some((attempt, self.exits.remove(&run)?))
        })
    }

    /// What nobody claimed: sandboxes with their runs, and exits.
    pub(crate) fn rest(self) -> (Vec<(SandboxId, Vec<ListedRun>)>, Vec<RunId>) {
        let Self { sandboxes, mut runs, exits } = self;
        let mut rest: Vec<_> =
            sandboxes.into_iter().map(|id| (id.clone(), runs.remove(&id).unwrap_or_default())).collect();
        rest.extend(runs);
        (rest, exits.into_keys().collect())
    }
}

fn live_run(sandbox: &SandboxId, run: &ListedRun, newest: u32) -> Option<LiveRun> {
    let is_it = |attempt: &u32| run_id(sandbox.as_str(), &run.container, *attempt) == run.run.as_str();
    let attempt = numbers(newest, LIVE_NUMBERS).find(is_it)?;
    Some(LiveRun { attempt, started_at: timestamp(run.started_at, jiff::Timestamp::UNIX_EPOCH) })
}

fn numbers(newest: u32, count: u32) -> impl Iterator<Item = u32> {
    (newest.saturating_sub(count)..=newest).rev()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, SystemTime};

    use wasmnode_provider_api::ExitReason;

    use super::*;
    use crate::fixtures::{desired, pod_ref};

    fn listed(uid: &str, attempt: u32) -> ListedRun {
        let pod = pod_ref("p", uid);
        ListedRun {
            run: site::run(&pod, "c", attempt).unwrap(),
            sandbox: site::sandbox(&pod).unwrap(),
            container: "c".to_owned(),
            started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(7),
        }
    }

    fn exit(uid: &str, attempt: u32) -> Exit {
        Exit {
            run: site::run(&pod_ref("p", uid), "c", attempt).unwrap(),
            code: 3,
            reason: ExitReason::Exited,
            message: String::new(),
            started_at: SystemTime::UNIX_EPOCH,
            finished_at: SystemTime::UNIX_EPOCH,
        }
    }

    fn remains(uid: &str, runs: &[u32], exits: &[u32]) -> Remains {
        Remains::from(Listing {
            sandboxes: vec![site::sandbox(&pod_ref("p", uid)).unwrap()],
            runs: runs.iter().map(|attempt| listed(uid, *attempt)).collect(),
            exits: exits.iter().map(|attempt| exit(uid, *attempt)).collect(),
        })
    }

    #[test]
    fn runs_and_ends_find_their_pods() {
        // runs, exits, highest number known → live, exit, exits left to others
        type Case = (&'static [u32], &'static [u32], Option<u32>, Option<u32>, Option<u32>, usize);
        let cases: [Case; 12] = [
            (&[0], &[], None, Some(0), None, 0),
            (&[3], &[], Some(3), Some(3), None, 0),
            // Started, and the agent died before anything else was written.
            (&[4], &[], Some(3), Some(4), None, 0),
            (&[0], &[], Some(3), Some(0), None, 0),
            // A number that nothing explains.
            (&[9], &[], Some(3), None, None, 0),
            (&[2], &[], None, Some(2), None, 0),
            // One that was given up for dead.
            (&[2, 3], &[], Some(3), Some(3), None, 0),
            (&[3, 9, 2], &[], Some(3), Some(3), None, 0),
            (&[], &[3], Some(3), None, Some(3), 0),
            (&[], &[2, 3], Some(3), None, Some(3), 1),
            (&[4], &[3], Some(4), Some(4), None, 1),
            (&[], &[9], None, None, None, 1),
        ];
        for (runs, exits, highest, live, ended, left) in cases {
            let mut remains = remains("u", runs, exits);
            let highest: BTreeMap<_, _> = highest.map(|highest| ("c".to_owned(), highest)).into_iter().collect();
            let found = remains.claim(&desired("p", "u"), &highest);
            let stray = runs.len() - usize::from(live.is_some());
            assert_eq!(found.stray.len(), stray, "{runs:?} {exits:?} {highest:?}");
            assert_eq!(found.live.get("c").map(|run| run.attempt), live, "{runs:?} {exits:?} {highest:?}");
            assert_eq!(found.exits.get("c").map(|(attempt, _)| *attempt), ended, "{runs:?} {exits:?} {highest:?}");
            assert!(found.sandbox);
            let (sandboxes, exits) = remains.rest();
            assert_eq!((sandboxes.len(), exits.len()), (0, left));
        }
        let found = remains("u", &[0], &[]).claim(&desired("p", "u"), &BTreeMap::new());
        assert_eq!(found.live["c"].started_at.as_second(), 7);
    }

    #[test]
    fn what_is_of_another_pod_stays() {
        let mut remains = remains("u", &[0], &[1]);
        assert!(remains.claim(&desired("p", "other"), &BTreeMap::new()).is_empty());
        let (sandboxes, exits) = remains.rest();
        assert_eq!((sandboxes[0].1.len(), exits.len()), (1, 1));
    }
}
