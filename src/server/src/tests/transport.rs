//! Bounds on connections, and the end of the server.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::agent::Running;
use super::client::{Client, tls};

#[tokio::test(start_paused = true)]
async fn a_handshake_must_be_finished_in_time() {
    let server = Running::start().await;
    let start = Instant::now();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert!(start.elapsed() >= Duration::from_secs(10) && start.elapsed() < Duration::from_secs(11));
}

/// Sends one request over a raw connection and reads its answer, so that nothing is under way in either direction
/// when the clock is paused afterwards.
async fn settled(server: &Running) -> TlsStream<TcpStream> {
    let mut stream = tls(server, "http/1.1", None).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        answer.push(stream.read_u8().await.unwrap());
    }
    stream
}

/// Seconds on the paused clock until the server closes the connection.
async fn closed_after(mut stream: TlsStream<TcpStream>) -> u64 {
    tokio::time::pause();
    let start = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    start.elapsed().as_secs()
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = Running::start().await;
    assert!((89..=91).contains(&closed_after(settled(&server).await).await));
}

#[tokio::test]
async fn idle_http2_connections_are_closed() {
    let server = Running::start().await;
    let mut client = Client::http2(&server).await;
    assert_eq!(client.get("/healthz", "admin").await.status, 200);
    tokio::time::pause();
    let start = Instant::now();
    client.closed().await;
    assert!(start.elapsed() <= Duration::from_secs(181));
}

#[tokio::test]
async fn a_header_must_be_finished_in_time() {
    let server = Running::start().await;
    let mut stream = settled(&server).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").await.unwrap();
    assert!((89..=91).contains(&closed_after(stream).await));
}

#[tokio::test]
async fn strangers_do_not_keep_connections() {
    let server = Running::start().await;
    let mut stream = tls(&server, "http/1.1", None).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn strangers_do_not_keep_http2_connections_either() {
    let server = Running::start().await;
    let mut client = Client::http2(&server).await;
    assert_eq!(client.get("/healthz", "").await.status, 401);
    tokio::time::timeout(Duration::from_secs(60), client.closed()).await.unwrap();
}

#[tokio::test]
async fn endless_headers_are_refused() {
    let server = Running::start().await;
    let mut stream = tls(&server, "http/1.1", None).await.unwrap();
    let header = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(100_000));
    let _ = stream.write_all(header.as_bytes()).await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = Running::with(|config| config.limits.connections = 1).await;
    let mut first = Client::http1(&server).await;
    let waiting = async { Client::http1(&server).await.get("/healthz", "admin").await.status };
    let mut waiting = std::pin::pin!(waiting);
    let metrics = tokio::select! {
        biased;
        _ = &mut waiting => panic!("served beyond the limit"),
        metrics = first.get("/metrics", "admin") => metrics.body,
    };
    assert!(metrics.contains("\nwasmnode_http_connections 1\n"), "{metrics}");
    drop(first);
    assert_eq!(waiting.await, 200);
}

#[tokio::test]
async fn stopping_breaks_off_what_would_go_on() {
    let mut server = Running::start().await;
    let _writer = server.node.writer(1 << 20);
    let mut follower = Client::http1(&server).await;
    let response = follower.send("GET", "/containerLogs/ns/p/c?follow=true", "admin").await;
    let _idle = Client::http2(&server).await;
    server.stop();
    assert!(response.into_body().collect().await.is_err(), "cut off, not complete");
    server.task.take().unwrap().await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_follower_that_goes_is_forgotten() {
    let server = Running::start().await;
    let _writer = server.node.writer(1 << 20);
    let mut observer = Client::http1(&server).await;
    let (mut one, mut two) = (Client::http1(&server).await, Client::http2(&server).await);
    let path = "/containerLogs/ns/p/c?follow=true";
    let following = (one.send("GET", path, "admin").await, two.send("GET", path, "admin").await);
    assert!(observer.get("/metrics", "admin").await.body.contains("\nwasmnode_http_connections 3\n"));
    drop((following, one, two));
    let gone = async {
        while !observer.get("/metrics", "admin").await.body.contains("\nwasmnode_http_connections 1\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
}
