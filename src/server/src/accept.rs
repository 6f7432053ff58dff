//! Connections: from the TLS handshake to their end, each with its bounds.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::{Request, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use warp::Reply;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::activity::Activity;
use crate::auth::{Gate, Peer};
use crate::config::MAX_HEADER;
use crate::metrics::Requests;
use crate::routes::plain;
use crate::{Limits, User};

/// Requests at the same time on one HTTP/2 connection. The API server multiplexes followed logs on few.
const MAX_STREAMS: u32 = 250;

/// Bytes of bodies that a client may send before they are read. No request that is served has one.
const WINDOW: u32 = 64 << 10;

/// How often an HTTP/2 connection is asked for a sign of life, and how long that may take.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15));

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) gate: Gate,
    pub(crate) routes: BoxedFilter<(Response,)>,
    pub(crate) requests: Requests,
    pub(crate) limits: Limits,
    pub(crate) stopping: CancellationToken,
}

/// Serves one connection to its end.
pub(crate) async fn connection(shared: Arc<Shared>, stream: TcpStream, client: SocketAddr) {
    let _counted = shared.requests.connection();
    // Lines of a log are small and are to arrive now.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(shared.limits.handshake, shared.acceptor.accept(stream));
    match handshake.await {
        Ok(Ok(stream)) => serve(&shared, stream).await,
        Ok(Err(error)) => tracing::debug!(%error, client.addr = %client, "TLS handshake failed"),
        Err(_) => tracing::debug!(client.addr = %client, "TLS handshake took too long"),
    }
}

async fn serve(shared: &Arc<Shared>, stream: TlsStream<TcpStream>) {
    let peer = stream.get_ref().1.peer_certificates().and_then(Peer::of);
    let (activity, stranger) = (Activity::new(), CancellationToken::new());
    let service = service_fn(|request| {
        let (shared, in_progress, stranger) = (shared.clone(), activity.begin(), stranger.clone());
        let user = peer.as_ref().and_then(|peer| peer.user(Timestamp::now()));
        async move {
            let response = answer(&shared, user, request).await;
            if response.status() == StatusCode::UNAUTHORIZED {
                stranger.cancel();
            }
            Ok::<_, Infallible>(response.map(|body| in_progress.track(body)))
        }
    });
    let builder = builder(&shared.limits);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = async { tokio::select! {
            () = activity.idle(shared.limits.idle) => {}
            // A stranger does not get to keep one of the connections.
            () = stranger.cancelled() => {}
            () = shared.stopping.cancelled() => {}
        } } => {
            connection.as_mut().graceful_shutdown();
            // A client that does not go by itself is left.
            tokio::time::timeout(shared.limits.drain, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(error, "Connection ended");
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(MAX_HEADER as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    builder
}

/// The gate, then the routes. Nothing else answers.
async fn answer(shared: &Shared, user: Option<Arc<User>>, request: Request<Incoming>) -> Response {
    let (parts, body) = request.into_parts();
    shared.requests.request(&parts.method, parts.uri.path());
    if let Err(denial) = shared.gate.check(user, &parts).await {
        let mut response = denial.into_response();
        shared.requests.denied(response.status());
        if response.status() == StatusCode::UNAUTHORIZED && parts.version < Version::HTTP_2 {
            // HTTP/2 has a frame for that, which the connection sends.
            response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        return response;
    }
    let service = TowerToHyperService::new(warp::service(shared.routes.clone()));
    let routed = AssertUnwindSafe(service.call(Request::from_parts(parts, body))).catch_unwind();
    match routed.await {
        Ok(Ok(response)) => response,
        Err(_panic) => plain(StatusCode::INTERNAL_SERVER_ERROR, "internal server error"),
    }
}
