use wasmnode_images::{Credential, Image, ImageError, PullPolicy, Reference, Request};

use crate::registry::{Auth, PASSWORD, Registry, USER};
use crate::support::{Node, mk_module};

fn right() -> Credential {
    Credential { username: USER.to_owned(), password: PASSWORD.to_owned() }
}

fn wrong() -> Credential {
    Credential { username: USER.to_owned(), password: "geheim".to_owned() }
}

async fn ensure(
    node: &Node,
    reference: &Reference,
    policy: PullPolicy,
    credentials: &[Credential],
) -> Result<Image, ImageError> {
    node.images.ensure(&Request { credentials, ..Request::new(reference, policy) }).await
}

#[tokio::test]
async fn whoever_may_gets_it() {
    let cases: [(Auth, &[Credential]); 6] = [
        (Auth::None, &[right()]),
        (Auth::Basic, &[right()]),
        (Auth::Bearer, &[right()]),
        (Auth::Token, &[]),
        (Auth::Basic, &[Credential::default(), wrong(), right()]),
        (Auth::Bearer, &[wrong(), right()]),
    ];
    for (n, (auth, credentials)) in cases.into_iter().enumerate() {
        let (node, registry) = (Node::new(), Registry::start().await);
        registry.push("app", "v1", &mk_module(n));
        registry.require(auth);
        let reference = registry.reference("app:v1");
        let image = ensure(&node, &reference, PullPolicy::Always, credentials).await;
        assert!(image.is_ok(), "case {n}: {image:?}");
    }
}

#[tokio::test]
async fn whoever_may_not_is_told() {
    let cases: [(Auth, &[Credential], &str); 4] = [
        (Auth::Basic, &[], "authorization failed: no basic auth credentials"),
        (Auth::Basic, &[wrong()], "pull access denied, repository does not exist or may require authorization"),
        (Auth::Bearer, &[], "failed to authorize: failed to fetch token"),
        (Auth::Bearer, &[wrong()], "UNAUTHORIZED: wrong password"),
    ];
    for (auth, credentials, expected) in cases {
        let (node, registry) = (Node::new(), Registry::start().await);
        registry.push("app", "v1", &mk_module(1));
        registry.require(auth);
        let reference = registry.reference("app:v1");
        let err = ensure(&node, &reference, PullPolicy::IfNotPresent, credentials).await;
        let err = err.unwrap_err().to_string();
        assert!(err.contains(expected), "{err}");
        assert!(!err.contains("geheim"), "{err}");
    }
}

#[tokio::test]
async fn one_pods_credential_is_not_anothers() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    registry.require(Auth::Bearer);
    let reference = registry.reference("app:v1");
    ensure(&node, &reference, PullPolicy::Always, &[right()]).await.unwrap();
    ensure(&node, &reference, PullPolicy::Always, &[]).await.unwrap_err();
}

#[tokio::test]
async fn a_private_image_on_disk_is_for_those_who_may_pull_it() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    registry.require(Auth::Basic);
    let reference = registry.reference("app:v1");
    ensure(&node, &reference, PullPolicy::IfNotPresent, &[right()]).await.unwrap();
    registry.take_log();
    // Who pulled it uses it without asking, also after a restart.
    let node = node.restart(|_| {});
    let again = ensure(&node, &reference, PullPolicy::IfNotPresent, &[wrong(), right()]).await.unwrap();
    assert!(again.pulled.is_none());
    assert!(ensure(&node, &reference, PullPolicy::Never, &[right()]).await.is_ok());
    assert_eq!(registry.take_log(), Vec::<String>::new());
    for others in [&[][..], &[wrong()]] {
        let err = ensure(&node, &reference, PullPolicy::IfNotPresent, others).await.unwrap_err();
        assert!(matches!(err, ImageError::Pull { .. }), "{err}");
        let err = ensure(&node, &reference, PullPolicy::Never, others).await.unwrap_err();
        assert!(err.is_never_pull(), "{err}");
        // Nor may they learn that it is there.
        let absent = format!("Container image \"{reference}\" is not present with pull policy of Never");
        assert_eq!(err.to_string(), absent);
    }
    // Once its registry gives it to anybody, it is anybody's. Only a HEAD is needed for that.
    registry.require(Auth::None);
    registry.take_log();
    let public = ensure(&node, &reference, PullPolicy::IfNotPresent, &[]).await.unwrap();
    assert!(public.pulled.is_some());
    assert_eq!(registry.take_log(), ["HEAD /v2/app/manifests/v1"]);
    registry.require(Auth::Basic);
    assert!(ensure(&node, &reference, PullPolicy::Never, &[]).await.is_ok());
}

#[tokio::test]
async fn another_name_of_the_same_image_is_another_question() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("private", "v1", &mk_module(1));
    registry.push("public", "v1", &mk_module(1));
    ensure(&node, &registry.reference("public:v1"), PullPolicy::Always, &[]).await.unwrap();
    registry.require(Auth::Basic);
    let private = registry.reference("private:v1");
    ensure(&node, &private, PullPolicy::Always, &[right()]).await.unwrap();
    assert!(ensure(&node, &private, PullPolicy::Never, &[]).await.is_err());
    assert!(ensure(&node, &registry.reference("public:v1"), PullPolicy::Never, &[]).await.is_ok());
}

#[tokio::test]
async fn no_credential_is_on_disk() {
    let (node, registry) = (Node::new(), Registry::start().await);
    registry.push("app", "v1", &mk_module(1));
    registry.require(Auth::Basic);
    let secret = Credential { username: USER.to_owned(), password: PASSWORD.to_owned() };
    ensure(&node, &registry.reference("app:v1"), PullPolicy::Always, &[secret]).await.unwrap();
    let records = std::fs::read_to_string(node.root.path().join("images/records.json")).unwrap();
    assert!(records.contains("\"credentials\":[\"") && !records.contains(PASSWORD), "{records}");
}
