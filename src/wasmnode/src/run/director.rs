//! Stands where the API server stands for an agent: says which pods are wanted, hears what becomes of them, and
//! decides when everything is over.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use wasmnode_core::PodRef;
use wasmnode_pods::SupervisorEvent;

use super::board::{Board, News};
use super::console::Console;
use super::identity;
use super::job::{JobRun, Outcome};
use super::manifest::Workload;
use super::output::Output;
use super::signals::Signals;
use super::verdict::{Ending, Verdict};
use super::words;
use crate::exit::one_line;

/// Grace where a pod's spec names none.
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// Pods that are there, and what is wanted of them.
pub(super) struct Director {
    feed: mpsc::Sender<SupervisorEvent>,
    board: Arc<Board>,
    console: Arc<Console>,
    output: Output,
    /// By UID.
    pods: BTreeMap<String, Tracked>,
    /// UIDs in the order of their start.
    order: Vec<String>,
    jobs: Vec<JobRun>,
    stop: Option<Stop>,
    /// Only what cannot be seen in the program's output is said.
    is_terse: bool,
}

/// A pod.
struct Tracked {
    pod: Pod,
    status: Option<PodStatus>,
    released: bool,
    failure: Option<String>,
    /// Index of its Job.
    job: Option<usize>,
}

/// How everything is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Gracefully,
    Now,
}

/// What happened.
enum Input {
    News(News),
    Signal,
    Unread,
    Retry,
}

// === impl Director ===

impl Director {
    pub(super) fn new(
        feed: mpsc::Sender<SupervisorEvent>,
        board: Arc<Board>,
        console: Arc<Console>,
        output: Output,
        is_terse: bool,
    ) -> Self {
        let (pods, order, jobs) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { feed, board, console, output, pods, order, jobs, stop: None, is_terse }
    }

    /// Starts everything and serves it to its end.
    pub(super) async fn run(mut self, workloads: Vec<Workload>, mut signals: Signals) -> anyhow::Result<Verdict> {
        for workload in workloads {
            match workload {
                Workload::Pods(pods) => {
                    for pod in pods {
                        self.start(pod, None).await?;
                    }
                }
                Workload::Job(plan) => self.jobs.push(JobRun::new(*plan)),
            }
        }
        self.start_jobs().await?;
        self.send(SupervisorEvent::Synced).await?;
        while !self.is_over() {
            match self.next(&mut signals).await {
                Input::News(news) => self.hear(news).await?,
                Input::Signal if self.stop == Some(Stop::Now) => break,
                Input::Signal => self.interrupted().await?,
                Input::Unread if self.stop.is_none() => self.stop_all(Stop::Gracefully).await?,
                Input::Unread => {}
                Input::Retry => self.start_jobs().await?,
            }
        }
        let verdict = self.verdict();
        self.output.finish().await;
        Ok(verdict)
    }

    async fn next(&self, signals: &mut Signals) -> Input {
        let retry = self.jobs.iter().filter_map(JobRun::retry_at).min().filter(|_| self.stop.is_none());
        tokio::select! {
            news = self.board.news() => Input::News(news),
            () = signals.next() => Input::Signal,
            () = self.output.unread.notified() => Input::Unread,
            () = at(retry) => Input::Retry,
        }
    }

    async fn send(&self, event: SupervisorEvent) -> anyhow::Result<()> {
        self.feed.send(event).await.ok().context("the pods are not served any more")
    }

    /// A pod as the API server would have it after it was created.
    async fn start(&mut self, mut pod: Pod, job: Option<usize>) -> anyhow::Result<()> {
        let uid = identity::uid()?;
        pod.metadata.uid = Some(uid.clone());
        pod.metadata.creation_timestamp = Some(Time(Timestamp::now()));
        pod.metadata.generation = Some(1);
        pod.spec.get_or_insert_default().node_name = Some(identity::NODE.to_owned());
        if let Some(job) = job {
            self.jobs[job].began(&uid);
        }
        let tracked = Tracked { pod: pod.clone(), status: None, released: false, failure: None, job };
        self.pods.insert(uid.clone(), tracked);
        self.order.push(uid);
        self.send(SupervisorEvent::Pod(Arc::new(pod))).await
    }

    async fn start_jobs(&mut self) -> anyhow::Result<()> {
        if self.stop.is_some() {
            return Ok(());
        }
        for index in 0..self.jobs.len() {
            for pod in self.jobs[index].wanted(Instant::now()) {
                self.start(pod, Some(index)).await?;
            }
        }
        Ok(())
    }

    async fn hear(&mut self, news: News) -> anyhow::Result<()> {
        let News { statuses, released, failures } = news;
        for (uid, status) in statuses {
            self.heard(&uid, status);
        }
        for (uid, failure) in failures {
            self.failed(&uid, failure);
        }
        for uid in released {
            self.released(&uid).await?;
        }
        for job in 0..self.jobs.len() {
            if self.jobs[job].outcome() == Some(Outcome::Failed) {
                self.delete(|tracked| tracked.job == Some(job), None).await?;
            }
        }
        if self.pods.values().any(|tracked| tracked.failure.is_some()) && self.stop.is_none() {
            self.stop_all(Stop::Gracefully).await?;
        }
        self.start_jobs().await
    }

