//! The stream of events.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tonic::Streaming;
use tonic_prost::ProstCodec;
use wasmnode_provider_api::{Error, Event, EventStream, wire};

use super::Remote;
use crate::protocol::{Reply, Verb};

/// Events between the connection and the reader; what waits beyond waits in the runner.
const EVENTS_IN_FLIGHT: usize = 64;

// === impl Remote ===

impl Remote {
    pub(super) async fn subscribe(&self) -> Result<EventStream, Error> {
        let verb = Verb::Events;
        let mut replies = self.within(verb.deadline(), verb.name(), self.subscription()).await?;
        let (to, events) = mpsc::channel(EVENTS_IN_FLIGHT);
        let complained = self.complained.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = to.closed() => {}
                () = forward(&mut replies, &to, &complained) => {}
            }
        });
        Ok(events)
    }

    /// The first reply says whether there will be events.
    async fn subscription(&self) -> Result<Streaming<Reply>, Error> {
        let verb = Verb::Events;
        let broken = |status| self.broken(verb, &status);
        let codec = ProstCodec::<(), Reply>::default();
        let mut grpc = self.link().await?.grpc();
        let answer = grpc.server_streaming(tonic::Request::new(()), verb.request_path(), codec).await;
        let mut replies = answer.map_err(broken)?.into_inner();
        let first = replies.message().await.map_err(broken)?;
        first.ok_or_else(|| self.failed("ended its events before the first"))?.read::<()>()?;
        Ok(replies)
    }
}

/// Ends with the first event that cannot be read; the first of a runner is logged.
async fn forward(replies: &mut Streaming<Reply>, to: &mpsc::Sender<Event>, complained: &AtomicBool) {
    while let Ok(Some(reply)) = replies.message().await {
        match reply.read::<wire::Event>().and_then(Event::try_from) {
            Ok(event) => {
                if to.send(event).await.is_err() {
                    return;
                }
            }
            // Of a later version, where `list` has what matters; or of a runner gone mad, which must not fill the log.
            Err(error) if complained.swap(true, Ordering::Relaxed) => {
                tracing::debug!(%error, "An event of a runner cannot be read");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "An event of a runner cannot be read; what matters of it is asked for");
                return;
            }
        }
    }
}
