//! One request and its response.

use std::sync::Arc;

use http::{Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::Received;
use super::connect::connect;
use super::pool::{Connection, Http1};
use super::target::Target;
use super::times::Times;
use crate::net::Network;

/// Connections that were closed while they waited, in a row, before the request fails.
const MAX_STALE: usize = 8;

/// A response, and the connection where it can be used again.
type Answered = (Response<Incoming>, Option<Http1>);

/// # Errors
/// As a guest is told.
pub(super) async fn send(
    network: Arc<Network>,
    request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<Response<WasiBody>, Error> {
    let target = Target::of(request.uri())?;
    let times = Times::of(options);
    let (response, reusable) = answered(&network, &target, &times, request).await?;
    let at_end = reusable.map(|connection| {
        let keeping = network.client.pool.clone().keep(target, connection);
        let runtime = network.runtime.clone();
        Box::new(move || drop(runtime.spawn(keeping))) as Box<dyn FnOnce() + Send>
    });
    Ok(response.map(|body| Received::new(body, times.between_bytes, at_end).boxed_unsync()))
}

async fn answered(
    network: &Arc<Network>,
    target: &Target,
    times: &Times,
    mut request: Request<WasiBody>,
) -> Result<Answered, Error> {
    let uri = request.uri().clone();
    for _ in 0..MAX_STALE {
        let Some(connection) = network.client.pool.take(target) else { break };
        *request.uri_mut() = uri.clone();
        match attempt(connection, times, request).await {
            Ok(answered) => return Ok(answered),
            // The server closed the connection before it saw anything.
            Err((_, Some(unsent))) => request = *unsent,
            Err((error, None)) => return Err(error),
        }
    }
    // Boxed, because it is large and rare.
    let connection = Box::pin(connect(network, target, times.connect)).await?;
    if let Connection::Http2(shared) = &connection {
        network.client.pool.share(target, shared);
    }
    *request.uri_mut() = uri;
    attempt(connection, times, request).await.map_err(|(error, _)| error)
}

/// With the request where nothing of it was sent.
type Failed = (Error, Option<Box<Request<WasiBody>>>);

async fn attempt(connection: Connection, times: &Times, request: Request<WasiBody>) -> Result<Answered, Failed> {
    let late = |_| (Error::ConnectionReadTimeout, None);
    match connection {
        Connection::Http1(mut sender) => {
            let sending = sender.try_send_request(origin_form(request));
            let sent = tokio::time::timeout(times.first_byte, sending).await.map_err(late)?;
            sent.map(|response| (response, Some(sender))).map_err(unsent)
        }
        Connection::Http2(mut sender) => {
            let sending = sender.try_send_request(without_host(request));
            let sent = tokio::time::timeout(times.first_byte, sending).await.map_err(late)?;
            sent.map(|response| (response, None)).map_err(unsent)
        }
    }
}

fn unsent(mut error: hyper::client::conn::TrySendError<Request<WasiBody>>) -> Failed {
    let request = error.take_message().map(Box::new);
    (explained(error.error()), request)
}

/// HTTP/1 has the host in a header, which the guest's library or the engine has set.
fn origin_form(mut request: Request<WasiBody>) -> Request<WasiBody> {
    if !request.headers().contains_key(header::HOST)
        && let Some(host) = request.uri().authority().and_then(|host| host.as_str().parse().ok())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    request
}

fn without_host(mut request: Request<WasiBody>) -> Request<WasiBody> {
    request.headers_mut().remove(header::HOST);
    request
}

/// What a guest is told of a failure of the protocol.
pub(super) fn explained(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() || error.is_parse_status() {
        Error::HttpProtocolError
    } else if error.is_timeout() {
        Error::ConnectionReadTimeout
    } else if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else {
        Error::ConnectionTerminated
    }
}
