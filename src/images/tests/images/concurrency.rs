use std::future::Future;
use std::time::Duration;

use wasmnode_images::PullPolicy;

use crate::registry::{Registry, Reply};
use crate::support::{Node, mk_module};

/// Polls `condition` until it holds; 10 s are patience, not a pause.
async fn eventually(condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), poll).await.unwrap();
}

async fn while_gated<T>(work: impl Future<Output = T>, registry: &Registry, ready: impl Fn() -> bool) -> T {
    let gate = async {
        eventually(ready).await;
        registry.open_gate();
    };
    futures::join!(work, gate).0
}

#[tokio::test]
async fn one_pull_for_many_pods() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let wasm = mk_module(1);
    let pushed = registry.push("app", "v1", &wasm);
    registry.set(&format!("/v2/app/blobs/{}", pushed.wasm), Reply::Gated(wasm));
    let reference = registry.reference("app:v1");
    let pods = futures::future::join_all((0..20).map(|_| node.ensure(&reference, PullPolicy::Always)));
    let log = std::sync::Mutex::new(Vec::new());
    let seen = || {
        log.lock().unwrap().extend(registry.take_log());
        log.lock().unwrap().len() == 3
    };
    for image in while_gated(pods, &registry, seen).await {
        image.unwrap();
    }
    assert_eq!(registry.take_log(), Vec::<String>::new());
    let metrics = node.images.metrics();
    assert_eq!((metrics.pulls_succeeded, metrics.compiles_succeeded), (1, 1));
    assert_eq!((metrics.pulls_waiting, metrics.pulls_running, metrics.compiles_running), (0, 0, 0));
}

#[tokio::test]
async fn pulls_wait_for_their_turn() {
    let node = Node::with(|config| config.pull_parallelism = 1);
    let registry = Registry::start().await;
    let wasm = mk_module(1);
    let pushed = registry.push("slow", "v1", &wasm);
    registry.push("next", "v1", &mk_module(2));
    registry.set(&format!("/v2/slow/blobs/{}", pushed.wasm), Reply::Gated(wasm));
    let (slow, next) = (registry.reference("slow:v1"), registry.reference("next:v1"));
    let both = futures::future::join(node.ensure(&slow, PullPolicy::Always), node.ensure(&next, PullPolicy::Always));
    let queued = || node.images.metrics().pulls_waiting == 1 && node.images.metrics().pulls_running == 1;
    let (slow, next) = while_gated(both, &registry, queued).await;
    slow.unwrap();
    let timing = next.unwrap().pulled.unwrap();
    assert!(timing.waiting_included > timing.pull);
}

#[tokio::test]
async fn an_abandoned_pull_leaves_nothing_and_starts_anew() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let wasm = mk_module(1);
    let pushed = registry.push("app", "v1", &wasm);
    let path = format!("/v2/app/blobs/{}", pushed.wasm);
    registry.set(&path, Reply::Gated(wasm.clone()));
    let reference = registry.reference("app:v1");
    let log = std::sync::Mutex::new(Vec::new());
    let pull = node.ensure(&reference, PullPolicy::Always);
    let started = eventually(|| {
        log.lock().unwrap().extend(registry.take_log());
        log.lock().unwrap().len() == 3
    });
    tokio::select! {
        image = pull => panic!("it was gated: {image:?}"),
        () = started => {}
    }
    eventually(|| node.leftovers().is_empty()).await;
    assert_eq!(node.images.metrics().pulls_running, 0);
    registry.put_blob("app", &wasm);
    node.ensure(&reference, PullPolicy::Always).await.unwrap();
}
