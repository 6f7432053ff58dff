//! Settings of the server.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a server, validated when it is bound.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 for any.
    pub address: SocketAddr,
    /// Name of the Node that callers must have rights on.
    pub node_name: String,
    /// What the server shows callers.
    pub certificate: Certificate,
    /// PEM bundle of the authorities whose client certificates are accepted. `None`: bearer tokens only.
    pub client_ca_file: Option<PathBuf>,
    /// Bounds.
    pub limits: Limits,
}

/// The serving certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// `kubelet.crt` and `kubelet.key` in `directory`, made when missing, expired or for other names.
    SelfSigned {
        /// The agent's private directory for keys.
        directory: PathBuf,
        /// Addresses of the node, to be named beside the node's name.
        addresses: Vec<IpAddr>,
    },
    /// The operator's own, PEM.
    Files {
        /// Certificate chain, the server's own first.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// Bounds on what clients can make the server hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; others wait in the kernel. One per watcher of a log and a few per API server
    /// are usual.
    pub connections: usize,
    /// From the connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// Without a request in progress, a request's header included.
    pub idle: Duration,
    /// One TokenReview or SubjectAccessReview.
    pub review: Duration,
    /// For answers in progress when the server stops.
    pub drain: Duration,
}

/// Bytes of a request's header, the longest token included. A kubelet takes a MiB; as anybody may open every connection
/// there is and send that much before being asked who they are, that would be a GiB in the process that runs the pods.
pub(crate) const MAX_HEADER: u32 = 64 << 10;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            review: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        }
    }
}
