//! Callers of the kubelet API, as the API server knows them.

use async_trait::async_trait;
use wasmnode_cluster::{AccessQuestion, Caller, Client, access_review, token_review};
use wasmnode_server::{ReviewError, Reviewer, User};

/// TokenReview and SubjectAccessReview with the agent's credentials.
pub(crate) struct ClusterReviewer(pub(crate) Client);

#[async_trait]
impl Reviewer for ClusterReviewer {
    async fn token_review(&self, token: &str) -> Result<Option<User>, ReviewError> {
        let caller = token_review(&self.0, token).await.map_err(|error| ReviewError(error.to_string()))?;
        Ok(caller.map(|Caller { name, uid, groups, extra }| User { name, uid, groups, extra }))
    }

    async fn access_review(&self, user: &User, verb: &str, subresource: &str, node: &str) -> Result<bool, ReviewError> {
        let User { name, uid, groups, extra } = user.clone();
        let question = AccessQuestion {
            caller: Caller { name, uid, groups, extra },
            verb: verb.to_owned(),
            node: node.to_owned(),
            subresource: subresource.to_owned(),
        };
        let answer = access_review(&self.0, &question).await.map_err(|error| ReviewError(error.to_string()))?;
        Ok(answer.allowed)
    }
}
