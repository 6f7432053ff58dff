//! How registries are reached: scheme, TLS, proxies, timeouts. The place for custom roots is
//! [`build`].

use std::collections::HashSet;
use std::net::IpAddr;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder};

use super::auth::Credential;
use super::error::RegistryError;
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
    pub(super) timeouts: Timeouts,
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
            timeouts,
        })
    }

    /// A conversation about one image with one credential.
    pub(crate) fn session<'a>(&'a self, reference: &'a Reference, credential: &'a Credential) -> Session<'a> {
        let name = reference.registry();
        let host = if name == HUB.0 { HUB.1 } else { name };
        let scheme = if self.is_plain(name) { "http" } else { "https" };
        let base = format!("{scheme}://{host}/v2/{}", reference.repository());
        Session::new(self, base, reference.repository(), credential)
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
