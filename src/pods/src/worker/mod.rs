//! One pod, served serially: what happens to it is put into words for [`wasmnode_core::pod::Pod`], and what that
//! decides is done. No policy lives here.
//!
//! ```text
//!  wishes ─┐                                                            ┌─▶ Statuses (when the status changed)
//!  runs  ──┼─▶ Event ─▶ Pod::step ─▶ (Pod, Vec<Action>) ─▶ perform ─────┼─▶ Recorder
//!  answers ┤      ▲                                          │          └─▶ tasks: volumes, images, provider
//!  timer ──┘      └──────────────── Answer ◀─────────────────┘ spawned, so that nothing slow holds the worker
//! ```
//!
//! A worker ends when its pod was released, or with the agent: dropping it touches nothing of the pod.

mod begin;
mod perform;
mod refresh;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{Instrument, debug, warn};
use wasmnode_core::desired::Desired;
use wasmnode_core::pod::{Event, Pod, PodEnd};
use wasmnode_core::{ObjectRef, PodRef};
use wasmnode_provider_api::RunId;

pub(crate) use begin::{AGENT_ERROR, Begin, Entrance};

use crate::actions;
use crate::actions::pull::Chosen;
use crate::blocking;
use crate::board;
use crate::exits;
use crate::routes::{Happened, RunEvent};
use crate::site::{Answer, Site, until};

/// Longest sleep towards a deadline: the wall clock may be set while we sleep.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// The newest wish about a pod; older ones do not matter.
#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) pod: Arc<v1::Pod>,
    pub(crate) desired: Arc<Desired>,
    /// The API server has it no more.
    pub(crate) gone: bool,
}

/// What the supervisor is told by those who work for it.
#[derive(Debug)]
pub(crate) enum Note {
    /// None of the pod's containers can run any more.
    Over(PodRef),
}

/// One pod's worker.
pub(crate) struct Worker {
    site: Arc<Site>,
    wishes: watch::Receiver<Wish>,
    /// That the node ends the pod; a new value only leaves less time.
    ends: watch::Receiver<Option<PodEnd>>,
    runs: mpsc::Receiver<Box<RunEvent>>,
    answers: mpsc::Receiver<Box<Answer>>,
    notes: mpsc::Sender<Note>,
    tasks: JoinSet<()>,
    /// Images that were pulled and are held on disk for the next start.
    images: HashMap<String, Chosen>,
    /// Number of the latest start by container: one that failed is tried again with the same.
    tried: HashMap<String, u32>,
    /// Runs whose exit is being concluded: a listing may bring it again.
    concluding: HashSet<(String, u32)>,
    /// Runs whose exit was acted upon and could not be recorded: a listing brings it again.
    unrecorded: HashSet<RunId>,
    registered: Vec<ObjectRef>,
    published: Option<Arc<v1::PodStatus>>,
    told_over: bool,
    /// When volumes are brought up to date next; none while they are not set up.
    refresh_at: Option<Instant>,
    /// Volumes are being removed, or gone.
    unmounting: bool,
    /// Text of the last refresh's failure: it is told once.
    refresh_failure: Option<String>,
    /// Set by the last action of all.
    released: Option<bool>,
}

/// A run whose exit was acted upon.
struct Concluded {
    run: RunId,
    container: String,
}

/// What a worker waits for.
enum Input {
    Wish,
    End,
    Run(Box<RunEvent>),
    Answer(Box<Answer>),
    TaskEnded,
    Tick,
    Refresh,
}

// === impl Worker ===

impl Worker {
    /// Serves the pod until it is released or the supervisor is gone.
    async fn serve(&mut self, mut pod: Pod) {
        while self.released.is_none() {
            let Some(input) = self.next(pod.next_deadline()).await else { return };
            let began = Instant::now();
            let (event, done) = self.translate(input);
            if let Some(event) = event {
                pod = self.step(pod, event).await;
            }
            if let Some(concluded) = done {
                self.acknowledge(concluded).await;
            }
            self.site.context.metrics.step_duration.observe(began.elapsed());
        }
    }

    async fn next(&mut self, deadline: Option<Timestamp>) -> Option<Input> {
        let now = self.site.now();
        let wait = deadline.map(|deadline| until(now, deadline).min(MAX_SLEEP));
        let refresh_at = self.refresh_at;
        tokio::select! {
            changed = self.wishes.changed() => changed.ok().map(|()| Input::Wish),
            Ok(()) = self.ends.changed() => Some(Input::End),
            Some(event) = self.runs.recv() => Some(Input::Run(event)),
            Some(answer) = self.answers.recv() => Some(Input::Answer(answer)),
            Some(ended) = self.tasks.join_next() => {
                reraise(ended);
                Some(Input::TaskEnded)
            }
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => Some(Input::Tick),
            () = sleep_until(refresh_at.unwrap_or_else(Instant::now)), if refresh_at.is_some() => Some(Input::Refresh),
        }
    }

    /// The event that an input stands for, and the run whose exit may be forgotten afterwards.
    fn translate(&mut self, input: Input) -> (Option<Event>, Option<Concluded>) {
        match input {
            Input::Wish => (self.wish(), None),
            Input::End => (self.ends.borrow_and_update().clone().map(Event::End), None),
            Input::Run(event) => self.run_event(*event),
            Input::Answer(answer) => self.answer(*answer),
            Input::TaskEnded => (None, None),
            Input::Tick => (Some(Event::Tick), None),
            Input::Refresh => {
                self.refresh();
                (None, None)
            }
        }
    }

