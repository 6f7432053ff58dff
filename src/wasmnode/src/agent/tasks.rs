//! Every long-lived task of the agent, each spawned here, with its span.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, error_span};
use wasmnode_cluster::{FEED_QUEUE, Feed, Heartbeat, Registration, StatusIntervals, StatusReporter};
use wasmnode_core::node::NodeFacts;
use wasmnode_core::{Recorder, Severity};

use super::cluster::Cluster;
use super::stop::{Ended, Stages};
use super::{App, housekeeping, notify};
use crate::admin::{Answer, Drain, Request};
use crate::config::Config;
use crate::exit::Failure;
use crate::lock::Lock;
use crate::{node, wire};

/// Changes between the feed and the supervisor. The feed's own queue is the bound that is argued for; this one only
/// decouples the two tasks.
const FORWARD_QUEUE: usize = 16;

/// Tasks by what ends them.
struct Tasks {
    set: JoinSet<Ended>,
    stages: Stages,
}

// === impl App ===

impl App {
    /// Serves until a signal, or until a task that must not end has ended.
    pub(crate) async fn serve(self) -> Result<(), Failure> {
        let mut tasks = Tasks { set: JoinSet::new(), stages: Stages::new() };
        let (statuses, recorder) = (self.cluster.statuses.clone(), self.cluster.recorder.clone());
        let drain = self.drain.clone();
        // Holds the lock and the supervisor's ports until all tasks have ended.
        let _lock = self.spawn_all(&mut tasks);
        recorder.node(Severity::Normal, "Starting", "Starting kubelet.".to_owned());
        notify::ready();
        let Tasks { set, stages } = tasks;
        stages.run(set, &statuses, &drain).await
    }

    fn spawn_all(self, tasks: &mut Tasks) -> Lock {
        let Self { config, cluster, images, facts_source, facts, state, supervisor, server, admin, drain, lock } = self;
        let serving = tasks.stages.serving.clone();
        spawn_node(tasks, &config, &cluster, &facts);
        let follow = node::follow(facts.subscribe(), cluster.node.clone(), state, serving.clone());
        tasks.spawn("node_state", follow);
        let every = config.file.node_status_update_frequency.0;
        tasks.spawn("facts", facts_source.run(facts, every, serving.clone()));

        let (fed, feeding) = mpsc::channel(FEED_QUEUE);
        let feed = Feed::new(cluster.client.clone(), config.node_name.clone(), fed, cluster.metrics.clone());
        tasks.spawn("feed", feed.run(serving.clone()));
        let (forwarded, forwarding) = mpsc::channel(FORWARD_QUEUE);
        tasks.spawn("forward", wire::forward(feeding, cluster.statuses.clone(), forwarded));
        tasks.spawn_fallible("supervisor", supervisor.run(forwarding, serving.clone()));
        tasks.spawn("images", housekeeping::collect_images(images, serving.clone()));
        tasks.spawn("server", server.serve(serving.clone()));
        tasks.spawn("admin", admin.serve(move |request, answer| obey(drain.clone(), request, answer), serving.clone()));
        tasks.spawn("watchdog", notify::watchdog(serving));
        spawn_posting(tasks, cluster);
        lock
    }
}

/// What a command line asks for.
async fn obey(drain: Drain, request: Request, answer: Answer) -> anyhow::Result<()> {
    match request {
        Request::Drain(within) => drain.run(within.map(|within| within.0), Some(&answer)).await,
    }
}

/// The Node, its status and its lease.
fn spawn_node(tasks: &mut Tasks, config: &Config, cluster: &Cluster, facts: &watch::Sender<NodeFacts>) {
    let Cluster { client, metrics, node, recorder, .. } = cluster;
    let serving = tasks.stages.serving.clone();
    let registration = Registration::new(client.clone(), facts.subscribe(), node.clone(), metrics.clone());
    tasks.spawn("registration", registration.run(serving.clone()));
    let file = &config.file;
    let intervals =
        StatusIntervals { update: file.node_status_update_frequency.0, report: file.node_status_report_frequency.0 };
    let recorder = Arc::new(recorder.clone());
    let reporter =
        StatusReporter::new(client.clone(), facts.subscribe(), node.clone(), recorder, intervals, metrics.clone());
    tasks.spawn("node_status", reporter.run(serving.clone()));
    let heartbeat = Heartbeat::new(client.clone(), config.node_name.clone(), node.clone(), metrics.clone());
    tasks.spawn("lease", heartbeat.run(serving));
}

/// What is told to the API server, until the very end, and the Services.
fn spawn_posting(tasks: &mut Tasks, cluster: Cluster) {
    let Cluster { events, statuses, objects, .. } = cluster;
    let Stages { serving, posting } = tasks.stages.clone();
    tasks.spawn("events", events.run(posting.clone()));
    tasks.spawn("statuses", async move { statuses.run(posting).await });
    tasks.spawn("services", async move { objects.run_services(serving).await });
}

// === impl Tasks ===

impl Tasks {
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(
            async move {
                task.await;
                Ended { name, error: None }
            }
            .instrument(error_span!("task", name)),
        );
    }

    fn spawn_fallible<E: std::error::Error + Send + Sync + 'static>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.set.spawn(
            async move { Ended { name, error: task.await.err().map(anyhow::Error::new) } }
                .instrument(error_span!("task", name)),
        );
    }
}