    fn heard(&mut self, uid: &str, status: PodStatus) {
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        let said = words::changes(tracked.status.as_ref(), &status);
        let (was_over, is_over) = (tracked.is_over(), words::is_over(&status));
        let succeeded = status.phase.as_deref() == Some("Succeeded");
        let (restarts, job) = (words::restarts(&status), tracked.job);
        tracked.status = Some(status);
        let pod = tracked.pod.clone();
        for (container, attempt) in said.begun {
            self.output.follow(&pod_ref(&pod), &container, attempt, &identity::label(&pod, &container));
        }
        for (container, line) in said.lines {
            // One program alone speaks for itself, unless it could not.
            if !self.is_terse || line.contains(words::OUT_OF_MEMORY) {
                self.console.say(&format!("{} {line}", identity::label(&pod, &container)));
            }
        }
        if let Some(job) = job.map(|job| &mut self.jobs[job]) {
            job.restarted(uid, restarts);
            if is_over && !was_over {
                job.ended(uid, succeeded, Instant::now());
            }
        }
        if let Some(failure) = said.failure {
            self.failed(uid, failure);
        }
    }

    /// Told once; while everything is being ended, it is nobody's fault.
    fn failed(&mut self, uid: &str, failure: String) {
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        if tracked.failure.is_none() && self.stop.is_none() {
            self.console.say(&format!("{} cannot start: {}", name(&tracked.pod), one_line(&failure)));
            tracked.failure = Some(failure);
        }
    }

    async fn released(&mut self, uid: &str) -> anyhow::Result<()> {
        let Some(tracked) = self.pods.get_mut(uid) else { return Ok(()) };
        tracked.released = true;
        if let Some(job) = tracked.job {
            self.jobs[job].ended(uid, false, Instant::now());
        }
        let pod = pod_ref(&tracked.pod);
        self.send(SupervisorEvent::Gone(pod)).await
    }

    async fn interrupted(&mut self) -> anyhow::Result<()> {
        match self.stop {
            None => {
                self.console.say("stopping; once more ends everything at once");
                self.stop_all(Stop::Gracefully).await
            }
            Some(_) => self.stop_all(Stop::Now).await,
        }
    }

    async fn stop_all(&mut self, stop: Stop) -> anyhow::Result<()> {
        self.stop = Some(stop);
        self.delete(|_| true, (stop == Stop::Now).then_some(0)).await
    }

    /// Deletes pods as the API server does: their objects stay, with a time on them, until the node is done.
    async fn delete(&mut self, which: impl Fn(&Tracked) -> bool, grace: Option<i64>) -> anyhow::Result<()> {
        let mut deleted = Vec::new();
        for tracked in self.pods.values_mut().filter(|tracked| !tracked.is_over() && which(tracked)) {
            let own = tracked.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
            let grace = grace.unwrap_or_else(|| own.unwrap_or(DEFAULT_GRACE_SECONDS));
            let meta = &mut tracked.pod.metadata;
            if meta.deletion_grace_period_seconds.is_some_and(|before| before <= grace) {
                continue;
            }
            meta.deletion_timestamp = Some(Time(Timestamp::now().saturating_add(SignedDuration::from_secs(grace))?));
            meta.deletion_grace_period_seconds = Some(grace);
            deleted.push(Arc::new(tracked.pod.clone()));
        }
        for pod in deleted {
            self.send(SupervisorEvent::Pod(pod)).await?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let pods = self.pods.values().all(Tracked::is_over);
        pods && (self.stop.is_some() || self.jobs.iter().all(|job| job.outcome().is_some()))
    }

    fn verdict(&self) -> Verdict {
        let endings = self.order.iter().filter_map(|uid| self.pods.get(uid)).map(|tracked| Ending {
            codes: tracked.status.as_ref().map(words::exit_codes).unwrap_or_default(),
            failed_to_start: tracked.failure.is_some(),
            // Other pods did what this one did not.
            is_excused: tracked.job.is_some_and(|job| self.jobs[job].outcome() == Some(Outcome::Complete)),
        });
        let failed = self.jobs.iter().filter(|job| job.outcome() == Some(Outcome::Failed));
        failed.for_each(|job| self.console.say(&format!("job {} failed: too many of its pods did", job.name())));
        Verdict::of(endings, self.stop.is_some())
    }
}

impl Tracked {
    fn is_over(&self) -> bool {
        self.released || self.status.as_ref().is_some_and(words::is_over)
    }
}

async fn at(time: Option<Instant>) {
    match time {
        // A little later, so that the time has come for whoever compares.
        Some(time) => sleep_until(time + Duration::from_millis(1)).await,
        None => pending().await,
    }
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

fn pod_ref(pod: &Pod) -> PodRef {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let meta = &pod.metadata;
    PodRef { namespace: text(&meta.namespace), name: text(&meta.name), uid: text(&meta.uid) }
}
