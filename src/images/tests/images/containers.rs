//! Container images: layers, a root, and the file in it that runs.

use serde_json::json;
use wasmnode_images::{Digest, Engine, Image, ImageError, Kind, PullPolicy, Reference, Request};

use crate::registry::{INDEX, MANIFEST, Registry, Reply};
use crate::support::{Node, mk_module, mk_wasip3_component};

/// A layer of regular files.
fn mk_layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

async fn ensure(node: &Node, reference: &Reference, command: &[&str]) -> Result<Image, ImageError> {
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let request = Request { command: &command, ..Request::new(reference, PullPolicy::IfNotPresent) };
    node.images.ensure(&request).await
}

fn entries(node: &Node, below: &str) -> usize {
    std::fs::read_dir(node.root.path().join(below)).unwrap().count()
}

#[tokio::test]
async fn an_image_has_a_root_and_a_program() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let (app, tool) = (mk_module(1), mk_wasip3_component());
    let layers = [
        mk_layer(&[("app.wasm", &mk_module(9)), ("etc/old", b"x")]),
        mk_layer(&[("app.wasm", &app), ("bin/tool", &tool), ("etc/.wh.old", b"")]),
    ];
    let run = json!({"Entrypoint": ["/app.wasm"], "Cmd": ["serve"], "Env": ["A=b"], "WorkingDir": "/srv"});
    let digest = registry.push_image("app", "v1", &layers, &run);
    let reference = registry.reference("app:v1");
    let image = ensure(&node, &reference, &[]).await.unwrap();
    assert_eq!((image.digest, image.title.clone()), (digest, None));
    assert_eq!(
        (image.config.entrypoint.as_slice(), image.config.cmd.as_slice()),
        (&["/app.wasm".to_owned()][..], &["serve".to_owned()][..])
    );
    assert_eq!(
        (image.config.env.as_slice(), image.config.working_dir.as_deref()),
        (&["A=b".to_owned()][..], Some("/srv"))
    );
    let program = image.program.unwrap();
    assert_eq!((program.wasm_digest, program.kind, program.engine), (Digest::of(&app), Kind::Module, Engine::Base));
    let root = image.root.unwrap();
    assert_eq!(root, node.root.path().join("images/root").join(digest.hex()));
    assert_eq!(std::fs::read(root.join("app.wasm")).unwrap(), app);
    assert!(root.join("etc").exists() && !root.join("etc/old").exists());
    // The pod's command chooses, and nothing is pulled for that.
    registry.take_log();
    let other = ensure(&node, &reference, &["tool", "-v"]).await.unwrap();
    let program = other.program.unwrap();
    assert_eq!((program.wasm_digest, program.engine), (Digest::of(&tool), Engine::Wasip3));
    let shell = ensure(&node, &reference, &["/bin/sh", "-c", "x"]).await.unwrap();
    assert_eq!(shell.program.unwrap().wasm_digest, Digest::of(&app));
    let missing = ensure(&node, &reference, &["missing.wasm"]).await.unwrap();
    assert_eq!(missing.program.unwrap_err().to_string(), "exec: \"missing.wasm\": executable file not found in $PATH");
    assert_eq!(registry.take_log(), Vec::<String>::new());
}

#[tokio::test]
async fn an_image_for_linux_runs_where_it_says_that_it_is_wasm() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let layers = [mk_layer(&[("app.wasm", &mk_module(1)), ("fake.wasm", b"#!/bin/sh"), ("bin/sh", b"\x7fELF")])];
    let push = |tag: &str, run: &serde_json::Value| {
        registry.push_image_for(("linux", "amd64"), "app", tag, &layers, run);
        registry.reference(&format!("app:{tag}"))
    };
    let label = json!({"run.oci.handler": "wasm"});
    let marked = push("marked", &json!({"Entrypoint": ["/app.wasm", "x"], "Labels": label}));
    let image = ensure(&node, &marked, &[]).await.unwrap();
    assert_eq!(image.program.unwrap().wasm_digest, Digest::of(&mk_module(1)));
    assert_eq!(image.config.entrypoint, ["/app.wasm", "x"]);
    // The name alone is not enough, nor is the mark.
    let fake = push("fake", &json!({"Cmd": ["fake.wasm"], "Labels": label}));
    let why = ensure(&node, &fake, &[]).await.unwrap().program.unwrap_err().to_string();
    assert!(why.contains("the file is not WebAssembly"), "{why}");
    let native = push("native", &json!({"Entrypoint": ["/bin/sh"], "Labels": label}));
    let unmarked = push("unmarked", &json!({"Entrypoint": ["/app.wasm"]}));
    for (reference, expected) in [(native, "whose entry point names no .wasm file"), (unmarked, "is for linux/amd64")] {
        let err = ensure(&node, &reference, &[]).await.unwrap_err();
        assert!(err.is_not_wasm() && err.to_string().contains(expected), "{err}");
    }
}

