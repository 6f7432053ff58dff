//! Posts the node's status: when something changed, and every few minutes (contract section 1.3).

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use wasmnode_core::Recorder;
use wasmnode_core::node::{
    NodeFact, NodeFacts, NodeRecord, Pressure, ReportSchedule, schedulable, status, status_changed, status_patch,
    transitions,
};

use super::NodeView;
use crate::api::{ApiError, call};
use crate::metrics::ClusterMetrics;
use crate::retry::{Told, jittered, random};

/// Requests of one pass; the next pass comes soon enough.
const TRIES: u32 = 5;

/// How often the status is looked at and posted.
#[derive(Debug, Clone, Copy)]
pub struct StatusIntervals {
    /// `nodeStatusUpdateFrequency`.
    pub update: Duration,
    /// `nodeStatusReportFrequency`.
    pub report: Duration,
}

impl Default for StatusIntervals {
    fn default() -> Self {
        Self { update: Duration::from_secs(10), report: Duration::from_secs(300) }
    }
}

/// Posts the node's status.
pub struct StatusReporter {
    nodes: Api<Node>,
    facts: watch::Receiver<NodeFacts>,
    view: NodeView,
    recorder: Arc<dyn Recorder>,
    metrics: Arc<ClusterMetrics>,
    update: Duration,
    schedule: ReportSchedule,
    tried: Option<Urgent>,
    unschedulable: Option<bool>,
    /// UID of the Node whose state has been told.
    told: Option<String>,
    failure: Told,
}

/// What cannot wait for the next pass when it changes.
#[derive(PartialEq)]
struct Urgent {
    uid: Option<String>,
    problems: Vec<String>,
    pressure: Pressure,
    conditions: Vec<NodeFact>,
}

impl StatusReporter {
    /// Facts may change at any time: a change of readiness, pressure or conditions is posted at once, anything else
    /// with the next pass.
    pub fn new(
        client: Client,
        facts: watch::Receiver<NodeFacts>,
        view: NodeView,
        recorder: Arc<dyn Recorder>,
        intervals: StatusIntervals,
        metrics: Arc<ClusterMetrics>,
    ) -> Self {
        let report = SignedDuration::try_from(intervals.report).unwrap_or(SignedDuration::MAX);
        Self {
            nodes: Api::all(client),
            facts,
            view,
            recorder,
            metrics,
            update: intervals.update,
            schedule: ReportSchedule::new(report),
            tried: None,
            unschedulable: None,
            told: None,
            failure: Told::default(),
        }
    }

