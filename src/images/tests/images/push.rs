//! Where `push` pushes to.

use wasmnode_images::{Credential, Images, PushError, Reference};

use crate::registry::{Auth, PASSWORD, Registry, USER};
use crate::support::{Configured, mk_module};

async fn push(images: &Images, reference: &Reference, asked: &mut Vec<String>) -> Result<(), PushError> {
    let credentials = |host: &str| {
        asked.push(host.to_owned());
        vec![Credential { username: USER.to_owned(), password: PASSWORD.to_owned() }]
    };
    images.push(&mk_module(1), Some("app.wasm"), reference, credentials).await.map(drop)
}

fn host(registry: &Registry, capabilities: &str) -> String {
    format!("[host.\"http://{}\"]\ncapabilities = [{capabilities}]\n", registry.host)
}

#[tokio::test]
async fn it_goes_to_the_first_host_that_takes_pushes() {
    let (configured, origin) = (Configured::new(), Registry::start().await);
    let (mirror, taker) = (Registry::start().await, Registry::start().await);
    for registry in [&origin, &mirror, &taker] {
        registry.accept_pushes("app", "v1");
        registry.require(Auth::Basic);
    }
    let reference = origin.reference("app:v1");
    let mut asked = Vec::new();
    let text = host(&mirror, "\"pull\", \"resolve\"") + &host(&taker, "\"push\"");
    configured.set(&origin.host, "hosts.toml", &text);
    push(&configured.node.images, &reference, &mut asked).await.unwrap();
    assert_eq!((origin.take_log().len(), mirror.take_log().len()), (0, 0));
    assert_eq!(taker.take_log().last().unwrap(), "PUT /v2/app/manifests/v1");
    // Without such a mirror it is the registry itself.
    configured.set(&origin.host, "hosts.toml", &host(&mirror, "\"pull\", \"resolve\""));
    push(&configured.node.images, &reference, &mut asked).await.unwrap();
    assert_eq!(origin.take_log().last().unwrap(), "PUT /v2/app/manifests/v1");
    // Credentials are asked for by the name of the host that gets them.
    assert_eq!(asked, [taker.host.clone(), origin.host.clone()]);
    assert!(taker.was_shown_credentials() && origin.was_shown_credentials() && !mirror.was_shown_credentials());
}

#[tokio::test]
async fn where_nobody_may_push_nothing_is_sent() {
    let (configured, origin) = (Configured::new(), Registry::start().await);
    let text = format!("server = \"http://{}\"\ncapabilities = [\"pull\", \"resolve\"]", origin.host);
    configured.set(&origin.host, "hosts.toml", &text);
    let reference = origin.reference("app:v1");
    let err = push(&configured.node.images, &reference, &mut Vec::new()).await.unwrap_err().to_string();
    let expected =
        format!("cannot push to \"{reference}\": hosts.toml gives no host of {} the capability", origin.host);
    assert!(err.starts_with(&expected), "{err}");
    assert_eq!(origin.take_log().len(), 0);
}

#[tokio::test]
async fn what_may_only_be_pushed_to_is_not_pulled_from() {
    let (configured, origin) = (Configured::new(), Registry::start().await);
    origin.push("app", "v1", &mk_module(1));
    let text = format!("server = \"http://{}\"\ncapabilities = [\"push\"]", origin.host);
    configured.set(&origin.host, "hosts.toml", &text);
    let err = configured.node.refusal(&origin.reference("app:v1")).await;
    assert!(err.contains("hosts.toml gives no host the capability to pull it"), "{err}");
    assert_eq!(origin.take_log().len(), 0);
}
