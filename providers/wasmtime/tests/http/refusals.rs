//! What clients are told when they ask for too much.

use http::header::RETRY_AFTER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wasmnode_provider_api::HttpSettings;

use crate::client::{Connection, MOMENT, empty, get, raw, request};
use crate::rig::{Guest, PATIENCE, Rig};

#[tokio::test]
async fn refuses_what_is_too_large_or_no_request() {
    let mut rig = Rig::new().await;
    let settings = HttpSettings { max_body: 10, max_headers: 20, ..HttpSettings::default() };
    let serving = rig.serve(Guest::Wasip2, settings).await;
    let many = (0..30).map(|n| format!("h{n}: v\r\n")).collect::<String>();
    let large = format!("h: {}\r\n", "v".repeat(100_000));
    let cases = [
        ("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\n".to_owned(), "413"),
        ("POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n".to_owned(), "413"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{large}\r\n"), "431"),
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
    ];
    for (bytes, expected) in cases {
        let mut stream = TcpStream::connect(serving.address).await.unwrap();
        // The server may refuse and close before it has read all.
        let _refused = stream.write_all(bytes.as_bytes()).await;
        let mut head = [0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("an answer").unwrap();
        let shown = &bytes[..bytes.len().min(80)];
        assert_eq!(String::from_utf8_lossy(&head), format!("HTTP/1.1 {expected}"), "{shown:?}");
    }
    assert_eq!(get(serving.address, "/count").await.0, 200);
}

#[tokio::test]
async fn a_guest_gets_no_more_of_a_body_than_it_may() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip2, HttpSettings { max_body: 10, ..HttpSettings::default() }).await;
    let chunked = b"POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
        b\r\nhello world\r\n0\r\n\r\n";
    let text = raw(serving.address, chunked).await;
    assert!(!text.contains("hello world"), "{text}");
    let small = b"POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 10\r\n\r\n0123456789";
    assert!(raw(serving.address, small).await.contains("0123456789"));
}

#[tokio::test]
async fn refuses_more_than_the_queue_holds() {
    let mut rig = Rig::new().await;
    let settings = HttpSettings { max_requests: 1, queue: 1, ..HttpSettings::default() };
    let serving = rig.serve(Guest::Wasip2, settings).await;
    let slow = tokio::spawn(get(serving.address, "/sleep?2000"));
    rig.until("the first request", |usage| usage.instances == 1).await;
    let waiting = tokio::spawn(get(serving.address, "/count"));
    rig.until("the second request", |usage| usage.requests == 2).await;
    let mut connection = Connection::http1(serving.address).await;
    let refused = connection.send(request("/count").body(empty()).unwrap()).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    assert_eq!(slow.await.unwrap().0, 200);
    assert_eq!(waiting.await.unwrap().0, 200, "it waited for its turn");
}

#[tokio::test]
async fn does_not_wait_longer_than_it_may() {
    let mut rig = Rig::new().await;
    let settings = HttpSettings { max_requests: 1, response_timeout: MOMENT, ..HttpSettings::default() };
    let serving = rig.serve(Guest::Wasip2, settings).await;
    let spinning = tokio::spawn(get(serving.address, "/spin"));
    rig.until("the first request", |usage| usage.instances == 1).await;
    assert_eq!(spinning.await.unwrap().0, 504);
    rig.until("the end of the instance", |usage| usage.instances == 0).await;
    assert_eq!(get(serving.address, "/count").await.0, 200);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let mut rig = Rig::new().await;
    let settings = HttpSettings { idle_timeout: MOMENT, connections: 2, ..HttpSettings::default() };
    let serving = rig.serve(Guest::Wasip2, settings).await;
    for beginning in ["", "GET /count HT", "GET /count HTTP/1.1\r\nhost: a\r\nx: ", "PRI * HTTP/2.0\r\n"] {
        let began = tokio::time::Instant::now();
        let answered = raw(serving.address, beginning.as_bytes()).await;
        assert!(!answered.contains("200"), "{answered}");
        assert!(began.elapsed() >= MOMENT, "{beginning:?}");
    }
    // Two that say nothing are all that the server takes; then it is the others' turn.
    let _first = TcpStream::connect(serving.address).await.unwrap();
    let _second = TcpStream::connect(serving.address).await.unwrap();
    assert_eq!(get(serving.address, "/count").await.0, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut rig = Rig::new().await;
    let settings = HttpSettings { body_timeout: MOMENT, ..HttpSettings::default() };
    let serving = rig.serve(Guest::Wasip2, settings).await;
    let text = raw(serving.address, b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel").await;
    assert!(!text.contains("hello"), "{text}");
    let ended = rig.until("the end of the instance", |usage| usage.instances == 0).await;
    assert_eq!(ended.requests, 1);
}
