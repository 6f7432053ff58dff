use wasmnode_images::{Engine, ImageError, Kind, PullPolicy};

use crate::registry::{INDEX, Registry, Reply};
use crate::support::{Node, mk_module};

#[tokio::test]
async fn a_pulled_image_is_described() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let wasm = mk_module(1);
    let pushed = registry.push("team/app", "v1", &wasm);
    let image = node.ensure(&registry.reference("team/app:v1"), PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!(image.digest, pushed.manifest);
    assert_eq!(image.image_id, format!("{}/team/app@{}", registry.host, pushed.manifest));
    assert_eq!(
        (image.program.as_ref().unwrap().kind, image.program.as_ref().unwrap().engine),
        (Kind::Module, Engine::Base)
    );
    assert_eq!(image.program.as_ref().unwrap().wasm_digest, pushed.wasm);
    assert_eq!(image.title.as_deref(), Some("hello.wasm"));
    assert!(image.size_bytes > wasm.len() as u64);
    assert!(image.pulled.unwrap().waiting_included >= image.pulled.unwrap().pull);
    assert!(image.program.as_ref().unwrap().compiled.is_some());
    let expected = format!("code/{}/{}.cwasm", "ba".repeat(32), pushed.wasm.hex());
    assert_eq!(image.program.as_ref().unwrap().code, node.root.path().join(expected));
    let code = std::fs::read(&image.program.as_ref().unwrap().code).unwrap();
    assert_eq!(code, [b"code for base\n".as_slice(), &wasm].concat());
    assert_eq!(image.program.as_ref().unwrap().code_digest, wasmnode_images::Digest::of(&code));
    assert_eq!(node.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn if_not_present_asks_once() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    registry.take_log();
    let again = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!((again.pulled, again.program.as_ref().unwrap().compiled), (None, None));
    assert_eq!(registry.take_log(), Vec::<String>::new());
}

#[tokio::test]
async fn always_resolves_and_loads_only_what_changed() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    node.ensure(&reference, PullPolicy::Always).await.unwrap();
    registry.take_log();
    let same = node.ensure(&reference, PullPolicy::Always).await.unwrap();
    assert!(same.pulled.is_some() && same.program.as_ref().unwrap().compiled.is_none());
    assert_eq!(registry.take_log(), ["HEAD /v2/app/manifests/v1"]);

    let moved = registry.push("app", "v1", &mk_module(2));
    let other = node.ensure(&reference, PullPolicy::Always).await.unwrap();
    assert_eq!(other.digest, moved.manifest);
    let names: Vec<_> = node.images.list().into_iter().map(|image| image.names).collect();
    let tagged = names.iter().filter(|names| names.contains(&reference.to_string())).count();
    assert_eq!((names.len(), tagged), (2, 1), "{names:?}");
}

#[tokio::test]
async fn always_fails_when_the_registry_forgot_the_image() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    node.ensure(&reference, PullPolicy::Always).await.unwrap();
    registry.remove("/v2/app/manifests/v1");
    let err = node.ensure(&reference, PullPolicy::Always).await.unwrap_err().to_string();
    assert!(err.ends_with(": not found"), "{err}");
    node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
}

#[tokio::test]
async fn never_takes_what_is_there() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    let err = node.ensure(&reference, PullPolicy::Never).await.unwrap_err();
    assert!(err.is_never_pull());
    let text = format!("Container image \"{reference}\" is not present with pull policy of Never");
    assert_eq!(err.to_string(), text);
    assert_eq!(registry.take_log(), Vec::<String>::new());
    node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    let image = node.ensure(&reference, PullPolicy::Never).await.unwrap();
    assert_eq!(image.pulled, None);
}

#[tokio::test]
async fn an_image_is_known_by_its_digest_too() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let pushed = registry.push("app", "v1", &mk_module(1));
    node.ensure(&registry.reference("app:v1"), PullPolicy::IfNotPresent).await.unwrap();
    registry.take_log();
    let pinned = registry.reference(&format!("app:other@{}", pushed.manifest));
    let image = node.ensure(&pinned, PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!(image.digest, pushed.manifest);
    assert_eq!(registry.take_log(), Vec::<String>::new());
}

#[tokio::test]
async fn an_index_leads_to_its_wasm() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let inner = registry.push("app", "inner", &mk_module(1));
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            "mediaType": crate::registry::MANIFEST,
            "digest": inner.manifest.to_string(),
            "size": inner.manifest_bytes.len(),
            "platform": {"os": "wasip1", "architecture": "wasm"},
        }],
    });
    let top = registry.put_manifest("app", "v1", INDEX, &serde_json::to_vec(&index).unwrap());
    let image = node.ensure(&registry.reference("app:v1"), PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!((image.digest, image.program.as_ref().unwrap().wasm_digest), (top, inner.wasm));
    assert_eq!(node.blob_count(), 4);
}

#[tokio::test]
async fn a_missing_image_reads_like_containerds() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let reference = registry.reference("nothing:v1");
    let expected = format!(
        "failed to pull and unpack image \"{reference}\": failed to resolve reference \"{reference}\": {reference}: not found"
    );
    assert_eq!(node.refusal(&reference).await, expected);
    registry.push("nothing", "v1", &mk_module(1));
    node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
}

#[tokio::test]
async fn a_foreign_image_costs_one_manifest() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    registry.put_blob("nginx", config);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": crate::registry::MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": wasmnode_images::Digest::of(config).to_string(),
            "size": config.len(),
        },
        "layers": [],
    });
    registry.put_manifest("nginx", "1", crate::registry::MANIFEST, &serde_json::to_vec(&manifest).unwrap());
    let reference = registry.reference("nginx:1");
    for requests in [2, 1] {
        let err = node.ensure(&reference, PullPolicy::Always).await.unwrap_err();
        assert!(err.is_not_wasm());
        assert_eq!(err.to_string(), format!("\"{reference}\" is for linux/amd64, not WebAssembly"));
        assert_eq!(registry.take_log().len(), requests);
    }
    assert_eq!((node.blob_count(), node.images.list().len()), (0, 0));
}

#[tokio::test]
async fn redirects_are_followed_on_plain_registries() {
    let (node, registry, store) = (Node::new(), Registry::start().await, Registry::start().await);
    let pushed = registry.push("app", "v1", &mk_module(1));
    let path = format!("/v2/app/blobs/{}", pushed.wasm);
    store.put_blob("app", &mk_module(1));
    registry.set(&path, Reply::Redirect(format!("http://{}{path}", store.host)));
    node.ensure(&registry.reference("app:v1"), PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!(store.take_log(), [format!("GET {path}")]);
}

#[tokio::test]
async fn a_module_over_the_limit_is_not_loaded() {
    let node = Node::with(|config| config.max_module_size = 10);
    let registry = Registry::start().await;
    let wasm = mk_module(1);
    registry.push("app", "v1", &wasm);
    let reference = registry.reference("app:v1");
    let err = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap_err();
    assert!(matches!(err, ImageError::TooLarge { limit: 10, size, .. } if size == wasm.len() as u64));
    assert!(
        !registry
            .take_log()
            .iter()
            .any(|line| line.contains("blobs/") && line.contains(&wasmnode_images::Digest::of(&wasm).hex()))
    );
}
