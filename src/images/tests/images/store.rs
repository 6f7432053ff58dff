use std::path::Path;

use wasmnode_images::{Digest, Images, OpenError, PullPolicy};

use crate::registry::Registry;
use crate::support::{Node, mk_module};

/// Flips a bit without changing the size.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn index(node: &Node) -> serde_json::Value {
    let bytes = std::fs::read(node.root.path().join("images/index.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn the_store_is_an_oci_layout() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let pushed = registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    let layout = std::fs::read(node.root.path().join("images/oci-layout")).unwrap();
    assert_eq!(layout, br#"{"imageLayoutVersion":"1.0.0"}"#);
    let entries = index(&node)["manifests"].clone();
    let names: Vec<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap())
        .collect();
    let pinned = format!("{}/app@{}", registry.host, pushed.manifest);
    assert_eq!(names, [reference.to_string(), pinned.clone()]);
    assert_eq!(entries[0]["digest"], pushed.manifest.to_string());
    assert_eq!(entries[0]["size"], pushed.manifest_bytes.len());
    assert_eq!(std::fs::read(node.blob(pushed.manifest)).unwrap(), pushed.manifest_bytes);
    let listed = node.images.list();
    assert_eq!(listed[0].names, [pinned, reference.to_string()]);
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let before = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    registry.take_log();
    let after = node.restart(|_| {}).ensure(&reference, PullPolicy::Never).await.unwrap();
    assert_eq!(
        (after.digest, after.program.as_ref().unwrap().code.clone(), after.title),
        (before.digest, before.program.as_ref().unwrap().code.clone(), before.title.clone())
    );
    assert_eq!((after.pulled, after.program.as_ref().unwrap().compiled), (None, None));
    assert_eq!(registry.take_log(), Vec::<String>::new());
}

#[tokio::test]
async fn unfinished_files_go_and_foreign_ones_stay() {
    let node = Node::new();
    let root = node.root.path().to_owned();
    let engine = root.join("code").join("ba".repeat(32));
    std::fs::create_dir_all(&engine).unwrap();
    std::fs::write(engine.join(".tmp-abc"), "half").unwrap();
    std::fs::write(root.join("images/.tmp/.tmpabc"), "half").unwrap();
    let foreign = root.join("images/blobs/sha256").join(Digest::of(b"theirs").hex());
    std::fs::write(&foreign, "theirs").unwrap();
    let node = node.restart(|config| config.size_limit = 0);
    node.images.collect_garbage().await.unwrap();
    assert_eq!(node.leftovers().len(), 0);
    assert!(foreign.exists());
}

#[tokio::test]
async fn entries_of_others_stay_in_the_index() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let theirs = serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(b"theirs").to_string(),
        "size": 6,
        "annotations": {"org.opencontainers.image.ref.name": "theirs:v1"},
    });
    let text = serde_json::json!({"schemaVersion": 2, "mediaType": "", "manifests": [theirs]});
    std::fs::write(node.root.path().join("images/index.json"), text.to_string()).unwrap();
    registry.push("app", "v1", &mk_module(1));
    for _ in 0..2 {
        node.ensure(&registry.reference("app:v1"), PullPolicy::Always).await.unwrap();
        let entries = index(&node)["manifests"].clone();
        assert_eq!((entries.as_array().unwrap().len(), &entries[0]), (3, &theirs));
    }
}

#[tokio::test]
async fn a_damaged_blob_is_pulled_again() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let pushed = registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let image = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    // Another size is noticed at the next use.
    std::fs::write(node.blob(pushed.wasm), "short").unwrap();
    let again = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    assert!(again.pulled.is_some());
    assert_eq!(Digest::of(&std::fs::read(node.blob(pushed.wasm)).unwrap()), pushed.wasm);
    // The same size is noticed when it is read.
    damage(&node.blob(pushed.wasm));
    std::fs::remove_file(&image.program.as_ref().unwrap().code).unwrap();
    let again = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    assert!(again.pulled.is_some() && again.program.as_ref().unwrap().compiled.is_some());
    assert_eq!(Digest::of(&std::fs::read(node.blob(pushed.wasm)).unwrap()), pushed.wasm);
}

#[tokio::test]
async fn a_damaged_blob_that_may_not_be_pulled_is_an_error() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let pushed = registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let image = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    damage(&node.blob(pushed.wasm));
    std::fs::remove_file(&image.program.as_ref().unwrap().code).unwrap();
    let err = node.ensure(&reference, PullPolicy::Never).await.unwrap_err().to_string();
    assert!(err.contains("is damaged"), "{err}");
}

