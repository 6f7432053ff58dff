//! Sends events, one after the other, and gives up on one only after two minutes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::EventLimits;
use super::bucket::Bucket;
use super::correlator::{Correlator, Verdict};
use crate::api::{ApiError, call};
use crate::metrics::ClusterMetrics;
use crate::retry::random;

/// Attempts for one event, and the time between them: client-go's.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_secs(10);

/// The sending half of [`super::event_channel`].
pub struct EventSender {
    client: Client,
    events: mpsc::Receiver<Event>,
    correlator: Correlator,
    limit: Option<Bucket>,
    metrics: Arc<ClusterMetrics>,
}

impl EventSender {
    pub(super) fn new(
        client: Client,
        events: mpsc::Receiver<Event>,
        limits: EventLimits,
        metrics: Arc<ClusterMetrics>,
    ) -> Self {
        let bucket = || Bucket::full(f64::from(limits.qps), f64::from(limits.burst.max(1)), Timestamp::now());
        let limit = (limits.qps > 0).then(bucket);
        Self { client, events, correlator: Correlator::default(), limit, metrics }
    }

    /// Until `shutdown`, or until every recorder is gone and the queue is empty.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let forever = async {
            while let Some(event) = self.events.recv().await {
                let verdict = self.correlator.observe(event, Timestamp::now());
                self.carry_out(verdict).await;
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    async fn carry_out(&mut self, verdict: Verdict) {
        let (event, patch) = match verdict {
            Verdict::Filtered => return self.metrics.events_filtered.add(),
            Verdict::Create(event) => (event, None),
            Verdict::Count(event, patch) => (event, Some(patch)),
        };
        self.wait_for_turn().await;
        for attempt in 0..TRIES {
            match self.send(&event, patch.as_ref()).await {
                Ok(()) => return self.metrics.events_sent.add(),
                // Its name is unique, so that it is there: the answer to the attempt before was lost.
                Err(error) if error.is_conflict() && attempt > 0 => return self.metrics.events_sent.add(),
                Err(error) if is_refusal(&error) => return self.give_up(&event, &error),
                Err(error) => debug!(%error, "Failed to send an event, trying again"),
            }
            // All nodes notice the API server's absence at once; they need not come back at once.
            tokio::time::sleep(if attempt == 0 { PAUSE.mul_f64(random()) } else { PAUSE }).await;
        }
        self.give_up(&event, &ApiError::TimedOut);
    }

    async fn wait_for_turn(&mut self) {
        let Some(limit) = &mut self.limit else { return };
        while let Err(seconds) = limit.take(Timestamp::now()) {
            tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or(PAUSE)).await;
        }
    }

    async fn send(&self, event: &Event, patch: Option<&Value>) -> Result<(), ApiError> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        if let Some(patch) = patch {
            let name = event.metadata.name.as_deref().unwrap_or_default();
            match call(api.patch(name, &PatchParams::default(), &Patch::Strategic(patch))).await {
                // Events expire after an hour.
                Err(error) if error.is_not_found() => {}
                answer => return answer.map(drop),
            }
        }
        call(api.create(&PostParams::default(), event)).await.map(drop)
    }

    fn give_up(&self, event: &Event, error: &ApiError) {
        self.metrics.events_failed.add();
        warn!(%error, name = event.metadata.name, reason = event.reason, "Gave up an event");
    }
}

/// The API server will not have it, for example because the namespace is being deleted or an admission webhook fails.
/// As client-go does, such an event is given up at once: one namespace's events must not hold up all others.
fn is_refusal(error: &ApiError) -> bool {
    !matches!(error.code(), 0 | 429 | 503 | 504)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use wasmnode_core::{Record, Recorder, Severity};

    use super::*;
    use crate::events::event_channel;
    use crate::testing::{Answer, FakeApi, pod_ref};

    fn log(answers: Vec<u16>) -> (FakeApi, Arc<Mutex<Vec<String>>>) {
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = log.clone();
        let answers = Mutex::new(answers.into_iter());
        let fake = FakeApi::new(move |request| {
            seen.lock().unwrap().push(format!("{} {}", request.method, request.body["message"].as_str().unwrap()));
            match answers.lock().unwrap().next().unwrap_or(200) {
                200 => Answer::ok(serde_json::to_value(Event::default()).unwrap()),
                code => Answer::status(code, "no"),
            }
        });
        (fake, log)
    }

    async fn send(fake: &FakeApi, messages: &[&str]) -> Arc<ClusterMetrics> {
        let metrics = Arc::new(ClusterMetrics::default());
        let (recorder, sender) = event_channel(fake.client(), "wasm-1", EventLimits::default(), metrics.clone());
        for message in messages {
            recorder.pod(&pod_ref("p", "u"), "1", Record::pod(Severity::Normal, "Pulled", *message));
        }
        drop(recorder);
        sender.run(CancellationToken::new()).await;
        metrics
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_tried_again_and_refusals_are_not() {
        let (fake, log) = log(vec![504, 503, 200, 403, 200]);
        let metrics = send(&fake, &["a", "b", "c"]).await;
        assert_eq!(*log.lock().unwrap(), ["POST a", "POST a", "POST a", "POST b", "POST c"]);
        assert_eq!((metrics.events_sent.get(), metrics.events_failed.get()), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_event_is_created_again() {
        let (fake, log) = log(vec![200, 200, 404, 200]);
        let metrics = send(&fake, &["a", "a", "a"]).await;
        assert_eq!(*log.lock().unwrap(), ["POST a", "PATCH a", "PATCH a", "POST a"]);
        assert_eq!(metrics.events_sent.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_given_up_after_twelve_tries() {
        let (fake, log) = log(vec![503; 12]);
        let metrics = send(&fake, &["a", "b"]).await;
        assert_eq!(log.lock().unwrap().len(), 13);
        assert_eq!((metrics.events_sent.get(), metrics.events_failed.get()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_event_holds_up_no_other() {
        let (fake, log) = log(vec![500, 200, 422, 200]);
        let start = tokio::time::Instant::now();
        let metrics = send(&fake, &["a", "b", "c", "d"]).await;
        assert_eq!(*log.lock().unwrap(), ["POST a", "POST b", "POST c", "POST d"]);
        assert_eq!((metrics.events_sent.get(), metrics.events_failed.get()), (2, 2));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_whose_answer_was_lost_counts_as_sent() {
        let (fake, _) = log(vec![504, 409]);
        let metrics = send(&fake, &["a"]).await;
        assert_eq!((metrics.events_sent.get(), metrics.events_failed.get()), (1, 0));
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let (fake, _) = log(Vec::new());
        let metrics = Arc::new(ClusterMetrics::default());
        let (recorder, _sender) = event_channel(fake.client(), "wasm-1", EventLimits::default(), metrics.clone());
        for _ in 0..1003 {
            recorder.node(Severity::Normal, "NodeReady", String::new());
        }
        assert_eq!(metrics.events_overflowed.get(), 3);
    }
}
