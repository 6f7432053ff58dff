//! Who calls the kubelet API, and what they may do: the API server knows (contract section 7.2). Caching is the
//! caller's.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::api::{ApiError, call};

/// An authenticated user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    /// User name.
    pub name: String,
    /// UID of the user; may be empty.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// More about the user, as the authenticator says it.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// May this user do that to this node?
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessQuestion {
    /// Who.
    pub caller: Caller,
    /// `get`, `create`, …
    pub verb: String,
    /// Name of the node.
    pub node: String,
    /// Subresource of `nodes`, such as `proxy`; empty: the node itself.
    pub subresource: String,
}

/// The API server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessAnswer {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, where the authorizer says so.
    pub reason: String,
}

/// Who holds this bearer token; `None`: nobody.
///
/// # Errors
/// When the API server does not answer, or refuses the question.
pub async fn token_review(client: &Client, token: &str) -> Result<Option<Caller>, ApiError> {
    let review =
        TokenReview { spec: TokenReviewSpec { token: token.to_owned(), audiences: None }, ..TokenReview::default() };
    let answer = call(Api::<TokenReview>::all(client.clone()).create(&PostParams::default(), &review)).await?;
    let status = answer.status.unwrap_or_default();
    if status.authenticated != Some(true) {
        return Ok(None);
    }
    Ok(status.user.map(|user| Caller {
        name: user.username.unwrap_or_default(),
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    }))
}

/// Whether the caller may do that.
///
/// # Errors
/// When the API server does not answer, or refuses the question.
pub async fn access_review(client: &Client, question: &AccessQuestion) -> Result<AccessAnswer, ApiError> {
    let review = SubjectAccessReview { spec: spec(question), ..SubjectAccessReview::default() };
    let answer = call(Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review)).await?;
    let status = answer.status.unwrap_or_default();
    Ok(AccessAnswer { allowed: status.allowed, reason: status.reason.unwrap_or_default() })
}

fn spec(question: &AccessQuestion) -> SubjectAccessReviewSpec {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    SubjectAccessReviewSpec {
        user: some(&question.caller.name),
        uid: some(&question.caller.uid),
        groups: Some(question.caller.groups.clone()),
        extra: Some(question.caller.extra.clone()).filter(|extra| !extra.is_empty()),
        resource_attributes: Some(ResourceAttributes {
            verb: some(&question.verb),
            version: Some("v1".to_owned()),
            resource: Some("nodes".to_owned()),
            subresource: some(&question.subresource),
            name: some(&question.node),
            ..ResourceAttributes::default()
        }),
        non_resource_attributes: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, FakeApi};

    #[tokio::test]
    async fn only_authenticated_tokens_have_a_caller() {
        let fake = FakeApi::new(|seen| {
            let known = seen.body["spec"]["token"] == "good";
            let user = json!({"username": "ann", "groups": ["system:authenticated"]});
            // A server that rejects a token may still name whom it seemed to be of.
            Answer::ok(json!({"spec": {"token": ""}, "status": {"authenticated": known, "user": user}}))
        });
        let client = fake.client();
        let caller = token_review(&client, "good").await.unwrap().unwrap();
        assert_eq!((caller.name.as_str(), caller.groups.len()), ("ann", 1));
        assert_eq!(token_review(&client, "bad").await.unwrap(), None);
    }

    #[tokio::test]
    async fn access_is_asked_for_the_node() {
        let fake = FakeApi::new(|seen| {
            assert_eq!(
                seen.body["spec"],
                json!({"user": "ann", "groups": ["g"], "resourceAttributes":
                    {"verb": "create", "version": "v1", "resource": "nodes", "subresource": "proxy", "name": "wasm-1"}})
            );
            Answer::ok(json!({"spec": {}, "status": {"allowed": false, "reason": "no"}}))
        });
        let question = AccessQuestion {
            caller: Caller { name: "ann".to_owned(), groups: vec!["g".to_owned()], ..Caller::default() },
            verb: "create".to_owned(),
            node: "wasm-1".to_owned(),
            subresource: "proxy".to_owned(),
        };
        let answer = access_review(&fake.client(), &question).await.unwrap();
        assert_eq!(answer, AccessAnswer { allowed: false, reason: "no".to_owned() });
    }
}
