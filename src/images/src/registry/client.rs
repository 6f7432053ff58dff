//! How registries are reached: address, scheme, TLS, proxies, timeouts.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder};

use super::auth::Credential;
use super::error::RegistryError;
use super::hosts::{self, Host};
use super::session::Session;
use crate::config::{Config, Timeouts};
use crate::error::OpenError;
use crate::reference::Reference;

/// Docker Hub's name in references, and the host that answers for it.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// From a registry to an object store, with room for one that moves.
const MAX_REDIRECTS: usize = 5;
const USER_AGENT: &str = concat!("wasmnode/", env!("CARGO_PKG_VERSION"));

/// Access to all registries.
pub(crate) struct Registry {
    /// For the network: HTTPS with the system's roots, proxies from the environment.
    outward: Client,
    /// For this machine: a proxy's loopback is not ours.
    loopback: Client,
    insecure: HashSet<String>,
    /// Where `hosts.toml` files are.
    config_dir: Option<PathBuf>,
    pub(super) timeouts: Timeouts,
}

/// A place that has the images of a registry.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Up to the repository's name, `https://host/v2`.
    base: String,
    /// Where it is to be trusted otherwise than the rest of the world.
    client: Option<Client>,
    /// The registry that this is a mirror of. Mirrors are not shown the credentials for it.
    mirror_of: Option<String>,
}

// === impl Registry ===

impl Registry {
    pub(crate) fn new(config: &Config) -> Result<Self, OpenError> {
        // The binary installs a provider; a caller that did not must not make reqwest panic.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let timeouts = config.timeouts;
        Ok(Self {
            outward: build(timeouts, |builder| builder)?,
            loopback: build(timeouts, ClientBuilder::no_proxy)?,
            insecure: config.insecure_registries.iter().cloned().collect(),
            config_dir: config.registry_config_dir.clone(),
            timeouts,
        })
    }

    /// A conversation about one image with its registry, as one user.
    pub(crate) fn session<'a>(&'a self, reference: &'a Reference, credential: &'a Credential) -> Session<'a> {
        self.session_at(&self.origin(reference), reference, credential)
    }

    /// A conversation about one image with one of the places that have it.
    pub(crate) fn session_at<'a>(
        &'a self,
        endpoint: &Endpoint,
        reference: &'a Reference,
        credential: &'a Credential,
    ) -> Session<'a> {
        let base = format!("{}/{}", endpoint.base, reference.repository());
        let session = Session::new(self, base, reference.repository(), credential);
        session.at(endpoint.client.clone(), endpoint.mirror_of.clone())
    }

    /// Where to ask for an image: mirrors in their order, then the registry itself. Blocking.
    ///
    /// # Errors
    /// What is wrong with the operator's settings.
    pub(crate) fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>, String> {
        let Some(directory) = &self.config_dir else { return Ok(vec![self.origin(reference)]) };
        let hosts = hosts::read(directory, reference.registry())?;
        let usable = |host: &&Host| host.resolves || (host.pulls && reference.digest().is_some());
        let mut endpoints = Vec::new();
        for host in hosts.mirrors.iter().filter(usable) {
            let mirror_of = Some(reference.registry().to_owned());
            endpoints.push(Endpoint { base: host.base.clone(), client: self.client_of(host)?, mirror_of });
        }
        let mut origin = self.origin(reference);
        if let Some(server) = &hosts.server {
            // Nothing answers for images under Docker Hub's own name.
            let base = server.base.replace(&format!("://{}/", HUB.0), &format!("://{}/", HUB.1));
            origin = Endpoint { base, client: self.client_of(server)?, mirror_of: None };
        } else if !hosts.certificates.is_empty() {
            origin.client = Some(self.client_with(&hosts.certificates, false)?);
        }
        endpoints.push(origin);
        Ok(endpoints)
    }

    fn origin(&self, reference: &Reference) -> Endpoint {
        let name = reference.registry();
        let host = if name == HUB.0 { HUB.1 } else { name };
        let scheme = if self.is_plain(name) { "http" } else { "https" };
        Endpoint { base: format!("{scheme}://{host}/v2"), client: None, mirror_of: None }
    }

    fn client_of(&self, host: &Host) -> Result<Option<Client>, String> {
        if host.certificates.is_empty() && !host.skip_verify {
            return Ok(None);
        }
        self.client_with(&host.certificates, host.skip_verify).map(Some)
    }

    /// Trusts some certificates besides those that everything trusts, or everybody.
    fn client_with(&self, certificates: &[PathBuf], skip_verify: bool) -> Result<Client, String> {
        let certificates: Vec<_> =
            certificates.iter().map(|path| read_certificates(path)).collect::<Result<Vec<_>, String>>()?.concat();
        let adapt = |builder: ClientBuilder| {
            builder.tls_certs_merge(certificates.iter().cloned()).tls_danger_accept_invalid_certs(skip_verify)
        };
        build(self.timeouts, adapt).map_err(|err| err.to_string())
    }

    /// Whether `registry` (`host[:port]`) is spoken to without TLS.
    pub(super) fn is_plain(&self, registry: &str) -> bool {
        let (host, port) = split_port(registry);
        (is_loopback(host) && port != Some("443")) || self.insecure.contains(registry)
    }

    pub(super) fn client_for(&self, url: &reqwest::Url) -> Result<&Client, RegistryError> {
        let host = url.host_str().ok_or_else(|| RegistryError::Other(format!("{url} names no host")))?;
        Ok(if is_loopback(host) { &self.loopback } else { &self.outward })
    }
}

fn build(timeouts: Timeouts, adapt: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, OpenError> {
    let basic = || {
        adapt(Client::builder())
            .user_agent(USER_AGENT)
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.stall)
            .redirect(Policy::custom(redirect))
    };
    // A machine without CA certificates can still use registries without TLS.
    basic()
        .build()
        .or_else(|err| {
            tracing::warn!(%err, "No root certificates found: registries with TLS will be refused");
            basic().tls_certs_only([]).build()
        })
        .map_err(|err| OpenError::Client(err.to_string()))
}

/// reqwest drops credentials when the host changes; that a secure pull stays secure is ours.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    let secure = attempt.previous().first().is_some_and(|url| url.scheme() == "https");
    if secure && attempt.url().scheme() != "https" {
        return attempt.error("redirected from https to http");
    }
    attempt.follow()
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("cannot use the certificates in {}: {why}", path.display());
    let bytes = hosts::read_file(path).map_err(|err| failed(&err))?;
    let found = Certificate::from_pem_bundle(&bytes).map_err(|err| failed(&err))?;
    if found.is_empty() { Err(failed(&"there are none")) } else { Ok(found) }
}

// === impl Endpoint ===

impl Endpoint {
    pub(crate) fn is_mirror(&self) -> bool {
        self.mirror_of.is_some()
    }

    pub(crate) fn address(&self) -> &str {
        &self.base
    }
}

fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_goes_without_tls() {
        let cases = [
            ("localhost", true),
            ("localhost:5000", true),
            ("localhost:443", false),
            ("127.0.0.1:5000", true),
            ("127.1.2.3", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("localhost.example.com:5000", false),
            ("10.0.0.1:5000", false),
            ("127.0.0.1.example.com", false),
            ("docker.io", false),
        ];
        for (registry, expected) in cases {
            let (host, port) = split_port(registry);
            assert_eq!(is_loopback(host) && port != Some("443"), expected, "{registry}");
        }
    }
}
