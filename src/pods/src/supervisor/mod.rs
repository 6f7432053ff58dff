//! All pods of the node: a worker for each, started when the ledger says so, and the way of events to them.
//!
//! **Start.** Until the first complete list nothing is started, stopped or removed: pods are only collected. Then what
//! the provider runs is given to the pods that it belongs to; what belongs to none is ended with its grace. Pods that
//! were accepted before are counted first, and all others are decided about in the order of their creation.
//!
//! **End.** The supervisor ends with the agent and leaves every pod as it is. Asked to shut the node down, it ends the
//! pods and goes on, so that their statuses are told and new ones are refused.
//!
//! **Owns** the ledger, the set of workers and the provider's event stream. It never waits for a worker: wishes replace
//! each other, run events are handed over without waiting, and a listing of the provider repairs what did not fit.

mod handle;
mod orphans;
mod provider;
mod shutdown;
mod slots;
mod start;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use wasmnode_core::PodRef;
use wasmnode_core::desired::Desired;
use wasmnode_core::ledger::Ledger;
use wasmnode_provider_api::Error as ProviderError;

pub use handle::Handle;
use orphans::Orphans;
use shutdown::Leaving;
pub use shutdown::{Departure, Progress, Shutdown};
use slots::Slot;

use crate::board::Board;
use crate::context::{Config, Context, NodeState};
use crate::groups::Groups;
use crate::metrics::Metrics;
use crate::ports::Ports;
use crate::routes::Routes;
use crate::survivors::Survivors;
use crate::worker::{Begin, Note};

/// How often the provider's listing is compared with what the workers know.
const RECONCILE: Duration = Duration::from_secs(60);

/// Notes that wait for the supervisor, which never waits for a worker in turn: a worker that finds no room waits for
/// one turn of the loop.
const NOTES: usize = 256;

/// What the API server says about the pods of this node, level-triggered.
#[derive(Debug, Clone)]
pub enum SupervisorEvent {
    /// A pod as it is now.
    Pod(Arc<v1::Pod>),
    /// The API server has it no more.
    Gone(PodRef),
    /// Everything that exists was sent; again after each new list.
    Synced,
}

