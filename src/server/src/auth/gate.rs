//! Decides about one request at a time, from the caches or by asking the API server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use warp::Reply;
use warp::reply::Response;

use crate::{ReviewError, Reviewer, User};

use super::Attributes;
use super::cache::Cache;
use super::identity::{authenticated, bearer};

/// How long the owner of a token is remembered, or that it has none.
const TOKEN_TTL: Duration = Duration::from_secs(120);
/// How long a permission is remembered.
const ALLOWED_TTL: Duration = Duration::from_secs(300);
/// How long a refusal is remembered.
const DENIED_TTL: Duration = Duration::from_secs(30);

/// Entries per cache. Clients of a node are few; at some hundred bytes each, a full cache is a MiB or two.
const ENTRIES: usize = 4096;

/// Reviews at the same time, so that a flood of invented tokens does not become a flood at the API server.
const REVIEWS: usize = 32;

/// Reviews that may wait for their turn; with each waits a request, so that a flood does not become memory either.
const WAITING: usize = 256;

/// The gate of one server.
pub(crate) struct Gate {
    node: String,
    reviewer: Arc<dyn Reviewer>,
    timeout: Duration,
    reviews: Semaphore,
    waiting: Semaphore,
    tokens: Mutex<Cache<Fingerprint, Arc<User>>>,
    /// Apart from `tokens`, so that invented tokens do not displace real ones.
    strangers: Mutex<Cache<Fingerprint, ()>>,
    decisions: Mutex<Cache<Question, bool>>,
}

/// SHA-256 of a token: the caches hold no secret.
type Fingerprint = [u8; 32];

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    user: Arc<User>,
    verb: &'static str,
    subresource: &'static str,
}

/// Why a request goes no further. The texts are the kubelet's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denial {
    #[error("Unauthorized")]
    Unauthorized,
    #[error("Forbidden (user={user}, verb={verb}, resource=nodes, subresource(s)=[{subresources}])\n")]
    Forbidden { user: String, verb: &'static str, subresources: String },
    #[error("Authorization error (user={user}, verb={verb}, resource=nodes, subresource={subresource})")]
    Failed { user: String, verb: &'static str, subresource: &'static str },
}

// === impl Gate ===

impl Gate {
    pub(crate) fn new(node: String, reviewer: Arc<dyn Reviewer>, timeout: Duration) -> Self {
        Self {
            node,
            reviewer,
            timeout,
            reviews: Semaphore::new(REVIEWS),
            waiting: Semaphore::new(WAITING),
            tokens: Mutex::new(Cache::new(ENTRIES)),
            strangers: Mutex::new(Cache::new(ENTRIES)),
            decisions: Mutex::new(Cache::new(ENTRIES)),
        }
    }

    /// Lets a request pass or not. `peer` is the user of the connection's client certificate.
    pub(crate) async fn check(&self, peer: Option<Arc<User>>, request: &Parts) -> Result<(), Denial> {
        let user = match (peer, bearer(&request.headers)) {
            (Some(user), _) => user,
            (None, Some(token)) => self.owner(token).await.ok_or(Denial::Unauthorized)?,
            (None, None) => return Err(Denial::Unauthorized),
        };
        self.authorize(user, Attributes::of(&request.method, request.uri.path())).await
    }

    async fn owner(&self, token: &str) -> Option<Arc<User>> {
        let fingerprint = Fingerprint::from(Sha256::digest(token));
        let now = Instant::now();
        if let Some(user) = lock(&self.tokens).get(&fingerprint, now) {
            return Some(user);
        }
        if lock(&self.strangers).get(&fingerprint, now).is_some() {
            return None;
        }
        match self.ask(self.reviewer.token_review(token)).await {
            Ok(Some(user)) => {
                let user = Arc::new(authenticated(user));
                lock(&self.tokens).insert(fingerprint, user.clone(), TOKEN_TTL, Instant::now());
                Some(user)
            }
            Ok(None) => {
                lock(&self.strangers).insert(fingerprint, (), TOKEN_TTL, Instant::now());
                None
            }
            Err(error) => {
                tracing::warn!(%error, "Failed to review a bearer token");
                None
            }
        }
    }

    async fn authorize(&self, user: Arc<User>, attributes: Attributes) -> Result<(), Denial> {
        let Attributes { verb, subresources } = attributes;
        for subresource in subresources.iter().copied() {
            let question = Question { user: user.clone(), verb, subresource };
            match self.may(question).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, user = user.name, verb, subresource, "Failed to review access");
                    return Err(Denial::Failed { user: user.name.clone(), verb, subresource });
                }
            }
        }
        Err(Denial::Forbidden { user: user.name.clone(), verb, subresources: subresources.join(" ") })
    }

    async fn may(&self, question: Question) -> Result<bool, ReviewError> {
        if let Some(allowed) = lock(&self.decisions).get(&question, Instant::now()) {
            return Ok(allowed);
        }
        let Question { user, verb, subresource } = &question;
        let allowed = self.ask(self.reviewer.access_review(user, verb, subresource, &self.node)).await?;
        let ttl = if allowed { ALLOWED_TTL } else { DENIED_TTL };
        lock(&self.decisions).insert(question, allowed, ttl, Instant::now());
        Ok(allowed)
    }

    async fn ask<T>(&self, review: impl Future<Output = Result<T, ReviewError>>) -> Result<T, ReviewError> {
        let full = |_| ReviewError(format!("{WAITING} others wait for an answer already"));
        let _place = self.waiting.try_acquire().map_err(full)?;
        let ask = async {
            let _permit = self.reviews.acquire().await.map_err(|e| ReviewError(e.to_string()))?;
            review.await
        };
        let late = |_| ReviewError(format!("no answer within {:?}", self.timeout));
        tokio::time::timeout(self.timeout, ask).await.map_err(late)?
    }
}

// === impl Denial ===

impl Denial {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Reply for Denial {
    fn into_response(self) -> Response {
        warp::reply::with_status(self.to_string(), self.status()).into_response()
    }
}

/// The caches are whole after a panic elsewhere: entries are inserted at once.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
