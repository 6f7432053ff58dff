use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use wasmnode_images::{Engine, ImageError, PullPolicy};

use crate::registry::Registry;
use crate::support::{Node, compiler, mk_module, mk_wasip3_component};

#[tokio::test]
async fn code_is_read_only_and_shared_by_digest() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("a", "v1", &mk_module(1));
    registry.push("b", "v1", &mk_module(1));
    let a = node.ensure(&registry.reference("a:v1"), PullPolicy::IfNotPresent).await.unwrap();
    let b = node.ensure(&registry.reference("b:v1"), PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!(a.program.as_ref().unwrap().code, b.program.as_ref().unwrap().code);
    assert_eq!(b.program.as_ref().unwrap().compiled, None);
    assert_eq!(std::fs::metadata(&a.program.as_ref().unwrap().code).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(node.images.metrics().compiles_succeeded, 1);
}

#[tokio::test]
async fn wasip3_has_an_engine_of_its_own() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_wasip3_component());
    let reference = registry.reference("app:v1");
    let image = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!(
        (image.program.as_ref().unwrap().engine, image.program.as_ref().unwrap().engine_id.as_str()),
        (Engine::Wasip3, "33".repeat(32).as_str())
    );
    assert!(std::fs::read(&image.program.as_ref().unwrap().code).unwrap().starts_with(b"code for wasip3\n"));
    drop(image);
    let node = node.restart(|config| config.engines.wasip3 = None);
    let err = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap_err();
    assert!(matches!(err, ImageError::NeedsWasip3 { .. }), "{err}");
}

#[tokio::test]
async fn failures_say_why_and_are_tried_again() {
    let cases = [
        ("crash", "killed by signal 9 (its memory limit is 1073741824 bytes)"),
        ("fail", "exited with code 3: out of luck"),
        ("silent", "the compiler wrote nothing"),
        ("hang", "the compiler was stopped after 300ms"),
        ("missing", "cannot start"),
    ];
    for (script, expected) in cases {
        let node = Node::with(|config| {
            config.compile.program = compiler(script);
            config.compile.timeout = Duration::from_millis(if script == "hang" { 300 } else { 30_000 });
        });
        let registry = Registry::start().await;
        registry.push("app", "v1", &mk_module(1));
        let reference = registry.reference("app:v1");
        let err = node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap_err();
        assert!(matches!(err, ImageError::Compile { .. }), "{script}: {err}");
        assert!(err.to_string().contains(expected), "{script}: {err}");
        assert_eq!((node.leftovers().len(), node.code_count()), (0, 0), "{script}");
        registry.take_log();
        let node = node.restart(|config| {
            config.compile.program = compiler("copy");
            config.compile.timeout = Duration::from_secs(30);
        });
        node.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
        assert_eq!(registry.take_log(), Vec::<String>::new(), "{script} pulled again");
    }
}

#[tokio::test]
async fn invalid_wasm_is_compiled_once() {
    let node = Node::with(|config| config.compile.program = compiler("invalid"));
    let registry = Registry::start().await;
    registry.push("app", "v1", &mk_module(1));
    let reference = registry.reference("app:v1");
    for _ in 0..2 {
        let err = node.refusal(&reference).await;
        assert_eq!(err, format!("\"{reference}\" is not valid WebAssembly: unknown opcode at 0x2a"));
    }
    assert_eq!(node.images.metrics().compiles_failed, 1);
}
