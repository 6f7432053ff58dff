//! Runners of older builds, whose code is compiled by their own program and stays while they use it.

use std::path::{Path, PathBuf};

use wasmnode_images::{Engines, Image, Images, PullPolicy, Reference, Request, Target};

use crate::registry::Registry;
use crate::support::{Node, compiler, mk_module, mk_wasip3_component};

fn older() -> Target {
    Target { engines: Engines { base: "01".repeat(32), wasip3: None }, program: compiler("older") }
}

async fn ensure(images: &Images, reference: &Reference) -> Image {
    images.ensure(&Request::new(reference, PullPolicy::IfNotPresent)).await.unwrap()
}

fn code(image: &Image) -> &Path {
    &image.program.as_ref().unwrap().code
}

/// As a runner's group links what it uses.
fn link(node: &Node, code: &Path) -> PathBuf {
    let link = node.root.path().join("linked.cwasm");
    std::fs::hard_link(code, &link).unwrap();
    link
}

#[tokio::test]
async fn each_engine_gets_code_of_its_own_program() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let old = node.images.for_target(Some(&older()));
    let (first, second) = (ensure(&old, &reference).await, ensure(&old, &reference).await);
    let own = ensure(&old.for_target(None), &reference).await;
    assert!(std::fs::read(code(&first)).unwrap().starts_with(b"older code for base\n"));
    assert!(std::fs::read(code(&own)).unwrap().starts_with(b"code for base\n"));
    assert_eq!((code(&first), second.program.as_ref().unwrap().compiled), (code(&second), None));
    assert_eq!(first.program.as_ref().unwrap().engine_id, older().engines.base);
    assert_eq!((registry.take_log().len(), node.images.metrics().compiles_succeeded), (3, 2));
    // Whoever asks for it: an image knows what it was compiled for.
    let again = node.images.compile_again(&first).await.unwrap();
    assert!(std::fs::read(code(&again)).unwrap().starts_with(b"older code for base\n"));
    assert_eq!(node.images.metrics().compiles_succeeded, 3);
}

#[tokio::test]
async fn many_pods_share_a_compilation_for_each_engine() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let handles = [node.images.for_target(Some(&older())), node.images.clone()];
    futures::future::join_all((0..20).map(|n| ensure(&handles[n % 2], &reference))).await;
    assert_eq!(node.images.metrics().compiles_succeeded, 2);
}

#[tokio::test]
async fn what_a_target_lacks_is_told() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("new", "v1", &mk_wasip3_component());
    registry.push("app", "v1", &mk_module(1));
    let (new, app) = (registry.reference("new:v1"), registry.reference("app:v1"));
    let strange = Target { engines: Engines { base: "../x".to_owned(), wasip3: None }, ..older() };
    let gone = Target { program: compiler("missing"), ..older() };
    for (target, reference, expected) in [
        (older(), &new, "needs WASI 0.3"),
        (strange, &app, "engine id \"../x\" is not 64 hex digits"),
        (gone, &app, "cannot start"),
    ] {
        let request = Request::new(reference, PullPolicy::IfNotPresent);
        let err = node.images.for_target(Some(&target)).ensure(&request).await.unwrap_err().to_string();
        assert!(err.contains(expected), "{err}");
    }
    ensure(&node.images, &app).await;
}

#[tokio::test]
async fn code_that_a_runner_has_linked_survives_its_agent() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let image = ensure(&node.images.for_target(Some(&older())), &reference).await;
    let code = code(&image).to_owned();
    let link = link(&node, &code);
    drop(image);
    // Neither an agent that knows no such engine nor the limit takes it, nor the image that a restart needs.
    let node = node.restart(|config| config.size_limit = 0);
    let collected = node.images.collect_garbage().await.unwrap();
    assert_eq!((collected.images, node.images.list().len()), (0, 1));
    assert!(code.exists() && collected.over_limit > 0);
    assert_eq!(node.images.prune().await.unwrap().images, 0);
    let err = node.images.remove(&reference).await.unwrap_err().to_string();
    assert!(err.contains("is in use"), "{err}");
    std::fs::remove_file(&link).unwrap();
    assert_eq!(node.images.collect_garbage().await.unwrap().images, 1);
    assert!(!code.exists());
}

#[tokio::test]
async fn idle_code_of_older_engines_goes_before_images() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let own = code(&ensure(&node.images, &reference).await).to_owned();
    let without = node.images.metrics().disk_bytes;
    let node = node.restart(|config| config.size_limit = without);
    let image = ensure(&node.images.for_target(Some(&older())), &reference).await;
    // Held.
    let old = code(&image).to_owned();
    node.images.collect_garbage().await.unwrap();
    assert!(old.exists() && own.exists());
    drop(image);
    let collected = node.images.collect_garbage().await.unwrap();
    assert_eq!((collected.images, old.exists(), own.exists()), (0, false, true));
    // Below the limit it stays for the next start of a pod, until nobody knows the engine.
    let node = node.restart(|config| config.size_limit = u64::MAX);
    drop(ensure(&node.images.for_target(Some(&older())), &reference).await);
    node.images.collect_garbage().await.unwrap();
    assert!(old.exists());
    let node = node.restart(|_| {});
    node.images.collect_garbage().await.unwrap();
    assert!(!old.parent().unwrap().exists() && own.exists());
}
