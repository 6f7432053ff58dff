//! Handlers of WASI 0.3: one instance for many requests.

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Frame;
use wasmnode_provider_api::HttpSettings;

use crate::client::{Connection, MOMENT, body_with_trailers, get, pieces, request};
use crate::rig::{Guest, Rig};

#[tokio::test]
async fn answers_from_one_instance() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip3, HttpSettings::default()).await;
    let (status, text) = get(serving.address, "/request").await;
    assert!(status == 200 && text.starts_with("/request web.test\n"), "{text}");
    assert_eq!(get(serving.address, "/count").await.1, "2");
    assert_eq!(get(serving.address, "/print").await.0, 200);
    rig.until("the end of the idle instance", |usage| usage.instances == 0).await;
    assert_eq!(get(serving.address, "/count").await.1, "1");
    let (exit, log) = rig.stopped(&serving).await;
    assert_eq!(exit.code, 0);
    assert!(log.contains("stdout F one line of stdout\n"), "{log}");
}

#[tokio::test]
async fn serves_many_at_a_time_with_few_instances() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip3, HttpSettings::default()).await;
    let asking: Vec<_> = (0..20).map(|_| tokio::spawn(get(serving.address, "/sleep?1000"))).collect();
    let usage = rig.until("all requests", |usage| usage.requests == 20).await;
    assert!(usage.instances <= 2, "{usage:?}");
    for answer in asking {
        assert_eq!(answer.await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn streams_with_trailers() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip3, HttpSettings::default()).await;
    let mut connection = Connection::http2(serving.address).await;
    let (frames, body) = pieces();
    let response = connection.send(request("/echo").method("POST").body(body).unwrap()).await;
    let end = HeaderMap::from_iter([("x-end".parse().unwrap(), "yes".parse().unwrap())]);
    frames.unbounded_send(Ok(Frame::data(Bytes::from("hello")))).unwrap();
    frames.unbounded_send(Ok(Frame::trailers(end.clone()))).unwrap();
    drop(frames);
    assert_eq!(body_with_trailers(response).await, ("hello".to_owned(), Some(end)));
}

#[tokio::test]
async fn a_trap_is_the_end_of_an_instance_only() {
    let mut rig = Rig::new().await;
    let serving = rig.serve(Guest::Wasip3, HttpSettings::default()).await;
    assert_eq!(get(serving.address, "/trap").await.0, 500);
    assert_eq!(get(serving.address, "/count").await, (200, "1".to_owned()));
    let (_, log) = rig.stopped(&serving).await;
    assert!(log.contains("wasm `unreachable` instruction executed"), "{log}");
}

#[tokio::test]
async fn a_handler_that_never_answers_is_ended() {
    let mut rig = Rig::new().await;
    let settings = HttpSettings { response_timeout: MOMENT, ..HttpSettings::default() };
    let serving = rig.serve(Guest::Wasip3, settings).await;
    assert_eq!(get(serving.address, "/spin").await.0, 504);
    rig.until("the end of the instance", |usage| usage.instances == 0).await;
    assert_eq!(get(serving.address, "/count").await.0, 200);
}
