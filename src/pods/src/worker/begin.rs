//! How a worker begins: what an earlier agent left is looked at, then the lifecycle takes over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};
use wasmnode_core::PodRef;
use wasmnode_core::desired::Desired;
use wasmnode_core::ledger::Refusal;
use wasmnode_core::pod::{Event, Pod, PodEnd, Prior};

use super::{Concluded, Note, Wish, Worker};
use crate::actions::{exit, pull, release, sandbox, start, stop, volumes};
use crate::context::Context;
use crate::history::History;
use crate::layout::Layout;
use crate::routes::RunEvent;
use crate::site::Site;
use crate::survivors::Survivors;
use crate::{blocking, exits};

/// Answers that wait for the worker. Each comes from a task that waits for room, so that more would only hide that
/// the worker is slow.
const ANSWERS: usize = 16;

/// Reason of a pod whose worker panicked.
pub(crate) const AGENT_ERROR: &str = "AgentError";

/// What a worker is begun with.
pub(crate) struct Entrance {
    pub(crate) context: Arc<Context>,
    pub(crate) wishes: watch::Receiver<Wish>,
    pub(crate) ends: watch::Receiver<Option<PodEnd>>,
    pub(crate) mailbox: mpsc::Sender<Box<RunEvent>>,
    pub(crate) runs: mpsc::Receiver<Box<RunEvent>>,
    pub(crate) notes: mpsc::Sender<Note>,
    pub(crate) begin: Begin,
    pub(crate) survivors: Survivors,
}

/// In which state a pod begins.
#[derive(Debug, Clone)]
pub(crate) enum Begin {
    /// It may run.
    Admitted,
    /// The ledger refused it.
    Refused(Refusal),
    /// Its worker panicked; what it held is given back first.
    Failed(Refusal),
}

// === impl Entrance ===

impl Entrance {
    /// Serves the pod until it is released. A pod whose names cannot be used on disk is not served at all.
    pub(crate) async fn run(self) {
        let pod = self.wishes.borrow().desired.pod.clone();
        if let Err(error) = Layout::check(&pod) {
            return error!(%pod, %error, "Pod cannot be served");
        }
        let (begin, survivors) = (self.begin.clone(), self.survivors.clone());
        let mut worker = self.worker(pod);
        let lifecycle = worker.begin(begin, survivors).await;
        worker.serve(lifecycle).await;
        worker.end().await;
    }

    fn worker(self, pod: PodRef) -> Worker {
        let (answers_in, answers) = mpsc::channel(ANSWERS);
        let site = Site {
            context: self.context,
            pod,
            answers: answers_in,
            mailbox: self.mailbox,
            torn_down: tokio::sync::Mutex::new(false),
        };
        Worker {
            site: Arc::new(site),
            wishes: self.wishes,
            ends: self.ends,
            runs: self.runs,
            answers,
            notes: self.notes,
            tasks: JoinSet::new(),
            images: HashMap::new(),
            tried: HashMap::new(),
            concluding: HashSet::new(),
            unrecorded: HashSet::new(),
            registered: Vec::new(),
            published: None,
            told_over: false,
            refresh_at: None,
            unmounting: false,
            refresh_failure: None,
            released: None,
        }
    }
}

// === impl Worker ===

impl Worker {
    async fn begin(&mut self, begin: Begin, survivors: Survivors) -> Pod {
        let Wish { desired, gone, .. } = self.wishes.borrow_and_update().clone();
        info!(?begin, live = survivors.live.len(), ended = survivors.exits.len(), "Pod arrived");
        if matches!(begin, Begin::Failed(_)) {
            sandbox::remove(&self.site).await;
            volumes::tear_down(&self.site).await;
        }
        stop::put_down(&self.site, &survivors.stray).await;
        let heard = self.heard(&survivors);
        self.hold_images(&desired, &survivors);
        let prior = self.prior(&desired, survivors).await;
        if matches!(begin, Begin::Admitted) && !exits::is_terminal(prior.status.as_ref()) {
            self.register(desired.object_refs());
            if let Some(record) = start::unknown_stop(&desired).filter(|_| prior.live.is_empty()) {
                self.site.record(&desired, record);
            }
        }
        let pod = self.enter(begin, desired, prior).await;
        for concluded in heard {
            self.acknowledge(concluded).await;
        }
        if gone { self.step(pod, Event::Gone).await } else { pod }
    }

    async fn enter(&mut self, begin: Begin, desired: Arc<Desired>, prior: Prior) -> Pod {
        let (now, settings) = (self.site.now(), self.site.context.config.lifecycle);
        let (pod, actions) = match begin {
            Begin::Admitted => Pod::new(now, desired, prior, settings),
            Begin::Refused(Refusal { reason, message }) | Begin::Failed(Refusal { reason, message }) => {
                Pod::refused(now, desired, prior, reason, message)
            }
        };
        self.carry_out(&pod, actions).await;
        if matches!(pod, Pod::Running(_)) {
            // It may have been without an agent for long.
            self.refresh_now();
        }
        pod
    }

    /// Containers that live may have to start again with the image that is there.
    fn hold_images(&mut self, desired: &Arc<Desired>, survivors: &Survivors) {
        for container in survivors.live.keys() {
            let (site, desired) = (Arc::clone(&self.site), Arc::clone(desired));
            self.spawn(pull::hold(site, desired, container.clone()));
        }
    }

    /// Runs that ended before this agent was there.
    fn heard(&self, survivors: &Survivors) -> Vec<Concluded> {
        let runs = survivors.exits.iter().map(|(container, (_, exit))| (container.clone(), exit.run.clone()));
        runs.map(|(container, run)| Concluded { run, container }).collect()
    }

    /// The status that the API server has with the exits that it has not heard of, or the newest of this agent's own.
    async fn prior(&self, desired: &Arc<Desired>, survivors: Survivors) -> Prior {
        let own = self.site.context.board.status(&self.site.pod.uid);
        let theirs = self.wishes.borrow().pod.status.clone();
        let (groups, of) = (Arc::clone(&self.site.context.groups), Arc::clone(desired));
        let known = own.as_deref().cloned().or_else(|| theirs.clone());
        let found = blocking::io(move || Ok(History::read(&groups, &of, known.as_ref()))).await;
        let History { recorded, highest_log } = found.unwrap_or_else(|error| {
            warn!(%error, "Could not read what an earlier agent left of the pod");
            History::default()
        });
        let status = match own {
            Some(own) => Some(own.as_ref().clone()),
            None => exits::merge(theirs, recorded),
        };
        let Survivors { sandbox, live, exits: ended, stray: _ } = survivors;
        let mut exits = BTreeMap::new();
        for (container, (attempt, ended)) in ended {
            let told = exit::told(&self.site, desired, &container, attempt, &ended).await;
            exits.insert(container, (attempt, told));
        }
        Prior { status, highest_log, sandbox, live, exits }
    }

    async fn end(mut self) {
        let Some(delete) = self.released else { return };
        self.tasks.shutdown().await;
        self.site.context.routes.close_all(&self.site.mailbox);
        release::release(&self.site, delete).await;
    }
}
