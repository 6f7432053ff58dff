//! One connection.

use std::io;
use std::path::Path;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::client::Grpc;

use crate::protocol::{CONNECTION_WINDOW_BYTES, MAX_GIVEN_UP, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES};

/// HTTP/2 has to have one; a socket has no other name.
const ORIGIN: &str = "http://runner";

/// A connection that many may use. It ends when nobody does any more, or when the peer ends it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    requests: SendRequest<Body>,
}

// === impl Link ===

impl Link {
    /// Returns before the peer has said anything.
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path).await?;
        let (requests, connection) = client().handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "The connection to a runner broke");
            }
        });
        Ok(Self { requests })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    pub(super) fn grpc(self) -> Grpc<Self> {
        Grpc::with_origin(self, Uri::from_static(ORIGIN))
    }
}

impl tower::Service<http::Request<Body>> for Link {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.requests.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.requests.send_request(request))
    }
}

fn client() -> http2::Builder<TokioExecutor> {
    let mut client = http2::Builder::new(TokioExecutor::new());
    client
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(MAX_GIVEN_UP);
    client
}