    /// Until `shutdown`. Begins once the node is registered.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let forever = async {
            loop {
                self.view.registered().await;
                self.pass().await;
                self.pause().await;
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    /// Until the next pass is due, or something changed that cannot wait for it.
    async fn pause(&mut self) {
        let mut node = self.view.subscribe();
        let mut facts = self.facts.clone();
        let timer = tokio::time::sleep(jittered(self.update, 0.04));
        tokio::pin!(timer);
        // Compared with what was tried, not with what was posted: a failed post is not repeated before its time.
        while self.tried.as_ref() == Some(&self.urgent()) {
            tokio::select! {
                () = &mut timer => return,
                Ok(()) = node.changed() => {}
                Ok(()) = facts.changed() => {}
            }
        }
    }

    fn urgent(&self) -> Urgent {
        let facts = self.facts.borrow();
        Urgent {
            uid: self.view.current().and_then(|node| node.metadata.uid.clone()),
            problems: facts.problems.clone(),
            pressure: facts.pressure,
            conditions: facts.conditions.clone(),
        }
    }

    async fn pass(&mut self) {
        for attempt in 0..TRIES {
            let Some(node) = self.stands(attempt).await else { return };
            self.tried = Some(self.urgent());
            let facts = self.facts.borrow().clone();
            self.tell_schedulable(&facts.name, &node);
            match self.post(&facts, &node).await {
                Ok(()) => return self.failure.reset(),
                // The watch of registration notices, too.
                Err(error) if error.is_not_found() => return,
                Err(error) => self.failed(&error),
            }
        }
    }

    /// The Node as it stands: as last seen, or after a failure as the API server has it.
    async fn stands(&mut self, attempt: u32) -> Option<Arc<Node>> {
        if attempt > 0 {
            let name = self.facts.borrow().name.clone();
            match call(self.nodes.get(&name)).await {
                Ok(node) => self.view.refresh(node),
                Err(error) => self.failed(&error),
            }
        }
        self.view.current()
    }

    async fn post(&mut self, facts: &NodeFacts, node: &Node) -> Result<(), ApiError> {
        let now = Timestamp::now();
        let old = node.status.clone().unwrap_or_default();
        let new = status(facts, Some(node), now);
        let changed = status_changed(&old, &new);
        let first = self.told != node.metadata.uid;
        if first {
            self.told = node.metadata.uid.clone();
            self.tell(facts, node, &new, true);
        }
        if !self.schedule.is_due(now, changed) {
            return Ok(());
        }
        let patch = Patch::Strategic(status_patch(&old, &new));
        let answer = call(self.nodes.patch_status(&facts.name, &PatchParams::default(), &patch)).await?;
        debug!(node = facts.name, changed, "Posted the node status");
        self.metrics.node_status_patches.add();
        self.schedule.posted(now, changed, random());
        if !first {
            self.tell(facts, node, &new, false);
        }
        self.view.refresh(answer);
        Ok(())
    }

    fn tell(&self, facts: &NodeFacts, node: &Node, new: &NodeStatus, first: bool) {
        for record in transitions(facts, node, new, first) {
            self.record(record);
        }
    }

    fn tell_schedulable(&mut self, name: &str, node: &Node) {
        let now = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
        if self.unschedulable.replace(now).is_some_and(|before| before != now) {
            self.record(schedulable(name, now));
        }
    }

    fn record(&self, record: NodeRecord) {
        self.recorder.node(record.severity, record.reason, record.message);
    }

    fn failed(&mut self, error: &ApiError) {
        self.metrics.node_errors.add();
        if self.failure.is_news(error) {
            warn!(%error, "Failed to post the node status, trying again");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use serde_json::Value;
    use wasmnode_core::node::new_node;

    use super::*;
    use crate::testing::{Answer, FakeApi, Records, facts};

    /// Merges nothing: the test only counts and reads patches.
    #[tokio::test(start_paused = true)]
    async fn posts_on_change_at_once_and_else_seldom() {
        let patches: Arc<Mutex<Vec<Value>>> = Arc::default();
        let server = patches.clone();
        let (sender, receiver) = watch::channel(facts());
        let current = receiver.clone();
        let fake = FakeApi::new(move |request| {
            assert_eq!((request.method.as_str(), request.path.as_str()), ("PATCH", "/api/v1/nodes/wasm-1/status"));
            let mut patches = server.lock().unwrap();
            patches.push(request.body);
            let mut node = new_node(&current.borrow(), Timestamp::now());
            node.metadata.uid = Some("u1".to_owned());
            node.metadata.resource_version = Some((patches.len() + 1).to_string());
            Answer::ok(serde_json::to_value(node).unwrap())
        });
        let view = NodeView::default();
        let mut node = new_node(&facts(), Timestamp::now());
        node.metadata.uid = Some("u1".to_owned());
        node.metadata.resource_version = Some("1".to_owned());
        view.observe(node);
        let records = Arc::new(Records::default());
        let metrics = Arc::new(ClusterMetrics::default());
        let intervals = StatusIntervals { report: Duration::from_secs(3600), ..StatusIntervals::default() };
        let reporter = StatusReporter::new(fake.client(), receiver, view, records.clone(), intervals, metrics);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(reporter.run(shutdown.clone()));
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(patches.lock().unwrap().len(), 1);
        assert_eq!(records.take().len(), 4);
        sender.send_modify(|facts| facts.problems.push("container runtime is down".to_owned()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let seen = patches.lock().unwrap().clone();
        assert_eq!(seen.len(), 2);
        let conditions = seen[1]["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        assert_eq!(ready["message"], "container runtime is down");
        assert_eq!(records.take(), ["Node wasm-1 status is now: NodeNotReady"]);
        shutdown.cancel();
        task.await.unwrap();
    }
}