#[tokio::test]
async fn the_containers_own_path_decides_where_a_name_is_looked_up() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let (first, second, third) = (mk_module(1), mk_module(2), mk_module(3));
    let files: [(&str, &[u8]); 4] =
        [("bin/tool", &first), ("opt/tool", &second), ("app.wasm", &third), ("opt/script", b"#!/bin/sh")];
    let run = json!({"Entrypoint": ["/app.wasm"], "Env": ["PATH=/bin"]});
    registry.push_image("app", "v1", &[mk_layer(&files)], &run);
    let reference = registry.reference("app:v1");
    let cases: [(Option<&str>, &str, &[u8]); 9] = [
        (None, "tool", &first),
        (Some("/opt"), "tool", &second),
        (Some("/bin:/opt"), "tool", &first),
        (Some("/nothing:/opt:/bin"), "tool", &second),
        // What is no directory from the root on is none.
        (Some("opt:./opt:~/opt::/bin"), "tool", &first),
        // Found nowhere, so that the image's own program gets the words.
        (Some(""), "tool", &third),
        (Some("/etc"), "tool", &third),
        (Some("/opt"), "script", &third),
        // A path is no name.
        (Some("/opt"), "/bin/tool", &first),
    ];
    for (path, command, expected) in cases {
        let words = [command.to_owned()];
        let request = Request { command: &words, path, ..Request::new(&reference, PullPolicy::IfNotPresent) };
        let program = node.images.ensure(&request).await.unwrap().program.unwrap();
        assert_eq!(program.wasm_digest, Digest::of(expected), "{path:?} {command}");
    }
}

/// An index of images for Linux on this machine and on none, and an attestation.
fn push_linux_index(registry: &Registry, name: &str, run: &serde_json::Value) -> Reference {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let layers = [mk_layer(&[("app.wasm", &mk_module(1))])];
    let image = registry.push_image_for(("linux", machine), name, "one", &layers, run);
    let entry = |digest: Digest, os: &str, architecture: &str| {
        json!({
            "mediaType": MANIFEST,
            "digest": digest.to_string(),
            "size": 1,
            "platform": {"os": os, "architecture": architecture},
        })
    };
    let missing = Digest::of(b"missing");
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            entry(missing, "linux", "none"),
            entry(image, "linux", machine),
            entry(missing, "unknown", "unknown"),
        ],
    });
    registry.put_manifest(name, "v1", INDEX, &serde_json::to_vec(&index).unwrap());
    registry.reference(&format!("{name}:v1"))
}

#[tokio::test]
async fn an_index_without_wasm_may_lead_to_an_image_that_says_that_it_is_wasm() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let label = json!({"module.wasm.image/variant": "compat"});
    let marked = push_linux_index(&registry, "marked", &json!({"Entrypoint": ["/app.wasm"], "Labels": label}));
    let image = ensure(&node, &marked, &[]).await.unwrap();
    assert_eq!(image.program.unwrap().wasm_digest, Digest::of(&mk_module(1)));
    let native = push_linux_index(&registry, "native", &json!({"Entrypoint": ["/app.wasm"]}));
    registry.take_log();
    // The index, its entry and the configuration; then the index alone.
    for requests in [3, 1] {
        let err = ensure(&node, &native, &[]).await.unwrap_err();
        assert!(
            err.is_not_wasm() && err.to_string().contains("for linux/a") && err.to_string().contains("linux/none"),
            "{err}"
        );
        assert_eq!(registry.take_log().len(), requests);
    }
}

#[tokio::test]
async fn an_image_survives_a_restart_and_goes_with_its_root() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let app = mk_module(1);
    registry.push_image("app", "v1", &[mk_layer(&[("app.wasm", &app)])], &json!({"Entrypoint": ["/app.wasm"]}));
    let reference = registry.reference("app:v1");
    let size = ensure(&node, &reference, &[]).await.unwrap().size_bytes;
    let disk = node.images.metrics().disk_bytes;
    assert!(disk >= size + 4096, "{disk} {size}");
    let node = node.restart(|_| {});
    registry.take_log();
    let image = ensure(&node, &reference, &[]).await.unwrap();
    assert!(image.pulled.is_none() && image.program.as_ref().unwrap().compiled.is_none());
    assert_eq!(registry.take_log(), Vec::<String>::new());
    let root = image.root.clone().unwrap();
    let node = node.restart(|config| config.size_limit = 0);
    node.images.collect_garbage().await.unwrap();
    assert!(!root.exists());
    assert_eq!((node.blob_count(), node.code_count(), entries(&node, "images/.tmp")), (0, 0, 0));
    drop(image);
}

#[tokio::test]
async fn what_is_held_keeps_its_root() {
    let node = Node::with(|config| config.size_limit = 1);
    let registry = Registry::start().await;
    registry.push_image("app", "v1", &[mk_layer(&[("app.wasm", &mk_module(1))])], &json!({"Cmd": ["app.wasm"]}));
    let image = ensure(&node, &registry.reference("app:v1"), &[]).await.unwrap();
    let root = image.root.clone().unwrap();
    node.images.collect_garbage().await.unwrap();
    assert!(root.join("app.wasm").exists());
    drop(image);
    node.images.collect_garbage().await.unwrap();
    assert_eq!((root.exists(), entries(&node, "images/.tmp")), (false, 0));
}

