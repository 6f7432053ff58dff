//! The other direction: blobs in one piece, then the manifest.

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use super::super::auth::Challenge;
use super::super::error::RegistryError;
use super::{Session, parse_url, server_message, within};
use crate::digest::Digest;
use crate::manifest::OCI_MANIFEST;

/// A request that changes something.
struct Change<'a> {
    method: Method,
    url: &'a Url,
    content_type: &'static str,
    body: &'a [u8],
    expected: StatusCode,
}

impl Session<'_> {
    /// From now on tokens are asked for that allow to push.
    pub(crate) fn for_pushing(mut self) -> Self {
        self.actions = "pull,push";
        self
    }

    /// Uploads a blob, unless the registry has it.
    pub(crate) async fn push_blob(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), RegistryError> {
        let (limit, url) = (self.registry.timeouts.request, format!("{}/blobs/{digest}", self.base));
        if within(limit, self.ask(Method::HEAD, &url, "*/*")).await?.status() == StatusCode::OK {
            return Ok(());
        }
        let limit = self.registry.timeouts.blob;
        within(limit, self.upload(digest, bytes)).await
    }

    async fn upload(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), RegistryError> {
        const OCTETS: &str = "application/octet-stream";
        let url = parse_url(&format!("{}/blobs/uploads/", self.base))?;
        let (method, expected) = (Method::POST, StatusCode::ACCEPTED);
        let begun = self.change(Change { method, url: &url, content_type: OCTETS, body: &[], expected }).await?;
        let location = begun.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.and_then(|location| url.join(location).ok());
        let mut location =
            location.ok_or_else(|| RegistryError::Other("the registry did not say where to upload to".to_owned()))?;
        location.query_pairs_mut().append_pair("digest", &digest.to_string());
        let (method, expected) = (Method::PUT, StatusCode::CREATED);
        self.change(Change { method, url: &location, content_type: OCTETS, body: bytes, expected }).await.map(drop)
    }

    /// Gives a manifest its name, or stores it by its digest.
    pub(crate) async fn push_manifest(&mut self, wanted: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let limit = self.registry.timeouts.request;
        let url = parse_url(&format!("{}/manifests/{wanted}", self.base))?;
        let (method, expected) = (Method::PUT, StatusCode::CREATED);
        let change = Change { method, url: &url, content_type: OCI_MANIFEST, body: bytes, expected };
        within(limit, self.change(change)).await.map(drop)
    }

    /// Sends, and again with authorisation if the registry wants some.
    async fn change(&mut self, change: Change<'_>) -> Result<Response, RegistryError> {
        let mut response = self.send_change(&change).await?;
        if self.is_challenged(&response)? {
            let challenge = Challenge::from_headers(response.headers())
                .ok_or_else(|| RegistryError::Denied("authorization failed: no usable challenge".to_owned()))?;
            self.authorization = Some(self.authorize(challenge).await?);
            response = self.send_change(&change).await?;
        }
        let status = response.status();
        if status == change.expected || status == StatusCode::CREATED {
            return Ok(response);
        }
        let said =
            format!("{} {} answered {status}{}", change.method, shown(change.url), server_message(response).await);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Denied(said),
            _ => RegistryError::Other(said),
        })
    }

    async fn send_change(&self, change: &Change<'_>) -> Result<Response, RegistryError> {
        let add =
            |request: RequestBuilder| request.header(CONTENT_TYPE, change.content_type).body(change.body.to_vec());
        self.follow(&change.method, change.url.clone(), &add).await
    }
}

/// Without the query, which may hold a signature.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
