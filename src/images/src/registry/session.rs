//! One pull's conversation with a registry: authorise once, then ask for documents and blobs.

mod push;
mod redirect;

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};

use super::answer::{check, pause, read_bounded, refuse_html, server_message};
use super::auth::{Challenge, Credential, TokenAnswer, token_url};
use super::client::{Endpoint, Registry};
use super::error::RegistryError;
use crate::digest::Digest;
use crate::manifest;

/// The distribution specification asks registries to accept 4 MiB; nobody writes more.
const MAX_MANIFEST: usize = 4 << 20;
/// Tokens are a few KiB.
const MAX_TOKEN: usize = 64 << 10;
/// Longest pause that a registry may ask for while a pod waits for it; for longer ones there is the pod's back-off.
const MAX_PAUSE: Duration = Duration::from_secs(20);
const MAX_PAUSES: usize = 3;
const DIGEST_HEADER: &str = "docker-content-digest";

pub(crate) struct Session<'a> {
    registry: &'a Registry,
    endpoint: Endpoint,
    /// `scheme://host/v2/repository`.
    base: String,
    repository: &'a str,
    credential: &'a Credential,
    authorization: Option<Authorization>,
    /// What a token is asked for.
    actions: &'static str,
}

enum Authorization {
    Basic,
    Bearer(HeaderValue),
}

/// A manifest or index with the digest of its very bytes.
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
}

/// What a reference leads to.
pub(crate) enum Resolved {
    /// The digest that was known already.
    Unchanged,
    Fetched(Fetched),
}

/// The bytes of a blob, as they come.
pub(crate) struct Body(Response);

// === impl Session ===

impl<'a> Session<'a> {
    pub(super) fn new(
        registry: &'a Registry,
        endpoint: &Endpoint,
        repository: &'a str,
        credential: &'a Credential,
    ) -> Self {
        let base = format!("{}/{repository}", endpoint.base);
        let endpoint = endpoint.clone();
        Self { registry, endpoint, base, repository, credential, authorization: None, actions: "pull" }
    }

