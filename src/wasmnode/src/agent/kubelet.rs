//! The kubelet API, joined with what it serves.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use wasmnode_cluster::Client;
use wasmnode_core::node::NodeFacts;
use wasmnode_pods::Handle;
use wasmnode_server::{Backends, Certificate, Limits, metrics::Requests};

use crate::config::Config;
use crate::layout::Layout;
use crate::wire::{ClusterReviewer, NodeHealth, ServedPods};

/// What the server asks.
pub(super) fn backends(
    client: Client,
    pods: Handle,
    logs: std::path::PathBuf,
    facts: watch::Receiver<NodeFacts>,
    mut registry: Registry,
) -> Backends {
    let requests = Requests::register(&mut registry);
    Backends {
        reviewer: Arc::new(ClusterReviewer(client)),
        pods: Arc::new(ServedPods { pods, logs }),
        health: Arc::new(NodeHealth(facts)),
        registry: Arc::new(registry),
        requests,
    }
}

/// Its settings.
pub(super) fn server_config(config: &Config, layout: &Layout, address: IpAddr) -> wasmnode_server::Config {
    let file = &config.file;
    let certificate = match (&file.tls_cert_file, &file.tls_private_key_file) {
        (Some(certificate), Some(key)) => Certificate::Files { certificate: certificate.clone(), key: key.clone() },
        _ => Certificate::SelfSigned { directory: layout.pki.clone(), addresses: vec![address] },
    };
    wasmnode_server::Config {
        address: SocketAddr::new(file.address, file.port),
        node_name: config.node_name.clone(),
        certificate,
        client_ca_file: file.authentication.x509.client_ca_file.clone(),
        limits: Limits::default(),
    }
}
