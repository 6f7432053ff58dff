//! A client that sees what a guest prints.

use bytes::Bytes;
use tokio::sync::mpsc;
use wasmnode_logs::Stream;

/// The client's channels; a missing one was not asked for.
#[derive(Debug, Clone)]
pub(crate) struct Tee {
    pub(crate) stdout: Option<mpsc::Sender<Bytes>>,
    pub(crate) stderr: Option<mpsc::Sender<Bytes>>,
}

impl Tee {
    /// Waits for a slow client, as a pipe would. A client that has left is skipped.
    pub(super) async fn send(&self, stream: Stream, bytes: Bytes) {
        let to = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        if let Some(to) = to {
            let _left = to.send(bytes).await;
        }
    }

    /// Waits until the client has closed all of its channels; at once if it has none.
    pub(crate) async fn closed(&self) {
        for channel in [&self.stdout, &self.stderr].into_iter().flatten() {
            channel.closed().await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        let closed = |to: &Option<mpsc::Sender<Bytes>>| to.as_ref().is_none_or(mpsc::Sender::is_closed);
        closed(&self.stdout) && closed(&self.stderr)
    }
}