    /// Whom the registry is spoken to as.
    pub(crate) fn credential(&self) -> &'a Credential {
        self.credential
    }

    /// Resolves a tag or digest. Where `known` is given, only a HEAD is needed to learn that
    /// nothing changed, which registries with quotas do not count as a pull.
    pub(crate) async fn resolve(&mut self, wanted: &str, known: Option<Digest>) -> Result<Resolved, RegistryError> {
        if let Some(known) = known
            && self.head(wanted).await? == Some(known)
        {
            return Ok(Resolved::Unchanged);
        }
        self.manifest(wanted).await.map(Resolved::Fetched)
    }

    /// A manifest or index by tag or digest, verified.
    pub(crate) async fn manifest(&mut self, wanted: &str) -> Result<Fetched, RegistryError> {
        let limit = self.registry.timeouts.request;
        within(limit, self.manifest_untimed(wanted)).await
    }

    async fn manifest_untimed(&mut self, wanted: &str) -> Result<Fetched, RegistryError> {
        let url = format!("{}/manifests/{wanted}", self.base);
        let response = self.ask(Method::GET, &url, &manifest::ACCEPT.join(", ")).await?;
        let response = check(response, &url).await?;
        refuse_html(response.headers(), &url)?;
        let claimed = digest_header(response.headers());
        let bytes = read_bounded(response, MAX_MANIFEST).await?;
        let digest = Digest::of(&bytes);
        for expected in [wanted.parse().ok(), claimed].into_iter().flatten() {
            verify(expected, digest)?;
        }
        Ok(Fetched { bytes, digest })
    }

    /// The digest of a tag, if the registry says it without the content.
    async fn head(&mut self, wanted: &str) -> Result<Option<Digest>, RegistryError> {
        let limit = self.registry.timeouts.request;
        let url = format!("{}/manifests/{wanted}", self.base);
        let accept = manifest::ACCEPT.join(", ");
        let response = within(limit, self.ask(Method::HEAD, &url, &accept)).await?;
        // A GET tells more than a HEAD about what went wrong.
        Ok(digest_header(response.headers()).filter(|_| response.status() == StatusCode::OK))
    }

    /// A small blob in memory, verified.
    pub(crate) async fn small_blob(&mut self, digest: Digest, size: usize) -> Result<Vec<u8>, RegistryError> {
        let limit = self.registry.timeouts.request;
        let read = async {
            let body = self.blob(digest).await?;
            read_bounded(body.0, size).await
        };
        let bytes = within(limit, read).await?;
        verify(digest, Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// Opens a blob. The caller counts, verifies and bounds the time.
    pub(crate) async fn blob(&mut self, digest: Digest) -> Result<Body, RegistryError> {
        let url = format!("{}/blobs/{digest}", self.base);
        let response = self.ask(Method::GET, &url, "*/*").await?;
        check(response, &url).await.map(Body)
    }

    /// How long a whole blob may take.
    pub(crate) fn blob_timeout(&self) -> Duration {
        self.registry.timeouts.blob
    }

    /// Sends a request, and again with authorisation if the registry wants some. A token that
    /// ran out during a long pull is replaced the same way.
    async fn ask(&mut self, method: Method, url: &str, accept: &str) -> Result<Response, RegistryError> {
        let response = self.send(&method, url, accept).await?;
        if !self.is_challenged(&response)? {
            return Ok(response);
        }
        let challenge = Challenge::from_headers(response.headers())
            .ok_or_else(|| RegistryError::Denied("authorization failed: no usable challenge".to_owned()))?;
        drop(response);
        self.authorization = Some(self.authorize(challenge).await?);
        self.send(&method, url, accept).await
    }

    /// Whether the registry wants authorisation. What it redirected to has nobody's credentials to ask for.
    fn is_challenged(&self, response: &Response) -> Result<bool, RegistryError> {
        Ok(response.status() == StatusCode::UNAUTHORIZED && response.url().origin() == parse_url(&self.base)?.origin())
    }

    /// Waits where a busy registry says for how long, within bounds.
    async fn send(&self, method: &Method, url: &str, accept: &str) -> Result<Response, RegistryError> {
        for _ in 0..MAX_PAUSES {
            let response = self.send_once(method, url, accept).await?;
            match pause(&response) {
                Some(pause) if pause <= MAX_PAUSE => tokio::time::sleep(pause).await,
                Some(_) | None => return Ok(response),
            }
        }
        self.send_once(method, url, accept).await
    }

    async fn send_once(&self, method: &Method, url: &str, accept: &str) -> Result<Response, RegistryError> {
        let mut url = parse_url(url)?;
        if let Some(namespace) = &self.endpoint.mirror_of {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        self.follow(method, url, &|request| request.header(ACCEPT, accept)).await
    }

    async fn authorize(&self, challenge: Challenge) -> Result<Authorization, RegistryError> {
        match challenge {
            Challenge::Basic if self.credential.is_anonymous() => {
                Err(RegistryError::Denied("authorization failed: no basic auth credentials".to_owned()))
            }
            Challenge::Basic => Ok(Authorization::Basic),
            Challenge::Bearer { realm, service } => self.token(&realm, service.as_deref()).await,
        }
    }

    async fn token(&self, realm: &str, service: Option<&str>) -> Result<Authorization, RegistryError> {
        let url = token_url(realm, service, self.repository, self.actions)
            .filter(|url| self.may_ask_for_token(url))
            .ok_or_else(|| RegistryError::Other(format!("refused to ask {realm:?} for a token: it is no https URL")))?;
        let shown = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let response = self.follow_to_token(url).await?;
        let response = check(response, &shown)
            .await
            .map_err(|err| RegistryError::Denied(format!("failed to authorize: failed to fetch token: {err}")))?;
        let bytes = read_bounded(response, MAX_TOKEN).await?;
        bearer(&bytes)
            .ok_or_else(|| RegistryError::Denied("failed to authorize: the token server sent no token".to_owned()))
    }

    /// Passwords go over TLS, or where the operator or the loopback rule said that they need not.
    fn may_ask_for_token(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let name = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let own = parse_url(&self.base).is_ok_and(|base| base.origin() == url.origin());
        let plain = self.base.starts_with("http://") && (own || self.registry.is_plain(&name));
        url.scheme() == "https" || (url.scheme() == "http" && plain)
    }
}

// === impl Body ===

impl Body {
    /// The next bytes, or none at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, RegistryError> {
        Ok(self.0.chunk().await?)
    }
}

// === helpers ===

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(RegistryError::Timeout(limit)))
}

fn parse_url(url: &str) -> Result<Url, RegistryError> {
    Url::parse(url).map_err(|err| RegistryError::Other(format!("{url}: {err}")))
}

fn bearer(bytes: &[u8]) -> Option<Authorization> {
    let token = serde_json::from_slice::<TokenAnswer>(bytes).ok()?.into_token()?;
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(Authorization::Bearer(value))
}

fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    headers.get(DIGEST_HEADER)?.to_str().ok()?.parse().ok()
}

fn verify(expected: Digest, actual: Digest) -> Result<(), RegistryError> {
    if expected == actual { Ok(()) } else { Err(RegistryError::Digest { expected, actual }) }
}
