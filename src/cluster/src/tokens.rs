//! Service account tokens for pods (contract section 10.3).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest as ApiTokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tracing::warn;
use wasmnode_core::{ObjectError, PodRef, Token, TokenRequest, Tokens};

use crate::api::{ApiError, call};
use crate::metrics::ClusterMetrics;
use crate::retry::{Pauses, random};

/// No token is used longer than this, however long it would last.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);

/// Keeps the tokens of a node from being refreshed all at once.
const JITTER_SECONDS: f64 = 10.0;

/// Refusals of the first moment, before the authorizer knows of the pod, are tried again so often.
const TRIES: u32 = 4;

/// Requests at once. Each may need a connection of its own, and a Deployment's pods all come at the same moment.
const IN_FLIGHT: usize = 16;

/// Requests and keeps tokens.
pub struct TokenStore {
    client: Client,
    metrics: Arc<ClusterMetrics>,
    turns: Semaphore,
    slots: Mutex<HashMap<TokenRequest, Slot>>,
}

/// Held while a token is requested, so that each is requested once.
type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

#[derive(Clone)]
struct Kept {
    token: Token,
    refresh_at: Timestamp,
}

impl TokenStore {
    /// An empty one.
    pub fn new(client: Client, metrics: Arc<ClusterMetrics>) -> Self {
        Self { client, metrics, turns: Semaphore::new(IN_FLIGHT), slots: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenRequest, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh(&self, request: &TokenRequest, kept: Option<Kept>) -> Result<Kept, ObjectError> {
        match self.request(request).await {
            Ok(fresh) => Ok(fresh),
            Err(error) => {
                self.metrics.token_errors.add();
                let usable = kept.filter(|kept| Timestamp::now() < kept.token.expires_at);
                if usable.is_some() {
                    warn!(%error, pod = %request.pod, "Failed to refresh a token, keeping the old one");
                }
                usable.ok_or_else(|| explain(request, &error))
            }
        }
    }

    async fn request(&self, request: &TokenRequest) -> Result<Kept, ApiError> {
        let mut pauses = Pauses::new(Duration::from_millis(50), Duration::from_secs(1));
        for _ in 1..TRIES {
            match self.ask(request).await {
                Err(error) if error.is_forbidden() => tokio::time::sleep(pauses.next()).await,
                answer => return answer,
            }
        }
        self.ask(request).await
    }

    async fn ask(&self, request: &TokenRequest) -> Result<Kept, ApiError> {
        // Never closed, so that there is always a turn to wait for.
        let _turn = self.turns.acquire().await;
        self.metrics.token_requests.add();
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &request.pod.namespace);
        let (account, params, body) = (&request.service_account, PostParams::default(), body(request));
        let answer = call(api.create_token_request(account, &params, &body)).await?;
        kept(answer, request, Timestamp::now())
    }
}

#[async_trait]
impl Tokens for TokenStore {
    async fn token(&self, request: &TokenRequest) -> Result<Token, ObjectError> {
        let slot = self.lock().entry(request.clone()).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some(kept) = slot.as_ref().filter(|kept| Timestamp::now() < kept.refresh_at) {
            return Ok(kept.token.clone());
        }
        let fresh = self.refresh(request, slot.clone()).await?;
        let token = fresh.token.clone();
        *slot = Some(fresh);
        Ok(token)
    }

    fn release(&self, pod: &PodRef) {
        self.lock().retain(|request, _| request.pod != *pod);
    }
}

fn body(request: &TokenRequest) -> ApiTokenRequest {
    ApiTokenRequest {
        spec: Some(TokenRequestSpec {
            // None asks for the API server's own audience.
            audiences: Some(request.audience.iter().cloned().collect()),
            expiration_seconds: Some(request.expiration_seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(request.pod.name.clone()),
                uid: Some(request.pod.uid.clone()),
            }),
            ..TokenRequestSpec::default()
        }),
        ..ApiTokenRequest::default()
    }
}

