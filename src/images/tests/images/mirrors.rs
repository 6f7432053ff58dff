//! Registries that operators have settings for: mirrors and certificates in containerd's form, pauses, redirects.

use wasmnode_images::{Credential, Image, ImageError, PullPolicy, Reference, Request};

use crate::front::Front;
use crate::registry::{Auth, PASSWORD, Registry, Reply, USER};
use crate::support::{Configured, Node, mk_module};

fn credential() -> Credential {
    Credential { username: USER.to_owned(), password: PASSWORD.to_owned() }
}

async fn pull(node: &Node, reference: &Reference, credentials: &[Credential]) -> Result<Image, ImageError> {
    node.images.ensure(&Request { credentials, ..Request::new(reference, PullPolicy::Always) }).await
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_as_nobody() {
    let (configured, origin, mirror) = (Configured::new(), Registry::start().await, Registry::start().await);
    let pushed = mirror.push("app", "v1", &mk_module(1));
    let text = format!("[host.\"http://{}\"]\ncapabilities = [\"pull\", \"resolve\"]", mirror.host);
    configured.set(&origin.host, "hosts.toml", &text);
    let image = pull(&configured.node, &origin.reference("app:v1"), &[credential()]).await.unwrap();
    // The image has the name that was asked for.
    assert_eq!(image.image_id, format!("{}/app@{}", origin.host, pushed.manifest));
    assert_eq!(origin.take_log(), Vec::<String>::new());
    let namespace = origin.host.replace(':', "%3A");
    assert_eq!(mirror.take_log()[0], format!("GET /v2/app/manifests/v1?ns={namespace}"));
    assert!(!mirror.was_shown_credentials());
}

#[tokio::test]
async fn what_mirrors_do_not_have_the_registry_has() {
    let (configured, origin) = (Configured::new(), Registry::start().await);
    let (empty, broken) = (Registry::start().await, Registry::start().await);
    let pushed = origin.push("app", "v1", &mk_module(1));
    origin.require(Auth::Basic);
    // Says what the tag means, and then does not deliver.
    broken.push("app", "v1", &mk_module(1));
    broken.set(&format!("/v2/app/blobs/{}", pushed.wasm), Reply::Short(mk_module(1)));
    let text = format!("[host.\"http://{}\"]\n[host.\"http://{}\"]", empty.host, broken.host);
    configured.set("_default", "hosts.toml", &text);
    pull(&configured.node, &origin.reference("app:v1"), &[credential()]).await.unwrap();
    assert_eq!((empty.take_log().len(), broken.take_log().len()), (1, 3));
    assert!(origin.was_shown_credentials() && !broken.was_shown_credentials());
}

#[tokio::test]
async fn a_mirror_that_may_only_pull_is_not_asked_what_a_tag_means() {
    let (configured, origin, mirror) = (Configured::new(), Registry::start().await, Registry::start().await);
    let pushed = origin.push("app", "v1", &mk_module(1));
    mirror.push("app", "v1", &mk_module(1));
    let text = format!("[host.\"http://{}\"]\ncapabilities = [\"pull\"]", mirror.host);
    configured.set(&origin.host, "hosts.toml", &text);
    pull(&configured.node, &origin.reference("app:v1"), &[]).await.unwrap();
    assert_eq!(mirror.take_log(), Vec::<String>::new());
    let pinned = origin.reference(&format!("app@{}", pushed.manifest));
    origin.take_log();
    pull(&configured.node, &pinned, &[]).await.unwrap();
    assert_eq!((origin.take_log().len(), mirror.take_log().is_empty()), (0, false));
}

#[tokio::test]
async fn certificates_are_trusted_where_the_operator_says() {
    let registry = Registry::start().await;
    registry.push("app", "v1", &mk_module(1));
    let front = Front::start(&registry).await;
    let reference = Reference::parse(&format!("{}/app:v1", front.host)).unwrap();
    let cases: [(&str, Result<(), &str>); 5] = [
        ("", Err("invalid peer certificate")),
        ("ca = \"ca.pem\"", Ok(())),
        ("skip_verify = true", Ok(())),
        ("ca = \"missing.pem\"", Err("missing.pem: No such file")),
        ("ca = \"empty.pem\"", Err("empty.pem: there are none")),
    ];
    for (more, expected) in cases {
        let configured = Configured::new();
        configured.set(&front.host, "hosts.toml", &format!("server = \"https://{}\"\n{more}", front.host));
        configured.set(&front.host, "ca.pem", &front.pem);
        configured.set(&front.host, "empty.pem", "");
        match (pull(&configured.node, &reference, &[]).await, expected) {
            (Ok(_), Ok(())) => {}
            (Err(err), Err(expected)) => assert!(err.to_string().contains(expected), "{more}: {err}"),
            (result, _) => panic!("{more}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn broken_settings_are_told() {
    let (configured, registry) = (Configured::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    configured.set(&registry.host, "hosts.toml", "[host.\"http://a\"]\ndial_timeout = \"1s\"");
    let err = pull(&configured.node, &registry.reference("app:v1"), &[]).await.unwrap_err().to_string();
    assert!(err.contains("hosts.toml") && err.contains("dial_timeout"), "{err}");
    configured.set(&registry.host, "hosts.toml", "[host.\"http://a\"]\nclient = \"x.pem\"");
    let err = pull(&configured.node, &registry.reference("app:v1"), &[]).await.unwrap_err().to_string();
    assert!(err.contains("x.pem: No such file"), "{err}");
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_when_it_says() {
    let (node, registry) = (Node::new(), Registry::start().await);
    let pushed = registry.push("app", "v1", &mk_module(1));
    let busy = |line| Reply::Status { line, body: "" };
    let now = || busy("429 Too Many Requests\r\nRetry-After: 0");
    let fine = Reply::Ok { content_type: "application/octet-stream", body: mk_module(1) };
    let twice = Reply::Then(Box::new(now()), Box::new(Reply::Then(Box::new(now()), Box::new(fine))));
    registry.set(&format!("/v2/app/blobs/{}", pushed.wasm), twice);
    let reference = registry.reference("app:v1");
    pull(&node, &reference, &[]).await.unwrap();
    // What never ends is given up, and what takes long is told at once.
    for (reply, expected) in [
        (now(), "429 Too Many Requests (try again after 0 s)"),
        (busy("503 Service Unavailable\r\nRetry-After: 3600"), "503 Service Unavailable (try again after 3600 s)"),
        (busy("503 Service Unavailable\r\nRetry-After: soon"), "503 Service Unavailable"),
    ] {
        let node = Node::new();
        registry.set("/v2/app/manifests/v1", reply);
        let err = pull(&node, &reference, &[]).await.unwrap_err().to_string();
        assert!(err.contains(expected), "{err}");
    }
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect() {
    for auth in [Auth::Basic, Auth::Bearer] {
        let (node, registry, store) = (Node::new(), Registry::start().await, Registry::start().await);
        let pushed = registry.push("app", "v1", &mk_module(1));
        registry.require(auth);
        let path = format!("/v2/app/blobs/{}", pushed.wasm);
        store.put_blob("app", &mk_module(1));
        registry.set(&path, Reply::Redirect(format!("http://{}{path}", store.host)));
        pull(&node, &registry.reference("app:v1"), &[credential()]).await.unwrap();
        assert!(registry.was_shown_credentials() && !store.was_shown_credentials());
        // Nor where the other host asks for them.
        store.require(Auth::Bearer);
        let err = pull(&Node::new(), &registry.reference("app:v1"), &[credential()]).await.unwrap_err().to_string();
        assert!(err.contains("401 Unauthorized") && !store.was_shown_credentials(), "{err}");
        assert!(!store.take_log().iter().any(|line| line.contains("/token")));
    }
}

#[tokio::test]
async fn headers_are_for_their_host_alone() {
    let (configured, registry, store) = (Configured::new(), Registry::start().await, Registry::start().await);
    let pushed = registry.push("app", "v1", &mk_module(1));
    registry.require(Auth::Bearer);
    let path = format!("/v2/app/blobs/{}", pushed.wasm);
    store.put_blob("app", &mk_module(1));
    registry.set(&path, Reply::Redirect(format!("http://{}{path}", store.host)));
    let text = "[header]\nX-Own = [\"geheim\", \"geheim2\"]\nauthorization = \"geheim\"";
    configured.set(&registry.host, "hosts.toml", &format!("server = \"http://{}\"\n{text}", registry.host));
    pull(&configured.node, &registry.reference("app:v1"), &[credential()]).await.unwrap();
    // The operator's authorisation only until the registry asks for another, and each time one.
    let shown = registry.take_headers("authorization");
    assert_eq!(shown[..3], ["geheim", "Basic dXNlcjpwYXNz", "Bearer t0k3n"]);
    assert_eq!(shown.len(), registry.take_log().len());
    assert_eq!(registry.take_headers("x-own").len(), 2 * shown.len());
    assert_eq!((store.take_headers("x-own").len(), store.was_shown_credentials()), (0, false));
}

#[tokio::test]
async fn two_images_of_one_private_registry() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("one", "v1", &mk_module(1));
    registry.push("two", "v1", &mk_module(2));
    registry.require(Auth::Bearer);
    let (one, two) = (registry.reference("one:v1"), registry.reference("two:v1"));
    let credentials = [credential()];
    let (one, two) = futures::join!(pull(&node, &one, &credentials), pull(&node, &two, &credentials));
    one.unwrap();
    two.unwrap();
}
