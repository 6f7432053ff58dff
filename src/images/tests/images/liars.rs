//! Registries that break, lie, or try to hurt. Whatever they do ends in a message, leaves no file,
//! and does not keep a later pull from working.

use std::time::Duration;

use wasmnode_images::{Digest, PullPolicy, Timeouts};

use crate::registry::{MANIFEST, Pushed, Registry, Reply};
use crate::support::{Node, mk_module};

/// Patience of a fraction of a second only where the lie is about time: elsewhere a busy machine
/// would be taken for a lying registry.
fn timeouts_for(reply: &Reply) -> Timeouts {
    let patient = Timeouts::default();
    match reply {
        Reply::Stall => Timeouts { stall: Duration::from_millis(300), ..patient },
        Reply::Drip(_) => Timeouts { blob: Duration::from_secs(1), ..patient },
        _ => patient,
    }
}

/// `path` answers with `reply` instead of the truth.
async fn check(what: &str, path: fn(&Pushed) -> String, reply: Reply, expected: &str) {
    let wasm = mk_module(1);
    let node = Node::with(|config| config.timeouts = timeouts_for(&reply));
    let registry = Registry::start().await;
    let pushed = registry.push("app", "v1", &wasm);
    registry.set(&path(&pushed), reply);
    let reference = registry.reference("app:v1");
    let err = node.refusal(&reference).await;
    assert!(err.contains(expected), "{what}: {err}");
    assert!(err.contains(&reference.to_string()), "{what}: {err}");
    assert!(err.len() < 2000, "{what}: {err}");
    assert_eq!((node.leftovers().len(), node.blob_count()), (0, 0), "{what} left files");
    registry.push("app", "v1", &wasm);
    let node = node.restart(|config| config.timeouts = Timeouts::default());
    if let Err(err) = node.ensure(&reference, PullPolicy::IfNotPresent).await {
        panic!("{what} broke the next pull: {err}");
    }
}

fn manifest(_: &Pushed) -> String {
    "/v2/app/manifests/v1".to_owned()
}

fn blob(pushed: &Pushed) -> String {
    format!("/v2/app/blobs/{}", pushed.wasm)
}

#[tokio::test]
async fn lies_about_manifests() {
    let long = format!(r#"{{"schemaVersion":2,"mediaType":"{}"}}"#, "x".repeat(1 << 20));
    let cases: [(&str, Reply, &str); 10] = [
        (
            "a long message",
            Reply::Ok { content_type: MANIFEST, body: long.into_bytes() },
            "unsupported manifest media type",
        ),
        (
            "another digest in the header",
            Reply::Claims { digest: Digest::of(b"x").to_string(), body: b"{}".to_vec() },
            "digest mismatch: expected sha256:2d711642",
        ),
        (
            "a web page",
            Reply::Ok { content_type: "text/html; charset=utf-8", body: b"<html>login</html>".to_vec() },
            "answered with a web page (text/html): is it a registry?",
        ),
        ("a broken manifest", Reply::Ok { content_type: MANIFEST, body: b"{\"schema".to_vec() }, "not valid JSON"),
        (
            "an old manifest",
            Reply::Ok { content_type: MANIFEST, body: br#"{"schemaVersion":1,"name":"a"}"#.to_vec() },
            "schema version 1, only 2 is supported",
        ),
        ("an endless manifest", Reply::Endless, "the answer is larger than 4194304 bytes"),
        ("silence", Reply::Stall, "failed to resolve reference"),
        ("a short manifest", Reply::Short(b"{}".to_vec()), "failed to resolve reference"),
        (
            "a server error",
            Reply::Status { line: "500 Internal Server Error", body: "<h1>oops</h1>" },
            "500 Internal Server Error",
        ),
        (
            "a limit",
            Reply::Status {
                line: "429 Too Many Requests",
                body: r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#,
            },
            "429 Too Many Requests: TOOMANYREQUESTS: slow down",
        ),
    ];
    for (what, reply, expected) in cases {
        check(what, manifest, reply, expected).await;
    }
}

#[tokio::test]
async fn lies_about_blobs() {
    let wasm = mk_module(1);
    let mut altered = wasm.clone();
    *altered.last_mut().unwrap() ^= 1;
    let longer = [wasm.as_slice(), b"x"].concat();
    let octets = |body| Reply::Ok { content_type: "application/octet-stream", body };
    let cases: [(&str, Reply, &str); 9] = [
        ("other bytes", octets(altered), "digest mismatch: expected"),
        ("a truncated blob", octets(wasm[..9].to_vec()), "only 9 of"),
        ("a longer blob", octets(longer), "more than the declared"),
        ("an endless blob", Reply::Endless, "more than the declared"),
        ("a short body", Reply::Short(wasm[..9].to_vec()), "failed to copy"),
        ("silence", Reply::Stall, "failed to copy"),
        ("drops", Reply::Drip(vec![0; 4096]), "no answer within 1s"),
        ("no blob", Reply::Status { line: "404 Not Found", body: "" }, "not found"),
        ("a forbidden blob", Reply::Status { line: "403 Forbidden", body: "" }, "403 Forbidden"),
    ];
    for (what, reply, expected) in cases {
        check(what, blob, reply, expected).await;
    }
}

#[tokio::test]
async fn a_loop_of_redirects_ends() {
    let reply = Reply::Redirect("/v2/app/manifests/v1".to_owned());
    check("redirects", manifest, reply, "too many redirects").await;
}

#[tokio::test]
async fn a_pinned_manifest_must_have_its_digest() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let pushed = registry.push("app", "v1", &mk_module(1));
    let other = registry.push("app", "v2", &mk_module(2));
    let path = format!("/v2/app/manifests/{}", pushed.manifest);
    registry.set(&path, Reply::Ok { content_type: MANIFEST, body: other.manifest_bytes });
    let err = node.refusal(&registry.reference(&format!("app@{}", pushed.manifest))).await;
    assert!(err.contains("digest mismatch"), "{err}");
}

#[tokio::test]
async fn nobody_there() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let reference = registry.reference("app:v1");
    drop(registry);
    let err = node.refusal(&reference).await;
    assert!(err.contains("failed to resolve reference"), "{err}");
}

#[tokio::test]
async fn what_is_no_wasm_is_not_compiled() {
    let cases: [(&[u8], &str); 3] = [
        (b"#!/bin/sh\n", "is not valid WebAssembly: it does not start with the magic bytes"),
        (b"\x7fELF\x02\x01\x01\xc8", "precompiled code (ELF), which is never loaded from a registry"),
        (b"", "is not valid WebAssembly"),
    ];
    for (bytes, expected) in cases {
        let (node, registry) = (Node::new(), Registry::start().await);
        registry.push("app", "v1", bytes);
        let reference = registry.reference("app:v1");
        for requests in [3, 1] {
            let err = node.refusal(&reference).await;
            assert!(err.contains(expected), "{err}");
            assert_eq!(registry.take_log().len(), requests);
        }
        assert_eq!((node.blob_count(), node.code_count()), (0, 0));
    }
}
