//! Registries that operators have settings for: mirrors and certificates in containerd's form, pauses, redirects.

use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use wasmnode_images::{Credential, Image, ImageError, PullPolicy, Reference, Request};

use crate::registry::{Auth, PASSWORD, Registry, Reply, USER};
use crate::support::{Node, mk_module};

/// TLS in front of a registry.
struct Front {
    host: String,
    /// The certificate to trust.
    pem: String,
    task: JoinHandle<()>,
}

/// A node with a directory of settings.
struct Configured {
    node: Node,
    settings: TempDir,
}

// === impl Front ===

impl Front {
    async fn start(registry: &Registry) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (host, behind) = (listener.local_addr().unwrap().to_string(), registry.host.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(pass(acceptor.clone(), stream, behind.clone()));
            }
        });
        Self { host, pem: made.cert.pem(), task }
    }
}

/// Both ends may go at any time: that is what some tests are about.
async fn pass(acceptor: TlsAcceptor, stream: TcpStream, behind: String) {
    let Ok(mut outer) = acceptor.accept(stream).await else { return };
    let Ok(mut inner) = TcpStream::connect(behind).await else { return };
    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Configured ===

impl Configured {
    fn new() -> Self {
        let settings = tempfile::tempdir().unwrap();
        let directory = settings.path().to_owned();
        Self { node: Node::with(|config| config.registry_config_dir = Some(directory)), settings }
    }

    fn set(&self, registry: &str, file: &str, text: &str) {
        let directory = self.settings.path().join(registry);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(file), text).unwrap();
    }
}

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
    configured.set(&registry.host, "hosts.toml", "[host.\"http://a\"]\nclient = \"x\"");
    let err = pull(&configured.node, &registry.reference("app:v1"), &[]).await.unwrap_err().to_string();
    assert!(err.contains("hosts.toml") && err.contains("client"), "{err}");
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
    }
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
