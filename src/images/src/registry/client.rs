//! How registries are reached: address, scheme, TLS, proxies, timeouts.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};

use super::auth::Credential;
use super::error::RegistryError;
use super::hosts::{self, Abilities, Host, Hosts, Trust};
use super::session::Session;
use super::tls;
use crate::config::{Config, Timeouts};
use crate::error::OpenError;
use crate::reference::Reference;

/// Docker Hub's name in references, and the host that answers for it.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");
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
    pub(super) base: String,
    /// With trust of its own, where it has some.
    pub(super) client: Option<Client>,
    /// The registry that this is a mirror of. Mirrors are not shown the credentials for it.
    pub(super) mirror_of: Option<String>,
    /// For this host only.
    pub(super) headers: HeaderMap,
    abilities: Abilities,
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

    /// A conversation about one image with one of the places that have it, as one user.
    pub(crate) fn session<'a>(
        &'a self,
        endpoint: &Endpoint,
        reference: &'a Reference,
        credential: &'a Credential,
    ) -> Session<'a> {
        Session::new(self, endpoint, reference.repository(), credential)
    }

    /// Where to ask for an image: mirrors in their order, then the registry itself. Blocking.
    ///
    /// # Errors
    /// What is wrong with the operator's settings.
    pub(crate) fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>, String> {
        let by_digest = reference.digest().is_some();
        let mut endpoints = self.all(reference)?;
        endpoints.retain(|endpoint| endpoint.abilities.can_deliver(by_digest));
        Ok(endpoints)
    }

    /// Where to push: the first place of those for which that is allowed, as containerd has it. Blocking.
    ///
    /// # Errors
    /// What is wrong with the operator's settings, or that they allow it nowhere.
    pub(crate) fn push_endpoint(&self, reference: &Reference) -> Result<Endpoint, String> {
        let found = self.all(reference)?.into_iter().find(|endpoint| endpoint.abilities.push);
        found.ok_or_else(|| format!("hosts.toml gives no host of {} the capability \"push\"", reference.registry()))
    }

    fn all(&self, reference: &Reference) -> Result<Vec<Endpoint>, String> {
        let Some(directory) = &self.config_dir else { return Ok(vec![self.origin(reference)]) };
        let Hosts { mirrors, server, trust } = hosts::read(directory, reference.registry())?;
        let mut endpoints = Vec::new();
        for host in mirrors {
            let mirror_of = Some(reference.registry().to_owned());
            endpoints.push(Endpoint { mirror_of, ..self.endpoint(host)? });
        }
        let origin = match server {
            Some(server) => {
                let endpoint = self.endpoint(server)?;
                // Nothing answers for images under Docker Hub's own name.
                let base = endpoint.base.replace(&format!("://{}/", HUB.0), &format!("://{}/", HUB.1));
                Endpoint { base, ..endpoint }
            }
            None => {
                let origin = self.origin(reference);
                Endpoint { client: self.client_with(&trust, &origin.base)?, ..origin }
            }
        };
        endpoints.push(origin);
        Ok(endpoints)
    }

    fn endpoint(&self, host: Host) -> Result<Endpoint, String> {
        let Host { base, abilities, trust, headers } = host;
        Ok(Endpoint { client: self.client_with(&trust, &base)?, base, mirror_of: None, headers, abilities })
    }

    fn origin(&self, reference: &Reference) -> Endpoint {
        let name = reference.registry();
        let host = if name == HUB.0 { HUB.1 } else { name };
        let scheme = if self.is_plain(name) { "http" } else { "https" };
        let base = format!("{scheme}://{host}/v2");
        Endpoint { base, client: None, mirror_of: None, headers: HeaderMap::new(), abilities: Abilities::ALL }
    }

    fn client_with(&self, trust: &Trust, base: &str) -> Result<Option<Client>, String> {
        if trust.is_default() {
            return Ok(None);
        }
        let tls = tls::client_config(trust)?;
        let inside = Url::parse(base).is_ok_and(|url| url.host_str().is_some_and(is_loopback));
        let client = build(self.timeouts, |builder| {
            let builder = builder.tls_backend_preconfigured(tls.clone());
            if inside { builder.no_proxy() } else { builder }
        });
        client.map(Some).map_err(|err| err.to_string())
    }

    /// Whether `registry` (`host[:port]`) is spoken to without TLS.
    pub(super) fn is_plain(&self, registry: &str) -> bool {
        let (host, port) = split_port(registry);
        (is_loopback(host) && port != Some("443")) || self.insecure.contains(registry)
    }

    pub(super) fn client_for(&self, url: &Url) -> Result<&Client, RegistryError> {
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
            // Followed by the session, which knows what is for whom.
            .redirect(Policy::none())
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

// === impl Endpoint ===

impl Endpoint {
    pub(crate) fn is_mirror(&self) -> bool {
        self.mirror_of.is_some()
    }

    pub(crate) fn address(&self) -> &str {
        &self.base
    }

    /// The host that a push's credentials are for, as `docker login` knows it.
    pub(crate) fn host<'a>(&'a self, reference: &'a Reference) -> &'a str {
        if !self.is_mirror() {
            return reference.registry();
        }
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
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
