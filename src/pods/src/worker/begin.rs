//! How a worker begins: what an earlier agent left is looked at, then the lifecycle takes over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};
use wasmnode_core::PodRef;
use wasmnode_core::desired::Desired;
use wasmnode_core::ledger::Refusal;
use wasmnode_core::pod::{Event, Pod, Prior};
use wasmnode_logs::paths;

use super::{Note, Wish, Worker};
use crate::actions::{release, sandbox, start, volumes};
use crate::context::Context;
use crate::layout::PodLayout;
use crate::routes::RunEvent;
use crate::site::Site;
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
    pub(crate) mailbox: mpsc::Sender<Box<RunEvent>>,
    pub(crate) runs: mpsc::Receiver<Box<RunEvent>>,
    pub(crate) notes: mpsc::Sender<Note>,
    pub(crate) begin: Begin,
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
        let layout = match self.context.config.layout.pod(&pod) {
            Ok(layout) => layout,
            Err(error) => return error!(%pod, %error, "Pod cannot be served"),
        };
        let begin = self.begin.clone();
        let mut worker = self.worker(pod, layout);
        let lifecycle = worker.begin(begin).await;
        worker.serve(lifecycle).await;
        worker.end().await;
    }

    fn worker(self, pod: PodRef, layout: PodLayout) -> Worker {
        let (answers_in, answers) = mpsc::channel(ANSWERS);
        let site = Site {
            context: self.context,
            pod,
            layout,
            answers: answers_in,
            mailbox: self.mailbox,
            torn_down: tokio::sync::Mutex::new(false),
        };
        Worker {
            site: Arc::new(site),
            wishes: self.wishes,
            runs: self.runs,
            answers,
            notes: self.notes,
            tasks: JoinSet::new(),
            images: HashMap::new(),
            concluding: HashSet::new(),
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
    async fn begin(&mut self, begin: Begin) -> Pod {
        let Wish { desired, gone, .. } = self.wishes.borrow_and_update().clone();
        info!(?begin, "Pod arrived");
        if matches!(begin, Begin::Failed(_)) {
            sandbox::remove(&self.site).await;
            volumes::tear_down(&self.site).await;
        }
        let prior = self.prior(&desired).await;
        if matches!(begin, Begin::Admitted) && !exits::is_terminal(prior.status.as_ref()) {
            self.register(desired.object_refs());
            if let Some(record) = start::unknown_stop(&desired) {
                self.site.record(&desired, record);
            }
        }
        let pod = self.enter(begin, desired, prior).await;
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
        pod
    }

    /// The status that the API server has with the exits that it has not heard of, or the newest of this agent's own.
    async fn prior(&self, desired: &Arc<Desired>) -> Prior {
        let own = self.site.context.board.status(&self.site.pod.uid);
        let (layout, desired) = (self.site.layout.clone(), Arc::clone(desired));
        let found = blocking::io(move || Ok((exits::read(&layout, &desired)?, highest_logs(&layout, &desired)?)));
        let (recorded, highest_log) = found.await.unwrap_or_else(|error| {
            warn!(%error, "Could not read what an earlier agent left of the pod");
            (Vec::new(), BTreeMap::new())
        });
        let status = match own {
            Some(own) => Some(own.as_ref().clone()),
            None => exits::merge(self.wishes.borrow().pod.status.clone(), recorded),
        };
        Prior { status, highest_log }
    }

    async fn end(mut self) {
        let Some(delete) = self.released else { return };
        self.tasks.shutdown().await;
        self.site.context.routes.close_all(&self.site.mailbox);
        release::release(&self.site, delete).await;
    }
}

fn highest_logs(pod: &PodLayout, desired: &Desired) -> io::Result<BTreeMap<String, u32>> {
    let logs = &pod.node().logs_root;
    let PodRef { namespace, name, uid } = pod.pod();
    let mut highest = BTreeMap::new();
    for container in &desired.containers {
        if let Some(attempt) = paths::highest_attempt(logs, namespace, name, uid, &container.name)? {
            highest.insert(container.name.clone(), attempt);
        }
    }
    Ok(highest)
}
