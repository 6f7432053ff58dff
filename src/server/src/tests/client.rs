//! An HTTPS client that trusts the server's self-signed certificate and sends no server name, as the API server
//! does for addresses.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::agent::Running;

pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) struct Client(Sender, JoinHandle<()>);

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// What came back, read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: String,
}

pub(super) async fn tls(
    server: &Running,
    alpn: &str,
    identity: Option<Identity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.node.certificate()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::from(server.address.ip());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

// === impl Client ===

impl Client {
    pub(super) async fn http1(server: &Running) -> Self {
        Self::http1_as(server, None).await
    }

    pub(super) async fn http1_as(server: &Running, identity: Option<Identity>) -> Self {
        let stream = tls(server, "http/1.1", identity).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        Self(Sender::Http1(sender), tokio::spawn(connection.map(drop)))
    }

    pub(super) async fn http2(server: &Running) -> Self {
        let stream = tls(server, "h2", None).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Self(Sender::Http2(sender), tokio::spawn(connection.map(drop)))
    }

    /// Returns when the server has closed the connection.
    pub(super) async fn closed(&mut self) {
        (&mut self.1).await.unwrap();
    }

    /// Sends a request with a bearer token, or without any for the empty one.
    pub(super) async fn send(&mut self, method: &str, path: &str, token: &str) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("https://node-1:10250{path}"));
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Empty::new()).unwrap();
        match &mut self.0 {
            Sender::Http1(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
            Sender::Http2(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
        }
    }

    pub(super) async fn get(&mut self, path: &str, token: &str) -> Answer {
        self.request("GET", path, token).await
    }

    pub(super) async fn request(&mut self, method: &str, path: &str, token: &str) -> Answer {
        let response = self.send(method, path, token).await;
        let content_type = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status, content_type: content_type.unwrap_or_default(), body }
    }
}

/// Reads exactly `expected` from a body that goes on.
pub(super) async fn expect(response: &mut Response<Incoming>, expected: &str) {
    assert_eq!(response.status(), StatusCode::OK);
    let mut read = Vec::new();
    while read.len() < expected.len() {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        read.extend_from_slice(&frame.into_data().unwrap());
    }
    assert_eq!(std::str::from_utf8(&read).unwrap(), expected);
}
