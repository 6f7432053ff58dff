//! As much of the distribution API as pushing takes. A client library would refuse to push what tests need
//! most: broken images.

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, RequestBuilder, Response, Url, header};

use super::{Artifact, Blob, artifact};

/// Pushes to one registry over plain HTTP.
pub struct RegistryClient {
    http: Client,
    base: Url,
    user: Option<(String, String)>,
}

impl RegistryClient {
    /// For the registry at `address` (`host:port`).
    pub fn new(address: &str, user: Option<(String, String)>) -> Result<Self> {
        // Needed to make a client at all, although this one speaks no TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().build()?;
        Ok(Self { http, base: Url::parse(&format!("http://{address}/v2/"))?, user })
    }

    /// Pushes blobs and manifest, and returns the manifest's digest.
    pub async fn push(&self, repository: &str, tag: &str, artifact: &Artifact) -> Result<String> {
        for blob in artifact.layers.iter().chain([&artifact.config]) {
            self.push_blob(repository, blob).await?;
        }
        self.push_manifest(repository, tag, &artifact.media_type, artifact.manifest()).await
    }

    /// Pushes one blob.
    pub async fn push_blob(&self, repository: &str, blob: &Blob) -> Result<()> {
        let start = self.base.join(&format!("{repository}/blobs/uploads/"))?;
        let started = send(self.request(Method::POST, start.clone())).await?;
        let location = started.headers().get(header::LOCATION).context("the upload has no location")?;
        let mut upload = start.join(location.to_str()?)?;
        upload.query_pairs_mut().append_pair("digest", &blob.digest());
        send(self.request(Method::PUT, upload).body(blob.content.clone())).await?;
        Ok(())
    }

    /// Pushes any bytes as the manifest of a tag (or digest), and returns their digest.
    pub async fn push_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        manifest: Vec<u8>,
    ) -> Result<String> {
        let digest = artifact::digest(&manifest);
        let url = self.base.join(&format!("{repository}/manifests/{tag}"))?;
        let request = self.request(Method::PUT, url).header(header::CONTENT_TYPE, media_type);
        send(request.body(manifest)).await?;
        Ok(digest)
    }

    /// Bytes of a manifest by tag or digest.
    pub async fn manifest(&self, repository: &str, tag: &str, media_type: &str) -> Result<Vec<u8>> {
        let url = self.base.join(&format!("{repository}/manifests/{tag}"))?;
        let answer = send(self.request(Method::GET, url).header(header::ACCEPT, media_type)).await?;
        Ok(answer.bytes().await?.into())
    }

    /// Bytes of a blob.
    pub async fn blob(&self, repository: &str, digest: &str) -> Result<Vec<u8>> {
        let url = self.base.join(&format!("{repository}/blobs/{digest}"))?;
        Ok(send(self.request(Method::GET, url)).await?.bytes().await?.into())
    }

    /// Removes a manifest by its digest: its tags are gone with it.
    pub async fn delete_manifest(&self, repository: &str, digest: &str) -> Result<()> {
        let url = self.base.join(&format!("{repository}/manifests/{digest}"))?;
        send(self.request(Method::DELETE, url)).await?;
        Ok(())
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.user {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        }
    }
}

async fn send(request: RequestBuilder) -> Result<Response> {
    let answer = request.send().await?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let (status, url) = (answer.status(), answer.url().clone());
    bail!("the registry answered {status} for {url}: {}", answer.text().await?)
}
