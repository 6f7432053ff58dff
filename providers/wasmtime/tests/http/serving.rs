//! What clients get.

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use wasmnode_provider_api::{Event, HttpSettings, Provider};

use crate::client::{Connection, body_with_trailers, get, pieces, raw, read_until, request};
use crate::rig::{Guest, PATIENCE, Rig};

#[tokio::test]
async fn answers_http1_and_http2_and_keeps_connections() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    for mut connection in [Connection::http1(serving.address).await, Connection::http2(serving.address).await] {
        for _ in 0..3 {
            let (status, text) = connection.get("/request?a=b").await;
            assert_eq!(status, 200);
            assert!(text.starts_with("GET /request?a=b web.test\n"), "{text}");
        }
        assert_eq!(connection.get("/nowhere").await.0, 404);
    }
    let run = serving.spec.id.clone();
    rig.event(|event| (*event == Event::FirstRequest { run: run.clone() }).then_some(())).await;
    let usage = rig.usage().await;
    assert_eq!(usage.containers[0].requests, 8);
    assert!(usage.network_received > 300 && usage.network_sent > 300, "{usage:?}");
}

async fn echoes(mut connection: Connection, trailers_too: bool) {
    let (frames, body) = pieces();
    let request = request("/echo").method("POST").header("te", "trailers").header("trailer", "x-end");
    let mut response = connection.send(request.body(body).unwrap()).await;
    for piece in ["one", "two", "three"] {
        frames.unbounded_send(Ok(Frame::data(Bytes::from(piece)))).unwrap();
        let frame = tokio::time::timeout(PATIENCE, response.body_mut().frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece, "back before the next one is sent");
    }
    let end = HeaderMap::from_iter([("x-end".parse().unwrap(), "yes".parse().unwrap())]);
    frames.unbounded_send(Ok(Frame::trailers(end.clone()))).unwrap();
    drop(frames);
    let (rest, trailers) = body_with_trailers(response).await;
    assert_eq!(rest, "");
    if trailers_too {
        assert_eq!(trailers, Some(end));
    }
}

#[tokio::test]
async fn streams_both_ways_with_trailers() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    echoes(Connection::http2(serving.address).await, true).await;
    // HTTP/1 sends only trailers that the head of the response names.
    echoes(Connection::http1(serving.address).await, false).await;
}

#[tokio::test]
async fn tells_a_client_that_asks_to_continue() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    let mut stream = TcpStream::connect(serving.address).await.unwrap();
    let head = b"POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let first = read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
    stream.write_all(b"hello").await.unwrap();
    let text = first + &read_until(&mut stream, "hello").await;
    assert!(text.contains("HTTP/1.1 200 OK"), "{text}");
}

#[tokio::test]
async fn serves_old_clients_that_name_a_host() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    let text = raw(serving.address, b"GET /request HTTP/1.0\r\nhost: old\r\n\r\n").await;
    assert!(text.contains("200 OK") && text.contains("GET /request old\n"), "{text}");
}

#[tokio::test]
async fn what_handlers_print_is_in_the_log_in_whole_lines() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    let (a, b) = tokio::join!(get(serving.address, "/print"), get(serving.address, "/print"));
    assert_eq!((a.0, b.0), (200, 200));
    rig.until("the end of the instances", |usage| usage.instances == 0).await;
    let (_, log) = rig.stopped(&serving).await;
    assert_eq!(log.matches("stdout F one line of stdout\n").count(), 2, "{log}");
    assert_eq!(log.matches("stderr F no newline on stderr\n").count(), 2, "{log}");
    assert_eq!(log.lines().count(), 4, "{log}");
}

#[tokio::test]
async fn a_port_of_the_pod_is_reached_in_memory() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings::default()).await;
    let mut stream = rig.provider.connect(&rig.sandbox, serving.address.port()).await.unwrap();
    let request = "GET /count HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.to.send(Bytes::from(request)).await.unwrap();
    let mut text = String::new();
    while let Some(bytes) = tokio::time::timeout(PATIENCE, stream.from.recv()).await.unwrap() {
        text += std::str::from_utf8(&bytes).unwrap();
    }
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("\r\n1"), "{text}");
    let error = rig.provider.connect(&rig.sandbox, 1).await.unwrap_err().to_string();
    assert_eq!(error, "nothing in the pod listens on port 1");
    assert_eq!(rig.usage().await.network_sent, 0, "that is no network");
}