/// Why the supervisor ended. Each of them is the end of the agent.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The feed of pods ended.
    #[error("the feed of pods ended")]
    FeedEnded,
    /// The provider's event stream ended: exits would not be noticed.
    #[error("the event stream of the pod runtime ended")]
    ProviderEnded,
    /// The provider refused to say what it runs.
    #[error("the pod runtime did not answer: {0}")]
    Provider(#[from] ProviderError),
    /// The directory of pods cannot be used.
    #[error("the directory of pods cannot be used: {0}")]
    Disk(#[from] std::io::Error),
}

/// All pods of the node.
pub struct Supervisor {
    context: Arc<Context>,
    ledger: Ledger,
    /// Pods that arrived before the first complete list.
    collected: Option<BTreeMap<String, Arrival>>,
    /// Pods with a worker, by UID.
    slots: HashMap<String, Slot>,
    /// Pods that wait for another one of their name, by UID.
    waiting: BTreeMap<String, Arrival>,
    /// Pods that were released and whose deletion has not come back yet. Each is followed by `Gone`.
    released: HashSet<String>,
    workers: JoinSet<()>,
    orphans: Orphans,
    /// UIDs by task.
    tasks: HashMap<Id, String>,
    notes: (mpsc::Sender<Note>, mpsc::Receiver<Note>),
    /// The comparison with the provider's listing that is under way: a provider that hangs gets one question.
    reconciling: Option<JoinHandle<()>>,
    leaving: Leaving,
}

/// A pod that has no worker yet.
#[derive(Clone)]
struct Arrival {
    pod: Arc<v1::Pod>,
    desired: Arc<Desired>,
    /// What of it runs already.
    survivors: Survivors,
}

// === impl Supervisor ===

impl Supervisor {
    /// A supervisor and the view of it for others.
    pub fn new(config: Config, ports: Ports, node: watch::Receiver<NodeState>) -> (Self, Handle) {
        let groups = Arc::new(Groups::new(config.layout.clone(), config.isolation.clone()));
        let context = Arc::new(Context {
            groups,
            config,
            ports,
            node,
            metrics: Arc::new(Metrics::default()),
            routes: Routes::default(),
            board: Arc::new(Board::default()),
        });
        let (leaving, gate) = Leaving::new();
        let handle = Handle::new(&context, gate);
        let supervisor = Self {
            context,
            ledger: Ledger::new(),
            collected: Some(BTreeMap::new()),
            slots: HashMap::new(),
            waiting: BTreeMap::new(),
            released: HashSet::new(),
            workers: JoinSet::new(),
            orphans: Orphans::default(),
            tasks: HashMap::new(),
            notes: mpsc::channel(NOTES),
            reconciling: None,
            leaving,
        };
        (supervisor, handle)
    }

    /// Serves pods until `cancel`. The provider was said hello to and configured. Stopping leaves every pod as it is.
    ///
    /// # Errors
    /// When something ended without which pods cannot be served.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<SupervisorEvent>,
        cancel: CancellationToken,
    ) -> Result<(), SupervisorError> {
        let mut runs = self.context.ports.provider.events().await?;
        let mut reconcile = interval(RECONCILE);
        reconcile.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // What a branch does is never cut short by another.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                event = events.recv() => self.handle(event.ok_or(SupervisorError::FeedEnded)?).await?,
                event = runs.recv() => self.route(event.ok_or(SupervisorError::ProviderEnded)?),
                Some(note) = self.notes.1.recv() => self.noted(&note),
                Some(ended) = self.workers.join_next_with_id() => self.worker_ended(&ended),
                Some(ended) = self.orphans.next() => self.orphan_ended(ended),
                _ = reconcile.tick() => self.reconcile(),
                () = self.leaving.due() => {}
            }
            self.leave().await;
        }
    }

    async fn handle(&mut self, event: SupervisorEvent) -> Result<(), SupervisorError> {
        match event {
            SupervisorEvent::Pod(pod) => self.arrived(pod),
            SupervisorEvent::Gone(pod) => self.gone(&pod),
            SupervisorEvent::Synced => self.synced().await?,
        }
        Ok(())
    }

    fn noted(&mut self, note: &Note) {
        let Note::Over(pod) = note;
        let Some(slot) = self.slots.get_mut(&pod.uid) else { return };
        slot.is_over = true;
        // One that is being deleted keeps its name until nothing of it is left.
        if !slot.is_ending() {
            self.ledger.release(pod);
            self.admit_waiting();
        }
    }

    fn worker_ended(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let (id, panicked) = match ended {
            Ok((id, ())) => (*id, false),
            Err(e) => (e.id(), e.is_panic()),
        };
        let Some(slot) = self.tasks.remove(&id).and_then(|uid| self.slots.remove(&uid)) else { return };
        self.context.routes.close_all(&slot.mailbox);
        if panicked {
            self.context.metrics.worker_panics.add_one();
            self.fail(slot);
        } else {
            self.forget(&slot);
        }
        self.context.metrics.workers.set(self.slots.len());
    }

    fn forget(&mut self, slot: &Slot) {
        let pod = slot.pod();
        info!(%pod, "Pod is released");
        self.context.board.remove(&pod.uid);
        if !slot.is_gone() {
            self.released.insert(pod.uid.clone());
        }
        self.ledger.release(&pod);
        self.admit_waiting();
    }

    /// A worker panicked: its pod fails, no other does. Served by a worker that only waits for its deletion; should
    /// that one panic too, the pod is left to itself.
    fn fail(&mut self, slot: Slot) {
        let pod = slot.pod();
        error!(%pod, "Worker panicked");
        if slot.is_failed {
            self.ledger.release(&pod);
            return;
        }
        let refusal = wasmnode_core::ledger::Refusal {
            reason: crate::worker::AGENT_ERROR.to_owned(),
            message: "the node agent failed while it worked on this pod; its log says why. \
                      Delete the pod to have it started anew"
                .to_owned(),
        };
        self.spawn(slot.into_arrival(), Begin::Failed(refusal));
    }
}
