//! What the demo plays on, and how it shows what it does.

use std::{
    io::Write,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::time::timeout;
use wasmnode_tests::{
    agent::{Agent, AgentOptions},
    cluster::{Cluster, ClusterOptions},
    kubectl::Kubectl,
    netns::{self, Node},
    paths,
    registry::{Artifact, Registry, RegistryOptions},
};

/// A cluster with a registry and one node.
pub(crate) struct Stage {
    agent: Agent,
    registry: Registry,
    cluster: Cluster,
    kubectl: Kubectl,
}

/// Prints a line. Nobody is left to tell when that fails.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

impl Stage {
    /// Starts everything, in folders below `scratch`.
    pub(crate) async fn set(scratch: &Path) -> Result<Self> {
        let node = Node::new(1);
        say("# starting a control plane and a registry");
        let cluster = ClusterOptions {
            directory: scratch.join("cluster"),
            address: netns::CONTROL_PLANE,
            nodes: vec![node.name.clone()],
            arguments: Vec::new(),
        };
        let registry = RegistryOptions { directory: scratch.join("registry"), ..RegistryOptions::default() };
        let (cluster, registry) = tokio::try_join!(Cluster::start(&cluster), Registry::start(registry))?;
        say(&format!("# starting the agent of node {}", node.name));
        let directory = scratch.join(&node.name);
        let options = AgentOptions { directory, node, config: json!({}), arguments: Vec::new(), kept_programs: None };
        let agent = Agent::start(&cluster, options).await?;
        let kubectl = cluster.kubectl();
        Ok(Self { agent, registry, cluster, kubectl })
    }

    /// Pushes an image and returns its reference.
    pub(crate) async fn push(&self, name: &str, artifact: &Artifact) -> Result<String> {
        let image = self.registry.push(name, "v1", artifact).await?;
        say(&format!("# pushed {image}"));
        Ok(image)
    }

    /// Applies an object, showing how a user would.
    pub(crate) async fn apply(&self, name: &str, object: &Value) -> Result<()> {
        say(&format!("\n$ kubectl apply -f - # {name}\n{}", serde_json::to_string_pretty(object)?));
        self.kubectl.apply(object).await.map(drop)
    }

    /// Shows a command and what it prints.
    pub(crate) async fn show(&self, arguments: &[&str]) -> Result<()> {
        let status = self.start(arguments)?.wait().await?;
        ensure!(status.success(), "kubectl {} failed with {status}", arguments.join(" "));
        Ok(())
    }

    /// Shows a command that goes on, for a while.
    pub(crate) async fn watch(&self, arguments: &[&str], length: Duration) -> Result<()> {
        let mut child = self.start(arguments)?;
        if timeout(length, child.wait()).await.is_err() {
            child.kill().await?;
            say("^C");
        }
        Ok(())
    }

    fn start(&self, arguments: &[&str]) -> Result<tokio::process::Child> {
        say(&format!("\n$ kubectl {}", arguments.join(" ")));
        let mut command = self.kubectl.command(arguments);
        Ok(command.stdout(Stdio::inherit()).stderr(Stdio::inherit()).spawn()?)
    }

    /// Says how to use what is left running.
    pub(crate) async fn keep(&self, scratch: &Path) -> Result<()> {
        let kubectl = paths::cluster_program("kubectl");
        let kubeconfig = self.cluster.admin_kubeconfig();
        say("\n# Running until Ctrl-C. In another terminal:");
        say(&format!(
            "alias k='{} {} --kubeconfig {}'",
            netns::command_prefix()?,
            kubectl.display(),
            kubeconfig.display()
        ));
        say("k get pods --watch");
        say(&format!("# Registry: {}. Logs and state: below {}", self.registry.address(), scratch.display()));
        Ok(())
    }

    /// Ends everything in order.
    pub(crate) async fn strike(&mut self) -> Result<()> {
        say("\n# stopping");
        self.kubectl.ok(&["delete", "deployment,job", "--all", "--cascade=foreground", "--timeout=60s"]).await?;
        let status: ExitStatus = self.agent.terminate().await?;
        ensure!(status.success(), "the agent ended with {status}:\n{}", self.agent.log_tail());
        Ok(())
    }
}