    fn answer(&mut self, answer: Answer) -> (Option<Event>, Option<Concluded>) {
        match answer {
            Answer::Event(event) => (Some(event), None),
            Answer::Pulled { container, image, result } => (Some(self.pulled(container, image, result)), None),
            Answer::Held { container, image } => {
                self.hold(container, image);
                (None, None)
            }
            Answer::Exited { run, container, event } => (Some(event), Some(Concluded { run, container })),
            Answer::Refreshed(result) => {
                self.refreshed(result);
                (None, None)
            }
        }
    }

    fn wish(&mut self) -> Option<Event> {
        let Wish { desired, gone, .. } = self.wishes.borrow_and_update().clone();
        if gone {
            return Some(Event::Gone);
        }
        self.register(desired.object_refs());
        Some(Event::Desired(desired))
    }

    /// Objects are watched as long as the pod names them and may use them.
    fn register(&mut self, references: Vec<ObjectRef>) {
        let references = if self.told_over { Vec::new() } else { references };
        if references != self.registered {
            self.site.context.ports.objects.register(&self.site.pod, &references);
            self.registered = references;
        }
    }

    fn run_event(&mut self, event: RunEvent) -> (Option<Event>, Option<Concluded>) {
        let RunEvent { container, attempt, what } = event;
        match what {
            Happened::Started(at) => {
                self.site.context.metrics.containers_started.add_one();
                (Some(Event::Started { container, attempt, result: Ok(at) }), None)
            }
            Happened::Exited(exit) if self.unrecorded.contains(&exit.run) => {
                (None, Some(Concluded { run: exit.run, container }))
            }
            Happened::Exited(exit) => {
                if self.concluding.insert((container.clone(), attempt)) {
                    self.site.context.metrics.containers_exited.add_one();
                    debug!(container, attempt, code = exit.code, reason = ?exit.reason, "Container exited");
                    let (site, desired) = (Arc::clone(&self.site), self.desired());
                    self.spawn(actions::exit::conclude(site, desired, container, attempt, exit));
                }
                (None, None)
            }
        }
    }

    async fn step(&mut self, pod: Pod, event: Event) -> Pod {
        if let Event::Exited { container, attempt, .. } = &event {
            self.concluding.remove(&(container.clone(), *attempt));
        }
        let mounted = matches!(event, Event::Mounted(Ok(())));
        let (pod, actions) = pod.step(self.site.now(), event);
        if mounted {
            self.schedule_refresh();
        }
        self.carry_out(&pod, actions).await;
        pod
    }

    /// The status first, so that it is on its way when an action ends the pod.
    async fn carry_out(&mut self, pod: &Pod, actions: Vec<wasmnode_core::pod::Action>) {
        self.publish(pod);
        if pod.is_over() && !std::mem::replace(&mut self.told_over, true) {
            self.register(Vec::new());
            // Nothing will be started any more: the images need not stay on disk for this pod.
            self.images.clear();
            let _ = self.notes.send(Note::Over(self.site.pod.clone())).await;
        }
        for action in actions {
            self.perform(action);
        }
    }

    fn publish(&mut self, pod: &Pod) {
        let addresses = self.site.context.node().addresses;
        let theirs = self.wishes.borrow().pod.status.clone();
        let previous = match &self.published {
            Some(published) => Some(board::merge(published, theirs.as_ref())),
            None => theirs,
        };
        let status = pod.status(self.site.now(), &addresses, previous.as_ref());
        if self.published.as_deref() != Some(&status) {
            self.site.context.ports.statuses.set(&self.site.pod, status.clone());
            let status = Arc::new(status);
            self.site.context.board.set_status(&self.site.pod.uid, Arc::clone(&status));
            self.published = Some(status);
        }
    }

    /// The exit was acted upon: once it is on disk nobody needs it any more. The worker waits for the disk, so that of
    /// two exits of a container the later one stays there. Where that fails the provider keeps the exit, and its next
    /// listing brings it again.
    async fn acknowledge(&mut self, Concluded { run, container }: Concluded) {
        self.site.context.routes.end(&run);
        if let Err(error) = self.record_exit(&container).await {
            warn!(container, %error, "Could not record how a container ended, trying again");
            self.unrecorded.insert(run);
            return;
        }
        self.unrecorded.remove(&run);
        self.site.context.routes.close(&run);
        let site = Arc::clone(&self.site);
        self.spawn(async move {
            if let Err(error) = site.context.ports.provider.acknowledge(&run).await {
                // The supervisor's next listing shows it again, and then acknowledges it.
                warn!(%run, %error, "Could not acknowledge an exit");
            }
        });
    }

    /// A pod that has no place on this node, or none any more, needs no record.
    async fn record_exit(&self, container: &str) -> io::Result<()> {
        let (Some(status), Ok(layout)) = (self.published_status(container), self.site.layout()) else { return Ok(()) };
        blocking::io(move || exits::record(&layout, &status)).await
    }

    fn published_status(&self, container: &str) -> Option<v1::ContainerStatus> {
        let statuses = self.published.as_ref()?.container_statuses.as_ref()?;
        statuses.iter().find(|status| status.name == container).cloned()
    }

    fn desired(&self) -> Arc<Desired> {
        Arc::clone(&self.wishes.borrow().desired)
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task.in_current_span());
    }
}

/// A panic in a task is the worker's own: the supervisor fails the pod.
fn reraise(ended: Result<(), tokio::task::JoinError>) {
    if let Err(e) = ended
        && let Ok(panic) = e.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
