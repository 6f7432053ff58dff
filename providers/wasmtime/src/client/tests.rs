//! The client against servers on the pod's own loopback, which is the whole way but for the socket.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, Version};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use wasmnode_provider_api::Configure;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::send::send;
use crate::net::{Network, Shared};

fn network(ca_bundle: &[u8]) -> Arc<Network> {
    let shared = Shared::default();
    let node_api = vec!["192.0.2.1:10250".parse().unwrap()];
    shared.configure(Configure { ca_bundle: ca_bundle.to_vec(), node_api, ..Configure::default() }).unwrap();
    Arc::new(Network::new("default/test", &["10.0.0.1".parse().unwrap()], &shared.outside(), Handle::current()))
}

/// Says the version and path of each request; `/slow` never answers, `/drip` stops in the middle.
async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    if request.uri().path() == "/slow" {
        std::future::pending::<()>().await;
    }
    if request.uri().path() == "/drip" {
        let first = futures::stream::iter([Ok(Frame::data(Bytes::from_static(b"drip")))]);
        return Ok(Response::new(BodyExt::boxed(StreamBody::new(first.chain(futures::stream::pending())))));
    }
    let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
    let text = format!("{:?} {} {host:?}", request.version(), request.uri());
    Ok(Response::new(Full::new(Bytes::from(text)).boxed()))
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let _ended = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

/// A server on the pod's loopback; the count is of its connections.
fn server(network: &Network, port: u16) -> Arc<AtomicUsize> {
    let mut listening = network.loopback.listen(port).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counting = connections.clone();
    tokio::spawn(async move {
        while let Some(stream) = listening.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream));
        }
    });
    connections
}

fn get(url: &str) -> Request<WasiBody> {
    let body = Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync();
    Request::builder().uri(url).body(body).unwrap()
}

async fn text(response: Response<WasiBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn fetch(network: &Arc<Network>, url: &str) -> Result<String, Error> {
    Ok(text(send(network.clone(), get(url), None).await?).await)
}

#[tokio::test]
async fn connections_are_used_again() {
    let network = network(b"");
    let connections = server(&network, 80);
    for n in 0..5 {
        let found = fetch(&network, &format!("http://localhost/{n}")).await.unwrap();
        assert_eq!(found, format!("HTTP/1.1 /{n} Some(\"localhost\")"));
        // The connection goes back to the pool in a task of its own.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert_eq!(fetch(&network, "http://127.0.0.1/").await.unwrap(), "HTTP/1.1 / Some(\"127.0.0.1\")");
    assert_eq!(connections.load(Ordering::SeqCst), 2, "another name is another target");
}

#[tokio::test]
async fn requests_at_the_same_time_have_connections_of_their_own() {
    let network = network(b"");
    let connections = server(&network, 80);
    let one = || fetch(&network, "http://localhost/");
    let (a, b, c) = tokio::join!(one(), one(), one());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_nothing() {
    let network = network(b"");
    let mut listening = network.loopback.listen(80).unwrap();
    let first = tokio::spawn(fetch_owned(network.clone()));
    let serving = tokio::spawn(serve(listening.accept().await.unwrap()));
    first.await.unwrap().unwrap();
    serving.abort();
    let _aborted = serving.await;
    let second = tokio::spawn(fetch_owned(network.clone()));
    tokio::spawn(serve(listening.accept().await.unwrap()));
    second.await.unwrap().unwrap();
}

async fn fetch_owned(network: Arc<Network>) -> Result<String, Error> {
    fetch(&network, "http://localhost/").await
}

#[tokio::test]
async fn says_why_there_is_no_connection() {
    let network = network(b"");
    let prohibited = [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://0.0.0.0:8080/",
        "http://[::]:8080/",
        "http://192.0.2.1:10250/pods",
        "http://[::ffff:169.254.169.254]/",
    ];
    for url in prohibited {
        let error = fetch(&network, url).await.unwrap_err();
        assert!(matches!(error, Error::DestinationIpProhibited), "{url}: {error}");
    }
    assert_eq!(network.denied(), prohibited.len() as u64);
    for url in ["http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/", "http://127.0.0.2:9/"] {
        let error = fetch(&network, url).await.unwrap_err();
        assert!(matches!(error, Error::ConnectionRefused), "{url}: {error}");
    }
    for url in ["ftp://localhost/", "http://user@localhost/", "/"] {
        assert!(fetch(&network, url).await.is_err(), "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_the_guest_says() {
    let network = network(b"");
    let _connections = server(&network, 80);
    let options = RequestOptions { first_byte_timeout: Some(Duration::from_secs(3)), ..RequestOptions::default() };
    let began = tokio::time::Instant::now();
    let error = send(network, get("http://localhost/slow"), Some(options)).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionReadTimeout), "{error}");
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_rest_as_long_as_the_guest_says() {
    let network = network(b"");
    let _connections = server(&network, 80);
    let options = RequestOptions { between_bytes_timeout: Some(Duration::from_secs(3)), ..RequestOptions::default() };
    let response = send(network.clone(), get("http://localhost/drip"), Some(options)).await.unwrap();
    let began = tokio::time::Instant::now();
    let error = response.into_body().collect().await.unwrap_err();
    assert!(matches!(error, Error::ConnectionReadTimeout), "{error}");
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn no_connection_outlives_the_pod() {
    let network = network(b"");
    let _connections = server(&network, 80);
    let response = send(network.clone(), get("http://localhost/slow"), None);
    network.gone.cancel();
    let error = response.await.unwrap_err();
    assert!(matches!(error, Error::ConnectionTerminated), "{error}");
}

/// A server for `localhost` with TLS, and the certificate to trust.
fn tls_server(alpn: &[&[u8]]) -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

async fn fetch_over_tls(trusted: bool, alpn: &[&[u8]]) -> (Result<String, Error>, usize) {
    let (acceptor, certificate) = tls_server(alpn);
    let network = network(if trusted { certificate.as_bytes() } else { b"" });
    let mut listening = network.loopback.listen(443).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counting = connections.clone();
    tokio::spawn(async move {
        while let Some(stream) = listening.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    });
    let first = fetch(&network, "https://localhost/first").await;
    let one = || fetch(&network, "https://localhost/more");
    let _all = tokio::join!(one(), one(), one());
    (first, connections.load(Ordering::SeqCst))
}

#[tokio::test]
async fn tls_trusts_the_configured_roots() {
    let (found, _) = fetch_over_tls(true, &[b"http/1.1"]).await;
    assert_eq!(found.unwrap(), "HTTP/1.1 /first Some(\"localhost\")");
    let (found, _) = fetch_over_tls(false, &[b"http/1.1"]).await;
    assert!(matches!(found, Err(Error::TlsCertificateError)), "{found:?}");
}

#[tokio::test]
async fn http2_shares_a_connection() {
    let (found, connections) = fetch_over_tls(true, &[b"h2", b"http/1.1"]).await;
    assert_eq!(found.unwrap(), format!("{:?} https://localhost/first None", Version::HTTP_2));
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn refuses_roots_that_cannot_be_read() {
    let broken = b"-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n";
    let settings = Configure { ca_bundle: broken.to_vec(), ..Configure::default() };
    assert!(Shared::default().configure(settings).is_err());
}
