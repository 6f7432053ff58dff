//! `/metrics`: what every crate counts, under the kubelet's names where it has one (kubelet contract section 11.3).
//!
//! The crates count with plain atomics and know nothing of Prometheus; each file here turns one crate's numbers into a
//! page when it is asked for.

mod cluster;
mod images;
mod page;
mod pods;
mod process;
mod runners;

use std::sync::Arc;

use prometheus_client::registry::Registry;
use wasmnode_cluster::ClusterMetrics;
use wasmnode_images::Images;
use wasmnode_pods::Handle;
use wasmnode_provider_process::runners::Runners;

/// A registry that shows everything. `capacity` is the number of runs that one runner holds.
pub(crate) fn registry(
    cluster: Arc<ClusterMetrics>,
    images: Images,
    pods: Handle,
    runners: Arc<Runners>,
    capacity: u32,
) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(cluster::Collected(cluster)));
    registry.register_collector(Box::new(images::Collected(images)));
    registry.register_collector(Box::new(pods::Collected { pods, capacity }));
    registry.register_collector(Box::new(runners::Collected(runners)));
    registry.register_collector(Box::new(process::Collected));
    registry
}
