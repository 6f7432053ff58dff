use wasmnode_images::{Credential, PullPolicy};

use crate::registry::{Auth, PASSWORD, Registry, USER};
use crate::support::{Node, mk_module};

fn right() -> Credential {
    Credential { username: USER.to_owned(), password: PASSWORD.to_owned() }
}

fn wrong() -> Credential {
    Credential { username: USER.to_owned(), password: "geheim".to_owned() }
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
        let image = node.images.ensure(&reference, PullPolicy::Always, credentials).await;
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
        let err = node.images.ensure(&reference, PullPolicy::IfNotPresent, credentials).await;
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
    node.images.ensure(&reference, PullPolicy::Always, &[right()]).await.unwrap();
    node.images.ensure(&reference, PullPolicy::Always, &[]).await.unwrap_err();
}