#[tokio::test]
async fn damage_is_repaired() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let (app, other) = (mk_module(1), mk_module(2));
    let layer = mk_layer(&[("app.wasm", &app)]);
    registry.push_image("app", "v1", std::slice::from_ref(&layer), &json!({"Entrypoint": ["/app.wasm"]}));
    let reference = registry.reference("app:v1");
    let image = ensure(&node, &reference, &[]).await.unwrap();
    let (root, code) = (image.root.unwrap(), image.program.unwrap().code);
    // A file of the root: noticed when it is compiled, unpacked again from the stored layer.
    std::fs::write(root.join("app.wasm"), &other).unwrap();
    std::fs::remove_file(&code).unwrap();
    let image = ensure(&node, &reference, &[]).await.unwrap();
    assert_eq!(image.program.unwrap().wasm_digest, Digest::of(&app));
    assert_eq!(std::fs::read(root.join("app.wasm")).unwrap(), app);
    // The whole root, and a layer: the next pull takes the layer for what it is, the one after it writes it again.
    std::fs::remove_dir_all(&root).unwrap();
    let blob = node.blob(Digest::of(&layer));
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let err = ensure(&node, &reference, &[]).await.unwrap_err();
    assert!(matches!(err, ImageError::Damaged { .. }), "{err}");
    ensure(&node, &reference, &[]).await.unwrap();
    assert!(root.join("app.wasm").exists());
}

#[tokio::test]
async fn broken_layers_are_refused_once() {
    let run = json!({"Entrypoint": ["/app.wasm"]});
    let mut upwards = tar::Header::new_gnu();
    upwards.as_gnu_mut().unwrap().name[..7].copy_from_slice(b"../evil");
    upwards.set_size(0);
    upwards.set_cksum();
    let mut hostile = tar::Builder::new(Vec::new());
    hostile.append(&upwards, &b""[..]).unwrap();
    let cases = [
        (hostile.into_inner().unwrap(), "leads out of the image"),
        (mk_layer(&[("zeroes", &vec![0; 5 << 20])]), "this node unpacks at most 4194304"),
        (b"no tar at all".to_vec(), "failed to extract layer sha256:"),
    ];
    for (layer, expected) in cases {
        let (node, registry) = (Node::new(), Registry::start().await);
        registry.push_image("app", "v1", &[layer], &run);
        let reference = registry.reference("app:v1");
        for _ in 0..2 {
            let err = ensure(&node, &reference, &[]).await.unwrap_err().to_string();
            assert!(err.starts_with("failed to pull and unpack image"), "{err}");
            assert!(err.contains(expected), "{err}");
        }
        assert_eq!((node.blob_count(), entries(&node, "images/root"), entries(&node, "images/.tmp")), (0, 0, 0));
        assert!(!node.root.path().join("images/evil").exists());
    }
}

#[tokio::test]
async fn sizes_are_bounded() {
    let node = Node::with(|config| config.max_module_size = 100);
    let registry = Registry::start().await;
    let big = [mk_module(1), vec![0; 200]].concat();
    registry.push_image(
        "app",
        "v1",
        &[mk_layer(&[("app.wasm", &big), ("small.wasm", &mk_module(1))])],
        &json!({"Entrypoint": ["/app.wasm"]}),
    );
    let reference = registry.reference("app:v1");
    let err = ensure(&node, &reference, &[]).await.unwrap_err();
    assert!(matches!(err, ImageError::TooLarge { limit: 100, .. }), "{err}");
    ensure(&node, &reference, &["/small.wasm"]).await.unwrap();
}

#[tokio::test]
async fn manifests_that_do_not_fit_their_configuration() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let long = "x".repeat(200 << 10);
    registry.push_image("env", "v1", &[mk_layer(&[("a", b"x")])], &json!({"Env": [long]}));
    let err = node.refusal(&registry.reference("env:v1")).await;
    assert!(err.contains("command and environment"), "{err}");
    let layers: Vec<_> = (0..129).map(|n: usize| mk_layer(&[("a", n.to_string().as_bytes())])).collect();
    registry.push_image("many", "v1", &layers, &json!({}));
    let err = node.refusal(&registry.reference("many:v1")).await;
    assert!(err.contains("129 layers"), "{err}");
}

#[tokio::test]
async fn a_layer_that_breaks_off_leaves_nothing() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let layers = [mk_layer(&[("app.wasm", &mk_module(1))]), mk_layer(&[("b", b"x")])];
    registry.push_image("app", "v1", &layers, &json!({"Entrypoint": ["/app.wasm"]}));
    let path = format!("/v2/app/blobs/{}", Digest::of(&layers[1]));
    registry.set(&path, Reply::Short(layers[1].clone()));
    let reference = registry.reference("app:v1");
    let err = ensure(&node, &reference, &[]).await.unwrap_err().to_string();
    assert!(err.contains("failed to copy"), "{err}");
    assert_eq!((node.blob_count(), node.leftovers().len()), (0, 0));
    registry.put_blob("app", &layers[1]);
    ensure(&node, &reference, &[]).await.unwrap();
}
