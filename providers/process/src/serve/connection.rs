//! Connections, each with a task of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;
use wasmnode_provider_api::Provider;

use super::answer::answer;
use super::session::Session;
use crate::protocol::{CONNECTION_WINDOW_BYTES, MAX_GIVEN_UP, MAX_REQUESTS, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES};

/// An agent, its successor that found it hanging, and people who look.
const MAX_CONNECTIONS: usize = 8;

/// Who has not said hello by then has nothing to say.
const HELLO_TIME: Duration = Duration::from_secs(10);

/// Clients that are connected.
pub(super) struct Connections {
    provider: Arc<dyn Provider>,
    /// The oldest first.
    open: Vec<Connection>,
}

struct Connection {
    session: Arc<Session>,
    serving: AbortOnDropHandle<()>,
}

// === impl Connections ===

impl Connections {
    pub(super) fn new(provider: Arc<dyn Provider>) -> Self {
        Self { provider, open: Vec::new() }
    }

    /// Serves another client, if need be instead of one of those before it.
    pub(super) fn admit(&mut self, stream: UnixStream) {
        self.open.retain(|connection| !connection.serving.is_finished());
        if self.open.len() >= MAX_CONNECTIONS {
            let silent = self.open.iter().position(|connection| !connection.session.is_greeted());
            drop(self.open.remove(silent.unwrap_or(0)));
        }
        let session = Arc::new(Session::new(self.provider.clone()));
        let serving = AbortOnDropHandle::new(tokio::spawn(attend(stream, session.clone())));
        self.open.push(Connection { session, serving });
    }
}

async fn attend(stream: UnixStream, session: Arc<Session>) {
    let answering = session.clone();
    let service = hyper::service::service_fn(move |request| {
        let session = answering.clone();
        async move { Ok::<_, Infallible>(answer(session, request).await) }
    });
    let mut serving = std::pin::pin!(server().serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = session.stays_silent(HELLO_TIME) => {
            tracing::debug!("A client that said nothing was disconnected");
            return;
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection broke");
    }
}

fn server() -> http2::Builder<TokioExecutor> {
    let mut server = http2::Builder::new(TokioExecutor::new());
    server
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(MAX_REQUESTS)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(MAX_GIVEN_UP);
    server
}
