//! Logs end to end: from a writer to a client.

use http_body_util::BodyExt;
use wasmnode_logs::Stream;

use super::agent::Running;
use super::client::{Client, expect};

const PATH: &str = "/containerLogs/ns/p/c";

#[tokio::test]
async fn options_reach_the_reader() {
    let server = Running::start().await;
    let writer = server.node.writer(1 << 20);
    writer.stream(Stream::Stdout).write(b"one\ntwo\n").unwrap();
    writer.stream(Stream::Stderr).write(b"three\n").unwrap();
    let mut client = Client::http1(&server).await;
    for (query, expected) in [
        ("", "one\ntwo\nthree\n"),
        ("?tailLines=2", "two\nthree\n"),
        ("?tailLines=0", ""),
        ("?limitBytes=5", "one\nt"),
        ("?sinceSeconds=3600", "one\ntwo\nthree\n"),
        ("?sinceTime=2999-01-01T00%3A00%3A00Z", ""),
        ("?tail=1", "three\n"),
    ] {
        let answer = client.get(&format!("{PATH}{query}"), "admin").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, expected), "{query}");
        assert_eq!(answer.content_type, "text/plain; charset=utf-8");
    }
    let stamped = client.get(&format!("{PATH}?timestamps=true&tailLines=1"), "admin").await.body;
    assert!(stamped.ends_with("Z three\n") && stamped.len() == "2026-01-02T15:04:05.123456789Z three\n".len());
}

#[tokio::test]
async fn errors_are_the_kubelets() {
    let server = Running::start().await;
    let mut client = Client::http2(&server).await;
    for (path, status, body) in [
        ("/containerLogs/ns/x/c", 404, r#"pod "x" does not exist"#),
        ("/containerLogs/other/p/c", 404, r#"pod "p" does not exist"#),
        ("/containerLogs/ns/p/x", 404, r#"container "x" not found in pod "p""#),
        ("/containerLogs/ns/p/c?tailLines=x", 400, r#"{"message": "Unable to decode query."}"#),
        ("/containerLogs/ns/p/c?tailLines=-1", 422, r#"{"message": "Invalid request."}"#),
        ("/containerLogs/ns/x/c?limitBytes=0", 422, r#"{"message": "Invalid request."}"#),
        ("/containerLogs/ns/p/c?previous=true", 400, r#"previous terminated container "c" in pod "p" not found"#),
        (
            "/containerLogs/ns/p/c?stream=Stdout",
            400,
            r#"unable to return the given log stream: "Stdout". Please enable PodLogsQuerySplitStreams feature gate in kubelet"#,
        ),
        ("/containerLogs/ns/p/c", 400, "unable to retrieve container logs for wasmtime://1"),
    ] {
        let answer = client.get(path, "admin").await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }
    server.node.set_pod(r#"{"waiting": {"reason": "ErrImagePull"}}"#, 0);
    let answer = client.get(PATH, "admin").await;
    let text = r#"container "c" in pod "p" is waiting to start: image can't be pulled"#;
    assert_eq!((answer.status, answer.body.as_str()), (400, text));
}

async fn follow(mut client: Client, server: &Running) {
    // Small files, so that the log is rotated while it is followed.
    let writer = server.node.writer(100);
    let out = writer.stream(Stream::Stdout);
    // The header comes although there is nothing to read yet.
    let mut response = client.send("GET", &format!("{PATH}?follow=true"), "admin").await;
    for n in 0..4 {
        let line = format!("line {n} of a log that is longer than one file\n");
        out.write(line.as_bytes()).unwrap();
        expect(&mut response, &line).await;
    }
    out.write(b"no newline").unwrap();
    writer.finish().unwrap();
    server.node.ended.cancel();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "no newline");
}

#[tokio::test]
async fn a_log_is_followed_over_http1() {
    let server = Running::start().await;
    follow(Client::http1(&server).await, &server).await;
}

#[tokio::test]
async fn a_log_is_followed_over_http2() {
    let server = Running::start().await;
    follow(Client::http2(&server).await, &server).await;
}

#[tokio::test]
async fn following_an_instance_that_has_ended_ends() {
    let server = Running::start().await;
    server.node.writer(1 << 20).stream(Stream::Stdout).write(b"bye\n").unwrap();
    server.node.set_pod(r#"{"terminated": {"exitCode": 0, "containerID": "wasmtime://1"}}"#, 0);
    let answer = Client::http1(&server).await.get(&format!("{PATH}?follow=true"), "admin").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "bye\n"));
}

#[tokio::test]
async fn a_slow_client_gets_everything() {
    let server = Running::start().await;
    let line = format!("{}\n", "x".repeat(999));
    server.node.writer(1 << 30).stream(Stream::Stdout).write(line.repeat(8000).as_bytes()).unwrap();
    let (mut slow, mut other) = (Client::http2(&server).await, Client::http1(&server).await);
    let response = slow.send("GET", PATH, "admin").await;
    // While the first client reads nothing, the server serves others.
    assert_eq!(other.get(&format!("{PATH}?tailLines=1"), "admin").await.body, line);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 8000 * 1000);
}
