#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::testing::{Answer, FakeApi, pod_ref};

/// Answers a list with `items`, and a watch with silence.
fn list(query: &str, items: &[Value]) -> Answer {
    if query.contains("watch=true") {
        return Answer::never();
    }
    Answer::ok(json!({"metadata": {"resourceVersion": "1"}, "items": items}))
}

fn object(name: &str, immutable: bool) -> Value {
    json!({"metadata": {"name": name, "namespace": "ns", "resourceVersion": "1"}, "immutable": immutable})
}

fn store(
    handler: impl Fn(crate::testing::Seen) -> Answer + Send + Sync + 'static,
) -> (ObjectStore, Arc<ClusterMetrics>) {
    let metrics = Arc::new(ClusterMetrics::default());
    (ObjectStore::new(FakeApi::new(handler).client(), metrics.clone()), metrics)
}

fn running(metrics: &ClusterMetrics) -> u64 {
    metrics.object_watches_started.get() - metrics.object_watches_ended.get()
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

#[tokio::test(start_paused = true)]
async fn one_watch_per_object_for_as_long_as_a_pod_names_it() {
    let (store, metrics) = store(|request| {
        let name = if request.query.contains("metadata.name%3Da") { "a" } else { "b" };
        list(&request.query, &[object(name, false)])
    });
    let a = ObjectRef::ConfigMap("a".to_owned());
    let b = ObjectRef::ConfigMap("b".to_owned());
    let (one, two) = (pod_ref("one", "1"), pod_ref("two", "2"));
    store.register(&one, &[a.clone(), b.clone(), a.clone()]);
    store.register(&two, std::slice::from_ref(&a));
    assert_eq!(store.config_map("ns", "a").await.unwrap().metadata.name.as_deref(), Some("a"));
    assert_eq!(store.config_map("ns", "b").await.unwrap().metadata.name.as_deref(), Some("b"));
    assert_eq!(running(&metrics), 2);
    store.register(&one, std::slice::from_ref(&b));
    store.register(&one, std::slice::from_ref(&b));
    settle().await;
    assert_eq!((metrics.object_watches_started.get(), running(&metrics)), (2, 2));
    store.release(&two);
    store.release(&two);
    settle().await;
    assert_eq!(running(&metrics), 1);
    let missing = store.config_map("ns", "a").await.unwrap_err();
    assert_eq!(missing.to_string(), "object \"ns\"/\"a\" not registered");
    store.release(&one);
    settle().await;
    assert_eq!(running(&metrics), 0);
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_is_found_once_it_is_there() {
    let created = Arc::new(AtomicBool::new(false));
    let server = created.clone();
    let (store, _) = store(move |request| {
        let items = [object("s", false)];
        let items = if server.load(Ordering::Relaxed) { &items[..] } else { &[] };
        if request.query.contains("watch=true") {
            // The watch breaks off with a resource version too old, so that the list is repeated.
            let expired = json!({"code": 410, "status": "Failure", "reason": "Expired", "message": "too old"});
            return Answer::lines(&[json!({"type": "ERROR", "object": expired})]);
        }
        list(&request.query, items)
    });
    store.register(&pod_ref("one", "1"), &[ObjectRef::Secret("s".to_owned())]);
    assert_eq!(store.secret("ns", "s").await.unwrap_err().to_string(), "secret \"s\" not found");
    created.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(store.secret("ns", "s").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_first_moment_are_not_told() {
    let requests = Arc::new(AtomicUsize::new(0));
    let server = requests.clone();
    let (store, _) = store(move |request| match server.fetch_add(1, Ordering::Relaxed) {
        0..3 => Answer::status(
            403,
            "secrets \"s\" is forbidden: no relationship found between node 'wasm-1' and this object",
        ),
        _ => list(&request.query, &[object("s", false)]),
    });
    store.register(&pod_ref("one", "1"), &[ObjectRef::Secret("s".to_owned())]);
    assert!(store.secret("ns", "s").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn lasting_refusals_and_silence_are_told() {
    let (store, _) = store(|request| {
        if request.path.contains("secrets") {
            Answer::status(403, "secrets \"s\" is forbidden")
        } else {
            Answer::never()
        }
    });
    let refs = [ObjectRef::Secret("s".to_owned()), ObjectRef::ConfigMap("c".to_owned())];
    store.register(&pod_ref("one", "1"), &refs);
    let error = store.secret("ns", "s").await.unwrap_err();
    assert_eq!(error, ObjectError::Forbidden("secrets \"s\" is forbidden".to_owned()));
    let error = store.config_map("ns", "c").await.unwrap_err();
    assert_eq!(error.to_string(), "configmap \"c\" could not be read: no answer from the API server");
}

#[tokio::test(start_paused = true)]
async fn an_immutable_object_is_read_once() {
    let watches = Arc::new(AtomicUsize::new(0));
    let server = watches.clone();
    let (store, _) = store(move |request| {
        if request.query.contains("watch=true") {
            server.fetch_add(1, Ordering::Relaxed);
        }
        list(&request.query, &[object("c", true)])
    });
    store.register(&pod_ref("one", "1"), &[ObjectRef::ConfigMap("c".to_owned())]);
    assert!(store.config_map("ns", "c").await.is_ok());
    settle().await;
    assert!(store.config_map("ns", "c").await.is_ok());
    assert_eq!(watches.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn runtime_classes_are_kept_for_a_moment() {
    let requests = Arc::new(AtomicUsize::new(0));
    let server = requests.clone();
    let (store, _) = store(move |request| {
        server.fetch_add(1, Ordering::Relaxed);
        if request.path.ends_with("/wasm") {
            return Answer::ok(json!({"metadata": {"name": "wasm"}, "handler": "wasm-node"}));
        }
        Answer::status(404, "runtimeclasses.node.k8s.io \"x\" not found")
    });
    for _ in 0..2 {
        assert_eq!(store.runtime_handler("wasm").await.unwrap(), "wasm-node");
    }
    assert_eq!(requests.load(Ordering::Relaxed), 1);
    let missing = store.runtime_handler("x").await.unwrap_err();
    assert_eq!(missing.to_string(), "runtimeclass.node.k8s.io \"x\" not found");
}
