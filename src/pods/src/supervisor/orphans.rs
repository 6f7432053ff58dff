//! What earlier agents left of pods that were deleted while there was no agent: what runs is ended with its grace,
//! beside the loop, and only then anything of it is removed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, debug, error, info, info_span, warn};
use wasmnode_core::PodRef;
use wasmnode_provider_api::{ListedRun, RunId, SandboxId};

use super::Supervisor;
use crate::actions::Pauses;
use crate::context::Context;
use crate::own::{self, Left};
use crate::routes::{Happened, RunEvent};
use crate::site;
use crate::survivors::Remains;

/// Grace of pods of which nothing is recorded: Kubernetes' default.
const GRACE: Duration = Duration::from_secs(30);

/// Sandboxes without pods that are being ended.
#[derive(Default)]
pub(super) struct Orphans {
    /// Each answers with what is left on disk.
    tasks: JoinSet<Option<Left>>,
    held: HashMap<Id, Held>,
}

/// What is given back when an orphan has ended, however it did.
struct Held {
    mailbox: mpsc::Sender<Box<RunEvent>>,
    /// The pod whose name it keeps.
    pod: Option<PodRef>,
}

/// A sandbox without a pod.
struct Orphan {
    context: Arc<Context>,
    sandbox: SandboxId,
    /// Runs that have not ended.
    runs: HashSet<RunId>,
    left: Option<Left>,
    mailbox: mpsc::Sender<Box<RunEvent>>,
    events: mpsc::Receiver<Box<RunEvent>>,
}

// === impl Orphans ===

impl Orphans {
    /// Number of those that have not ended.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// The next one that ends; none while there are none.
    pub(super) async fn next(&mut self) -> Option<Result<(Id, Option<Left>), JoinError>> {
        self.tasks.join_next_with_id().await
    }
}

// === impl Supervisor ===

impl Supervisor {
    /// Ends what no pod has claimed, and removes what is left on disk of pods that are gone.
    pub(super) fn end_orphans(&mut self, mut remains: Remains, left: Vec<Left>) {
        let mut idle = Vec::new();
        for left in left {
            match site::sandbox(left.pod()).map(|sandbox| (remains.take(&sandbox), sandbox)) {
                Ok(((true, runs), sandbox)) => self.end_orphan(sandbox, &runs, Some(left)),
                Ok(((false, _), _)) | Err(_) => idle.push(left),
            }
        }
        let (sandboxes, exits) = remains.rest();
        for (sandbox, runs) in sandboxes {
            self.end_orphan(sandbox, &runs, None);
        }
        let context = Arc::clone(&self.context);
        tokio::spawn(async move {
            for run in exits {
                acknowledge(&context, &run).await;
            }
        });
        let groups = Arc::clone(&self.context.groups);
        tokio::task::spawn_blocking(move || {
            idle.iter().for_each(|left| own::remove_left(&groups, left));
            groups.sweep();
        });
    }

    /// The runs are known from now on: nobody else ends them.
    fn end_orphan(&mut self, sandbox: SandboxId, runs: &[ListedRun], left: Option<Left>) {
        let (mailbox, events) = mpsc::channel(runs.len() * 2 + 1);
        for run in runs {
            self.context.routes.open(run.run.clone(), mailbox.clone(), &run.container, 0);
        }
        let pod = left.as_ref().filter(|_| !runs.is_empty()).map(|left| left.pod().clone());
        pod.iter().for_each(|pod| self.ledger.hold(pod));
        let name = left.as_ref().map(|left| left.pod().to_string());
        let span = info_span!("orphan", %sandbox, pod = name);
        let runs = runs.iter().map(|run| run.run.clone()).collect();
        let held = Held { mailbox: mailbox.clone(), pod };
        let orphan = Orphan { context: Arc::clone(&self.context), sandbox, runs, left, mailbox, events };
        let task = self.orphans.tasks.spawn(orphan.end().instrument(span));
        self.orphans.held.insert(task.id(), held);
    }

    /// What it held is free now, even if its task panicked: the next agent finds what is left on disk then.
    pub(super) fn orphan_ended(&mut self, ended: Result<(Id, Option<Left>), JoinError>) {
        let (id, left) = ended.unwrap_or_else(|error| {
            error!(%error, "Could not end what an earlier agent left");
            (error.id(), None)
        });
        if let Some(Held { mailbox, pod }) = self.orphans.held.remove(&id) {
            self.context.routes.close_all(&mailbox);
            pod.iter().for_each(|pod| self.ledger.release(pod));
            self.admit_waiting();
        }
        if let Some(left) = left {
            let groups = Arc::clone(&self.context.groups);
            tokio::task::spawn_blocking(move || {
                own::remove_left(&groups, &left);
                groups.sweep();
            });
        }
    }
}

// === impl Orphan ===

impl Orphan {
    async fn end(mut self) -> Option<Left> {
        let grace = self.left.as_ref().and_then(Left::grace).unwrap_or(GRACE);
        info!(runs = self.runs.len(), ?grace, "A pod was deleted while there was no agent");
        self.stop(grace).await;
        self.remove_sandbox().await;
        self.context.routes.close_all(&self.mailbox);
        while let Ok(event) = self.events.try_recv() {
            self.heard(*event).await;
        }
        self.left
    }

    /// Asks all runs to end, and waits for that as long as their grace lasts.
    async fn stop(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        for run in self.runs.clone() {
            if let Err(error) = self.context.ports.provider.stop(&run).await {
                warn!(%run, %error, "Could not stop it");
            }
        }
        while !self.runs.is_empty() {
            tokio::select! {
                Some(event) = self.events.recv() => self.heard(*event).await,
                () = sleep_until(deadline) => return,
            }
        }
    }

    /// With the sandbox go the runs that did not end in time.
    async fn remove_sandbox(&self) {
        let mut pauses = Pauses::new();
        while let Err(error) = self.context.ports.provider.remove_sandbox(&self.sandbox).await {
            warn!(%error, "Could not remove the sandbox, trying again");
            pauses.pause().await;
        }
    }

    async fn heard(&mut self, event: RunEvent) {
        if let Happened::Exited(exit) = event.what {
            self.runs.remove(&exit.run);
            acknowledge(&self.context, &exit.run).await;
        }
    }
}

/// Nobody will ask for that exit.
pub(super) async fn acknowledge(context: &Context, run: &RunId) {
    if let Err(error) = context.ports.provider.acknowledge(run).await {
        debug!(%run, %error, "Could not acknowledge an exit that nobody waits for");
    }
}
