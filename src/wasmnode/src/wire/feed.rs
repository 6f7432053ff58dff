//! Pods from the API server to the supervisor.

use tokio::sync::mpsc;
use wasmnode_cluster::{FeedEvent, StatusWriter};
use wasmnode_pods::SupervisorEvent;

/// Until either end is gone. The status writer sees each pod first, so that it knows what the API server has before
/// the pod's worker says anything.
pub(crate) async fn forward(
    mut from: mpsc::Receiver<FeedEvent>,
    statuses: StatusWriter,
    to: mpsc::Sender<SupervisorEvent>,
) {
    while let Some(event) = from.recv().await {
        let event = match event {
            FeedEvent::Pod(pod) => {
                statuses.observe(pod.clone());
                SupervisorEvent::Pod(pod)
            }
            FeedEvent::Gone(pod) => SupervisorEvent::Gone(pod),
            FeedEvent::Synced => SupervisorEvent::Synced,
        };
        if to.send(event).await.is_err() {
            return;
        }
    }
}
