//! One connection: HTTP/1.1, or HTTP/2 where the client begins with it.

use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::{Server, service};
use crate::net::Counted;

/// Requests at the same time on one HTTP/2 connection at most.
const MAX_STREAMS: u32 = 250;

/// The smallest buffer that hyper has for a request's head.
const MIN_HEADER: usize = 8 << 10;

/// How often an HTTP/2 connection is asked for a sign of life, and how long that may take.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15));

/// How long a client that has no request may take to go.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where the requests of an HTTP/2 connection are answered: with the server's other tasks, so that they end with it.
#[derive(Clone)]
struct Clients(Arc<Server>);

impl<F> Executor<F> for Clients
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        self.0.clients.spawn(request);
    }
}

/// Serves to the end of the connection. After `stop` the requests in progress are the last.
pub(super) async fn serve<T>(
    server: Arc<Server>,
    stream: Counted<T>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let service = service_fn(|request| service::answer(server.clone(), activity.begin(), request));
    let builder = builder(&server);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = activity.idle(server.settings.idle_timeout) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::trace!(error, "Connection of a guest ended");
    }
}

fn builder(server: &Arc<Server>) -> Builder<Clients> {
    let settings = &server.settings;
    let mut builder = Builder::new(Clients(server.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.idle_timeout)
        .max_buf_size((settings.max_header_bytes as usize).max(MIN_HEADER))
        .max_headers(settings.max_headers as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(settings.max_header_bytes)
        .max_concurrent_streams(MAX_STREAMS.min(settings.max_requests.saturating_add(settings.queue)).max(1))
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    builder
}
