//! A client with nothing in it that the tests do not see.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::PATIENCE;

type Body = BoxBody<Bytes, Infallible>;

/// Frames of a request's body.
pub(crate) type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;

/// A connection that takes requests.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

pub(crate) fn empty() -> Body {
    Empty::new().boxed()
}

/// A body that is sent piece by piece.
pub(crate) fn pieces() -> (Frames, Body) {
    let (to, frames) = mpsc::unbounded();
    (to, BodyExt::boxed(StreamBody::new(frames)))
}

/// A request in origin form, or with its host for HTTP/2.
pub(crate) fn request(path: &str) -> http::request::Builder {
    Request::builder().uri(path).header("host", "web.test")
}

impl Connection {
    pub(crate) async fn http1(address: SocketAddr) -> Self {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    pub(crate) async fn http2(address: SocketAddr) -> Self {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        let sent = async {
            match self {
                Self::Http1(sender) => {
                    sender.ready().await.unwrap();
                    sender.send_request(request).await
                }
                Self::Http2(sender) => {
                    let (mut parts, body) = request.into_parts();
                    parts.version = Version::HTTP_2;
                    parts.headers.remove("host");
                    parts.uri = format!("http://web.test{}", parts.uri).parse().unwrap();
                    sender.send_request(Request::from_parts(parts, body)).await
                }
            }
        };
        tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time").unwrap()
    }

    /// Status and body.
    pub(crate) async fn get(&mut self, path: &str) -> (u16, String) {
        let response = self.send(request(path).body(empty()).unwrap()).await;
        (response.status().as_u16(), text(response).await)
    }
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.expect("a body in time");
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

/// On a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    Connection::http1(address).await.get(path).await
}

/// With one header more.
pub(crate) async fn get_with(address: SocketAddr, path: &str, header: (&str, &str)) -> (u16, String) {
    let request = request(path).header(header.0, header.1).body(empty()).unwrap();
    let response = Connection::http1(address).await.send(request).await;
    (response.status().as_u16(), text(response).await)
}

pub(crate) async fn body_with_trailers(response: Response<Incoming>) -> (String, Option<HeaderMap>) {
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap();
    let trailers = body.trailers().cloned();
    (String::from_utf8(body.to_bytes().to_vec()).unwrap(), trailers)
}

/// Sends bytes as they are and returns all that comes back until the server closes.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut found = Vec::new();
    let _reset = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut found)).await.expect("an end in time");
    String::from_utf8_lossy(&found).into_owned()
}

/// Reads until the text was seen.
pub(crate) async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let (mut found, mut buffer) = (String::new(), [0; 4096]);
    while !found.contains(wanted) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("bytes in time").unwrap();
        assert!(read > 0, "the server closed after {found:?}");
        found += &String::from_utf8_lossy(&buffer[..read]);
    }
    found
}

pub(crate) const MOMENT: Duration = Duration::from_millis(300);