fn kept(answer: ApiTokenRequest, request: &TokenRequest, now: Timestamp) -> Result<Kept, ApiError> {
    let lifetime = answer.spec.and_then(|spec| spec.expiration_seconds).unwrap_or(request.expiration_seconds);
    let status = answer.status.unwrap_or_default();
    let (Some(value), Some(expires_at)) = (status.token.filter(|token| !token.is_empty()), status.expiration_timestamp)
    else {
        return Err(ApiError::Unreachable("the answer to a TokenRequest holds no token".to_owned()));
    };
    let refresh_at = refresh_at(expires_at.0, lifetime, random()).max(now);
    Ok(Kept { token: Token { value, expires_at: expires_at.0 }, refresh_at })
}

/// When 80 % of its life is over, or 24 hours after it was issued; a little earlier at random.
fn refresh_at(expires_at: Timestamp, lifetime: i64, random: f64) -> Timestamp {
    let lifetime = SignedDuration::from_secs(lifetime.max(0));
    let jitter = SignedDuration::try_from_secs_f64(JITTER_SECONDS * random).unwrap_or_default();
    let age = (lifetime / 10 * 8).min(OLDEST).saturating_sub(jitter);
    expires_at.checked_sub(lifetime).and_then(|issued| issued.checked_add(age)).unwrap_or(expires_at)
}

fn explain(request: &TokenRequest, error: &ApiError) -> ObjectError {
    if error.is_not_found() {
        return ObjectError::NotFound { kind: "serviceaccounts", name: request.service_account.clone() };
    }
    let message = format!("failed to fetch token: {error}");
    if error.is_forbidden() { ObjectError::Forbidden(message) } else { ObjectError::Unavailable(message) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, FakeApi, at, pod_ref};

    fn request() -> TokenRequest {
        TokenRequest {
            pod: pod_ref("p", "uid-1"),
            service_account: "default".to_owned(),
            audience: None,
            expiration_seconds: 3607,
        }
    }

    #[test]
    fn tokens_are_refreshed_at_eighty_percent_or_a_day() {
        let cases =
            [(3600, 0.0, 2880), (3600, 1.0, 2870), (200 * 3600, 0.0, 24 * 3600), (200 * 3600, 1.0, 24 * 3600 - 10)];
        for (lifetime, random, age) in cases {
            assert_eq!(refresh_at(at(1_000_000 + lifetime), lifetime, random), at(1_000_000 + age), "{lifetime}");
        }
    }

    #[test]
    fn tokens_are_bound_to_the_pod() {
        assert_eq!(
            serde_json::to_value(body(&request())).unwrap()["spec"],
            json!({
                "audiences": [],
                "expirationSeconds": 3607,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "uid-1"},
            })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_requested_once_and_kept_until_release() {
        let requests = Arc::new(AtomicUsize::new(0));
        let server = requests.clone();
        let fake = FakeApi::new(move |seen| {
            assert_eq!(seen.path, "/api/v1/namespaces/ns/serviceaccounts/default/token");
            let number = server.fetch_add(1, Ordering::Relaxed);
            if number == 0 {
                return Answer::status(403, "no relationship found between node and pod");
            }
            let expires = Timestamp::now() + SignedDuration::from_hours(1);
            Answer::ok(json!({"spec": {"audiences": [], "expirationSeconds": 3607},
                "status": {"token": format!("t{number}"), "expirationTimestamp": expires.to_string()}}))
        });
        let store = TokenStore::new(fake.client(), Arc::default());
        let request = request();
        let (one, two) = tokio::join!(store.token(&request), store.token(&request));
        assert_eq!((one.unwrap().value.as_str(), two.unwrap().value.as_str()), ("t1", "t1"));
        assert_eq!(requests.load(Ordering::Relaxed), 2);
        store.release(&request.pod);
        assert_eq!(store.token(&request).await.unwrap().value, "t2");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_say_why() {
        let fake = FakeApi::new(|_| Answer::status(404, "serviceaccounts \"default\" not found"));
        let store = TokenStore::new(fake.client(), Arc::default());
        let error = store.token(&request()).await.unwrap_err();
        assert_eq!(error.to_string(), "serviceaccounts \"default\" not found");
        let fake = FakeApi::new(|_| Answer::status(403, "forbidden"));
        let store = TokenStore::new(fake.client(), Arc::default());
        let error = store.token(&request()).await.unwrap_err();
        assert_eq!(error, ObjectError::Forbidden("failed to fetch token: forbidden".to_owned()));
    }
}
