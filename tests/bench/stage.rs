//! What the scenarios with a cluster have in common: a control plane, a registry, an agent, and idle pods.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::{Value, json};
use wasmnode_tests::agent::{Agent, AgentOptions, placement};
use wasmnode_tests::cluster::{Cluster, ClusterOptions};
use wasmnode_tests::guests;
use wasmnode_tests::netns::{self, Node};
use wasmnode_tests::registry::{Artifact, Registry, RegistryOptions};

pub(crate) const NAMESPACE: &str = "default";

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) agent: Agent,
    registry: Registry,
    /// The smallest idle guest.
    image: String,
}

// === impl Stage ===

impl Stage {
    /// Inside a namespace of its own. `directory` need not exist; `config` is the agent's.
    pub(crate) async fn set_up(directory: &Path, config: Value) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let cluster = Cluster::start(&ClusterOptions {
            directory: directory.join("cluster"),
            address: netns::CONTROL_PLANE,
            nodes: vec![Node::new(1).name],
            arguments: Vec::new(),
        })
        .await?;
        let options = RegistryOptions { directory: directory.join("registry"), ..RegistryOptions::default() };
        let registry = Registry::start(options).await?;
        let image = registry.push("bench", "v1", &Artifact::cncf(guests::wat("sleeper")?)).await?;
        let options = AgentOptions {
            node: Node::new(1),
            directory: directory.join("agent"),
            config,
            arguments: Vec::new(),
            kept_programs: None,
        };
        let agent = Agent::start(&cluster, options).await?;
        Ok(Self { cluster, agent, registry, image })
    }

    pub(crate) async fn tear_down(mut self) -> Result<()> {
        self.agent.terminate().await?;
        self.registry.stop().await?;
        self.cluster.stop().await?;
        Ok(())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client(), NAMESPACE)
    }

    /// A pod that sleeps.
    pub(crate) fn pod(&self, name: &str) -> Result<Pod> {
        let mut spec = placement(Some(self.agent.node()));
        spec["containers"] = json!([{ "name": "main", "image": self.image }]);
        spec["terminationGracePeriodSeconds"] = json!(1);
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec });
        Ok(serde_json::from_value(pod)?)
    }
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}
