//! The pods bound to this node, as they are now.

mod tracker;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wasmnode_core::PodRef;

use self::tracker::Tracker;
use crate::api::ApiError;
use crate::metrics::ClusterMetrics;
use crate::retry::{Pauses, Told, is_answer};

/// Bound of the queue to the supervisor. A first list delivers every pod of the node at once; a full queue only slows
/// the watch down (the API server buffers, and closes a watch that falls too far behind: then everything is listed
/// again), so that nothing is dropped.
pub const FEED_QUEUE: usize = 256;

/// A change. Level-triggered: the whole pod every time, and only the latest counts.
#[derive(Debug, Clone)]
pub enum FeedEvent {
    /// The pod as it is now.
    Pod(Arc<Pod>),
    /// The pod is no longer there: deleted for good, or another one has its name.
    Gone(PodRef),
    /// All pods of this node have been told. Sent after every complete list; before the first one, nothing may be
    /// concluded from a pod's absence.
    Synced,
}

/// Lists and watches this node's pods.
pub struct Feed {
    client: Client,
    node: String,
    events: mpsc::Sender<FeedEvent>,
    metrics: Arc<ClusterMetrics>,
}

impl Feed {
    /// `events` should be bounded by [`FEED_QUEUE`].
    pub fn new(client: Client, node: String, events: mpsc::Sender<FeedEvent>, metrics: Arc<ClusterMetrics>) -> Self {
        Self { client, node, events, metrics }
    }

    /// Until `shutdown`, or until nobody listens any more. Errors only pause it.
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled_owned(Box::pin(self.follow())).await;
    }

    async fn follow(self) {
        let config = watcher::Config::default().fields(&format!("spec.nodeName={}", self.node));
        let mut stream = pin!(watcher(Api::<Pod>::all(self.client.clone()), config));
        let mut tracker = Tracker::default();
        let mut pauses = Pauses::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut told = Told::default();
        while let Some(event) = stream.next().await {
            if is_answer(&event) {
                pauses.reset();
                told.reset();
            }
            let events = match event {
                Ok(event) => tracker.apply(event),
                Err(error) => {
                    self.failed(&error.into(), &mut told);
                    tokio::time::sleep(pauses.next()).await;
                    continue;
                }
            };
            for event in events {
                if !self.deliver(event).await {
                    return;
                }
            }
        }
    }

    async fn deliver(&self, event: FeedEvent) -> bool {
        if matches!(event, FeedEvent::Synced) {
            self.metrics.feed_lists.add();
            info!(node = self.node, "Listed the pods of this node");
        }
        self.metrics.feed_events.add();
        self.events.send(event).await.is_ok()
    }

    fn failed(&self, error: &ApiError, told: &mut Told) {
        self.metrics.feed_errors.add();
        if told.is_news(error) {
            warn!(%error, "Watch of this node's pods was interrupted, trying again");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, FakeApi, pod};

    async fn next(events: &mut mpsc::Receiver<FeedEvent>) -> String {
        match events.recv().await.unwrap() {
            FeedEvent::Pod(pod) => format!("pod {}", pod.metadata.uid.as_deref().unwrap()),
            FeedEvent::Gone(pod) => format!("gone {}", pod.uid),
            FeedEvent::Synced => "synced".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn errors_pause_the_feed_and_a_new_list_tells_what_vanished() {
        let list = |pods: &[Pod]| json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "5"}, "items": pods});
        let lists = [
            Answer::status(503, "try later"),
            Answer::ok(list(&[pod("a", "uid-a"), pod("b", "uid-b")])),
            Answer::ok(list(&[pod("b", "uid-b2")])),
        ];
        let lists = std::sync::Mutex::new(lists.into_iter());
        let fake = FakeApi::new(move |request| {
            assert!(request.query.contains("fieldSelector=spec.nodeName%3Dwasm-1"), "{}", request.query);
            if request.query.contains("watch=true") {
                let expired = json!({"code": 410, "status": "Failure", "reason": "Expired", "message": "too old"});
                return Answer::lines(&[json!({"type": "ERROR", "object": expired})]);
            }
            lists.lock().unwrap().next().unwrap_or_else(Answer::never)
        });
        let (sender, mut events) = mpsc::channel(FEED_QUEUE);
        let metrics = Arc::new(ClusterMetrics::default());
        let feed = Feed::new(fake.client(), "wasm-1".to_owned(), sender, metrics.clone());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(feed.run(shutdown.clone()));
        for expected in ["pod uid-a", "pod uid-b", "synced", "gone uid-b", "pod uid-b2", "gone uid-a", "synced"] {
            assert_eq!(next(&mut events).await, expected);
        }
        assert_eq!((metrics.feed_lists.get(), metrics.feed_events.get()), (2, 7));
        assert!(metrics.feed_errors.get() >= 2);
        shutdown.cancel();
        task.await.unwrap();
    }

    /// An API server that is away for long, and later loses its watches now and then: each loss is short.
    #[tokio::test(start_paused = true)]
    async fn pauses_begin_anew_after_a_success_and_grow_without_one() {
        let times: Arc<std::sync::Mutex<Vec<tokio::time::Instant>>> = Arc::default();
        let asked = times.clone();
        let fake = FakeApi::new(move |request| {
            if request.query.contains("watch=true") {
                let expired = json!({"code": 410, "status": "Failure", "reason": "Expired", "message": "too old"});
                return Answer::lines(&[json!({"type": "ERROR", "object": expired})]);
            }
            let mut asked = asked.lock().unwrap();
            asked.push(tokio::time::Instant::now());
            match asked.len() {
                ..=10 => Answer::status(503, "away"),
                11..=13 => Answer::ok(json!({"metadata": {"resourceVersion": "5"}, "items": []})),
                _ => Answer::never(),
            }
        });
        let (sender, mut events) = mpsc::channel(FEED_QUEUE);
        let feed = Feed::new(fake.client(), "wasm-1".to_owned(), sender, Arc::default());
        let task = tokio::spawn(feed.run(CancellationToken::new()));
        for _ in 0..3 {
            assert_eq!(next(&mut events).await, "synced");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        task.abort();
        let times = times.lock().unwrap();
        let pauses: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        assert!(pauses[7..10].iter().all(|pause| *pause >= 5.0), "{pauses:?}");
        assert!(pauses[10..].iter().all(|pause| *pause < 0.25), "{pauses:?}");
    }
}
