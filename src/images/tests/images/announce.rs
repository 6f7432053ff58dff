use std::sync::atomic::{AtomicUsize, Ordering};

use wasmnode_images::{PullPolicy, Reference, Request};

use crate::registry::{Registry, Reply};
use crate::support::{Node, mk_module};

/// How often a pull was announced, and whether it succeeded.
async fn announced(node: &Node, reference: &Reference, policy: PullPolicy) -> (usize, bool) {
    let count = AtomicUsize::new(0);
    let tell = || {
        count.fetch_add(1, Ordering::Relaxed);
    };
    let result = node.images.ensure_announced(&Request::new(reference, policy), &tell).await;
    (count.load(Ordering::Relaxed), result.is_ok())
}

#[tokio::test]
async fn a_pull_is_announced_once_and_a_present_image_never() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    assert_eq!(announced(&node, &reference, PullPolicy::IfNotPresent).await, (1, true));
    assert_eq!(announced(&node, &reference, PullPolicy::IfNotPresent).await, (0, true));
    assert_eq!(announced(&node, &reference, PullPolicy::Always).await, (1, true));
}

#[tokio::test]
async fn content_that_breaks_off_was_announced_and_a_refusal_was_not() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let pushed = registry.push("app", "v1", &mk_module(1));
    registry.set(&format!("/v2/app/blobs/{}", pushed.wasm), Reply::Short(mk_module(1)));
    assert_eq!(announced(&node, &registry.reference("app:v1"), PullPolicy::Always).await, (1, false));
    assert_eq!(announced(&node, &registry.reference("missing:v1"), PullPolicy::Always).await, (0, false));
}

#[tokio::test]
async fn code_that_an_engine_cannot_load_is_compiled_again() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let image = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    registry.take_log();
    let again = node.images.compile_again(&image).await.unwrap();
    assert!(again.program.unwrap().compiled.is_some());
    assert!(node.ensure(&reference, PullPolicy::Never).await.unwrap().program.unwrap().compiled.is_none());
    assert_eq!(registry.take_log(), Vec::<String>::new());
}