#[tokio::test]
async fn damaged_code_is_compiled_again() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let before = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    let code = std::fs::read(&before.program.as_ref().unwrap().code).unwrap();
    damage(&before.program.as_ref().unwrap().code);
    // The digest is checked once per process.
    let node = node.restart(|_| {});
    let after = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    assert!(after.program.as_ref().unwrap().compiled.is_some());
    assert_eq!(std::fs::read(&after.program.as_ref().unwrap().code).unwrap(), code);
}

#[tokio::test]
async fn broken_records_are_set_aside() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    std::fs::write(node.root.path().join("images/records.json"), "{").unwrap();
    let node = node.restart(|_| {});
    assert!(node.root.path().join("images/records.damaged").exists());
    registry.take_log();
    node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    // The blob itself was there, only the small things are read again.
    assert_eq!(registry.take_log().len(), 2);
}

#[tokio::test]
async fn the_least_recently_used_image_goes_first() {
    let (node, registry) = (Node::new(), Registry::start().await);
    for n in 0..3 {
        registry.push(&format!("app{n}"), "v1", &mk_module(n));
        let reference = registry.reference(&format!("app{n}:v1"));
        node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    }
    assert_eq!((node.images.list().len(), node.code_count()), (3, 3));
    let records = node.root.path().join("images/records.json");
    let text = std::fs::read(&records).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    for image in json["images"].as_array_mut().unwrap() {
        let used = if image["names"].to_string().contains("app1") { 1 } else { 2 };
        image["last_used"] = used.into();
    }
    std::fs::write(&records, json.to_string()).unwrap();
    let total = node.images.metrics().disk_bytes;
    let node = node.restart(|config| config.size_limit = total - 1);
    // Those who hold images from before come after that.
    assert_eq!(node.images.list().len(), 3);
    node.images.collect_garbage().await.unwrap();
    let names = format!("{:?}", node.images.list());
    assert_eq!((node.images.list().len(), node.code_count()), (2, 2));
    assert!(!names.contains("app1"), "{names}");
    assert!(node.images.metrics().disk_bytes < total);
}

#[tokio::test]
async fn what_is_held_stays_and_shared_blobs_too() {
    let node = Node::with(|config| config.size_limit = 1);
    let registry = Registry::start().await;
    let pushed: Vec<_> = (0..2).map(|n| registry.push(&format!("app{n}"), "v1", &mk_module(n))).collect();
    let (first, second) = (registry.reference("app0:v1"), registry.reference("app1:v1"));
    let first = node.ensure(&first, PullPolicy::IfNotPresent).await.unwrap();
    let held = node.ensure(&second, PullPolicy::IfNotPresent).await.unwrap();
    assert!(first.program.as_ref().unwrap().code.exists() && held.program.as_ref().unwrap().code.exists());
    let code = first.program.as_ref().unwrap().code.clone();
    let clone = first.clone();
    drop(first);
    assert_eq!(node.images.collect_garbage().await.unwrap().images, 0);
    drop(clone);
    let collected = node.images.collect_garbage().await.unwrap();
    assert_eq!(collected.images, 1);
    assert!(collected.bytes > 0 && collected.over_limit > 0);
    assert!(!code.exists() && !node.blob(pushed[0].wasm).exists());
    // Both have the same configuration blob.
    assert_eq!((node.blob_count(), node.images.metrics().images_collected), (3, 1));
    node.ensure(&second, PullPolicy::Never).await.unwrap();
}

#[tokio::test]
async fn code_of_an_engine_that_is_gone_is_removed() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let old = node.program(&reference, PullPolicy::IfNotPresent).await.code;
    let node = node.restart(|config| config.engines.base = "cd".repeat(32));
    assert!(old.exists());
    let (directory, foreign) = (old.parent().unwrap(), node.root.path().join("code").join("ef".repeat(32)));
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("theirs"), "theirs").unwrap();
    node.images.collect_garbage().await.unwrap();
    assert!(!directory.exists() && foreign.join("theirs").exists());
    let image = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    assert!(image.pulled.is_none() && image.program.as_ref().unwrap().compiled.is_some());
}

#[tokio::test]
async fn an_engine_id_is_a_plain_name() {
    let node = Node::new();
    let config = node.config(|config| config.engines.base = "../x".to_owned());
    let err = Images::open(config).err().unwrap();
    assert!(matches!(err, OpenError::EngineId(_)), "{err}");
}
