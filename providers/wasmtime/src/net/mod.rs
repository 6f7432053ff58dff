//! The network of one pod, as its guests see it.
//!
//! Guests have no sockets of the host's: all that they send or receive goes through here, and everything that it
//! may come to is decided in [`policy`]. The pod's loopback is a table of listeners in memory, never the host's.

mod counted;
mod denials;
mod lookup;
mod loopback;
pub(crate) mod policy;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use wasmnode_provider_api::{Configure, Error};

pub(crate) use counted::{Counted, Traffic};
pub(crate) use lookup::lookup;
pub(crate) use loopback::{Listening, Loopback};
pub(crate) use policy::{Attempt, Decision, Denial};
pub(crate) use stream::duplex;

use crate::client::{Client, Tls};
use denials::Denials;
use policy::Rules;

/// What all pods share: the caller's settings.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    node_api: Vec<SocketAddr>,
    pub(crate) tls: Arc<Tls>,
}

/// What the next sandbox is given.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Arc<Outside>>);

/// The network of a pod.
#[derive(Debug)]
pub(crate) struct Network {
    name: String,
    rules: Rules,
    denials: Denials,
    pub(crate) loopback: Loopback,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) client: Client,
    /// Where connections are driven.
    pub(crate) runtime: Handle,
    /// Cancelled with the pod: no connection outlives it.
    pub(crate) gone: CancellationToken,
    denied: AtomicU64,
}

// === impl Shared ===

impl Shared {
    /// # Errors
    /// [`Error::Malformed`] for certificates that cannot be read.
    pub(crate) fn configure(&self, settings: Configure) -> Result<(), Error> {
        let tls = Tls::new(&settings.ca_bundle)?;
        let outside = Outside { node_api: settings.node_api, tls: Arc::new(tls) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(outside);
        Ok(())
    }

    pub(crate) fn outside(&self) -> Arc<Outside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl Network ===

impl Network {
    /// `name` is for the node's log.
    pub(crate) fn new(name: &str, addresses: &[IpAddr], outside: &Outside, runtime: Handle) -> Self {
        Self {
            name: name.to_owned(),
            rules: Rules { own: addresses.to_vec(), node_api: outside.node_api.clone() },
            denials: Denials::default(),
            loopback: Loopback::default(),
            traffic: Arc::default(),
            client: Client::new(outside.tls.clone()),
            runtime,
            gone: CancellationToken::new(),
            denied: AtomicU64::new(0),
        }
    }

    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.rules.own
    }

    /// The one place that every listen, accept, connect and lookup passes.
    ///
    /// # Errors
    /// Counted, and logged once for each target.
    pub(crate) fn pass(&self, attempt: &Attempt<'_>) -> Result<Decision, Denial> {
        policy::decide(&self.rules, attempt).inspect_err(|denial| {
            self.denied.fetch_add(1, Ordering::Relaxed);
            if self.denials.is_news(attempt) {
                tracing::warn!(pod = self.name, %attempt, reason = %denial, "Network access of a guest denied");
            }
        })
    }

    /// Attempts that were denied so far.
    pub(crate) fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}
