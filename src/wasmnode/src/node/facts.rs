//! Facts about the node, gathered every few seconds.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Taint;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use wasmnode_core::node::{Image, NodeFact, NodeFacts, Pressure, Resources, SystemInfo, default_labels};
use wasmnode_images::Images;
use wasmnode_pods::IsolationPolicy;
use wasmnode_provider_api::Provider;

use super::reserved::{LEAST_DISK_PART, LEAST_MEMORY, reserved};
use crate::admin::SHUTTING_DOWN;
use crate::config::Config;
use crate::host::{Capacity, Identity};
use crate::version;

/// A provider that does not answer for this long does not run pods either.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Where facts come from.
pub(crate) struct FactsSource {
    root: PathBuf,
    config: Arc<Config>,
    images: Images,
    provider: Arc<dyn Provider>,
    /// Cancelled when the node goes down.
    leaving: CancellationToken,
    /// What does not change while the agent runs.
    fixed: NodeFacts,
}

// === impl FactsSource ===

impl FactsSource {
    /// `runtime` is the provider's name and version; the token says that the node goes down.
    pub(crate) fn new(
        config: Arc<Config>,
        address: IpAddr,
        runtime: String,
        isolation: &IsolationPolicy,
        images: Images,
        (provider, leaving): (Arc<dyn Provider>, CancellationToken),
    ) -> Self {
        let fixed = fixed(&config, address, runtime, isolation);
        Self { root: config.root_dir.clone(), config, images, provider, leaving, fixed }
    }

    /// All facts as they are now.
    pub(crate) async fn gather(&self) -> anyhow::Result<NodeFacts> {
        let root = self.root.clone();
        let reading = tokio::task::spawn_blocking(move || Capacity::read(&root));
        let capacity = reading.await.context("cannot read the machine's capacity")??;
        Ok(NodeFacts {
            capacity: resources(&capacity, self.config.file.max_pods),
            reserved: reserved(&self.config.file, capacity.disk),
            pressure: pressure(&capacity),
            images: self.images(),
            problems: self.problems().await,
            ..self.fixed.clone()
        })
    }

    /// Keeps the receivers of `facts` up to date.
    pub(crate) async fn run(self, facts: watch::Sender<NodeFacts>, every: Duration, shutdown: CancellationToken) {
        let forever = async {
            loop {
                let is_leaving = self.leaving.is_cancelled();
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = self.leaving.cancelled(), if !is_leaving => {}
                }
                match self.gather().await {
                    Ok(new) => publish(&facts, new),
                    Err(error) => warn!(%error, "Cannot gather the node's facts, keeping the old ones"),
                }
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    fn images(&self) -> Vec<Image> {
        let listed = self.images.list().into_iter();
        listed.map(|image| Image { names: image.names, size: image.size_bytes }).collect()
    }

    /// Why no pod could run here now. The words are the kubelet's, since tools look for them.
    async fn problems(&self) -> Vec<String> {
        let mut problems = match tokio::time::timeout(PING_TIMEOUT, self.provider.ping()).await {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(error)) => vec![format!("container runtime is down: {error}")],
            Err(_) => vec!["container runtime is down: it does not answer".to_owned()],
        };
        if self.leaving.is_cancelled() {
            problems.push(SHUTTING_DOWN.to_owned());
        }
        problems
    }
}

fn publish(facts: &watch::Sender<NodeFacts>, new: NodeFacts) {
    facts.send_if_modified(|old| {
        let changed = *old != new;
        if changed {
            debug!(problems = ?new.problems, pressure = ?new.pressure, "Facts about the node changed");
            *old = new;
        }
        changed
    });
}

fn fixed(config: &Config, address: IpAddr, runtime: String, isolation: &IsolationPolicy) -> NodeFacts {
    let (file, name) = (&config.file, &config.node_name);
    let mut labels = default_labels(name);
    labels.extend(file.node_labels.clone());
    let taint = |taint: &crate::config::sections::Taint| Taint {
        key: taint.key.clone(),
        value: Some(taint.value.clone()).filter(|value| !value.is_empty()),
        effect: taint.effect.as_str().to_owned(),
        time_added: None,
    };
    NodeFacts {
        name: name.clone(),
        labels,
        taints: file.register_with_taints.iter().map(taint).collect(),
        provider_id: file.provider_id.clone(),
        capacity: Resources::default(),
        reserved: Resources::default(),
        addresses: vec![address],
        hostname: name.clone(),
        kubelet_port: file.port,
        system: system_info(&Identity::read(Path::new("/")), runtime),
        images: Vec::new(),
        max_images: usize::try_from(file.node_status_max_images).ok(),
        runtime_handlers: std::iter::once("").chain(isolation.handlers()).map(str::to_owned).collect(),
        pressure: Pressure::default(),
        problems: Vec::new(),
        conditions: vec![NodeFact::isolation(isolation.users.is_some()), NodeFact::node_addresses()],
    }
}

fn system_info(identity: &Identity, runtime: String) -> SystemInfo {
    SystemInfo {
        machine_id: identity.machine_id.clone(),
        system_uuid: identity.system_uuid.clone(),
        boot_id: identity.boot_id.clone(),
        kernel_version: identity.kernel.clone(),
        os_image: identity.os_image.clone(),
        runtime_version: runtime,
        kubelet_version: version::KUBELET.to_owned(),
    }
}

fn resources(capacity: &Capacity, max_pods: u32) -> Resources {
    Resources {
        cpu_millis: capacity.cores * 1000,
        memory: capacity.memory,
        ephemeral_storage: capacity.disk,
        pods: u64::from(max_pods),
    }
}

fn pressure(capacity: &Capacity) -> Pressure {
    let (processes, limit) = capacity.processes;
    Pressure {
        memory: capacity.memory_available < LEAST_MEMORY,
        disk: capacity.disk_available < capacity.disk / LEAST_DISK_PART,
        // Fork fails at the limit itself; a tenth is what an operator needs to look around.
        pid: processes > limit - limit / 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_begins_at_the_kubelets_thresholds() {
        let roomy = Capacity {
            cores: 2,
            memory: 1 << 30,
            memory_available: LEAST_MEMORY,
            disk: 1000,
            disk_available: 100,
            processes: (90, 100),
        };
        assert_eq!(pressure(&roomy), Pressure::default());
        let short = Capacity { memory_available: LEAST_MEMORY - 1, disk_available: 99, processes: (91, 100), ..roomy };
        assert_eq!(pressure(&short), Pressure { memory: true, disk: true, pid: true });
    }
}
