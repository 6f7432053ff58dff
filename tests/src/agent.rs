//! The agent under test, as an operator runs it: a process with a node's credentials and a config file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{cluster::Cluster, eventually::eventually, kubectl::Kubectl, netns::Node, paths, process::Process};

/// Registration and the first status take a second; builds may run beside the tests.
const READY: Duration = Duration::from_secs(60);
/// What a drain may take.
const STOP: Duration = Duration::from_secs(60);

/// What an agent is started with.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Name and address of its node.
    pub node: Node,
    /// Folder of its root directory, logs and config; one that exists is taken over.
    pub directory: PathBuf,
    /// Keys of the config file, over the ones that every agent here needs.
    pub config: Value,
    /// More arguments of `wasmnode agent`.
    pub arguments: Vec<String>,
}

/// An agent of a cluster; killed when dropped.
pub struct Agent {
    options: AgentOptions,
    node_kubeconfig: PathBuf,
    certificate_authority: PathBuf,
    admin: Kubectl,
    nodes: Api<core::Node>,
    process: Option<Process>,
}

impl Agent {
    /// Starts an agent and returns when its node is Ready.
    pub async fn start(cluster: &Cluster, options: AgentOptions) -> Result<Self> {
        let mut agent = Self::new(cluster, options)?;
        agent.restart().await?;
        Ok(agent)
    }

    /// An agent that does not run yet.
    pub fn new(cluster: &Cluster, options: AgentOptions) -> Result<Self> {
        fs::create_dir_all(&options.directory).with_context(|| options.directory.display().to_string())?;
        Ok(Self {
            node_kubeconfig: cluster.node_kubeconfig(&options.node.name),
            certificate_authority: cluster.certificate_authority(),
            admin: cluster.kubectl(),
            nodes: Api::all(cluster.client()),
            process: None,
            options,
        })
    }

    /// Starts it, again or for the first time, and returns when its node is Ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.spawn()?;
        self.ready().await.with_context(|| format!("log of the agent:\n{}", self.log_tail()))
    }

    /// Starts it and returns at once, for tests in which it does not become ready.
    pub fn spawn(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the agent runs already");
        let config = self.options.directory.join("config.yaml");
        fs::write(&config, self.config().to_string()).with_context(|| config.display().to_string())?;
        let mut command = self.command(&config)?;
        self.process = Some(Process::start("wasmnode agent", &mut command, &self.log())?);
        Ok(())
    }

    fn command(&self, config: &Path) -> Result<Command> {
        let Node { name, address } = &self.options.node;
        let mut command = Command::new(paths::wasmnode()?);
        command.arg("agent").arg("--config").arg(config);
        command.arg("--kubeconfig").arg(&self.node_kubeconfig);
        command.arg("--root-dir").arg(self.root());
        command.args(["--node-ip", &address.to_string(), "--hostname-override", name]);
        command.args(&self.options.arguments);
        Ok(command)
    }

    /// YAML contains JSON.
    fn config(&self) -> Value {
        let mut config = json!({
            "address": self.options.node.address,
            "authentication": { "x509": { "clientCAFile": self.certificate_authority } },
            "podLogsDir": self.pod_logs(),
            "containerLinksDir": self.options.directory.join("log/containers"),
            "runDirectory": self.options.directory.join("run"),
        });
        if let (Some(all), Some(own)) = (config.as_object_mut(), self.options.config.as_object()) {
            all.extend(own.clone());
        }
        config
    }

    /// The API server reaches the new process and has its status: an old one may still say Ready.
    async fn ready(&mut self) -> Result<()> {
        let name = &self.options.node.name;
        let healthz = format!("/api/v1/nodes/{name}/proxy/healthz");
        let (nodes, admin) = (&self.nodes, &self.admin);
        let ready = eventually(READY, "the node Ready and its agent healthy", || async {
            ensure!(is_ready(&nodes.get(name).await?), "node {name} is not Ready");
            admin.ok(&["get", "--raw", &healthz]).await?;
            Ok(())
        });
        let process = self.process.as_mut().context("the agent does not run")?;
        tokio::select! {
            outcome = ready => outcome,
            status = process.wait(2 * READY) => bail!("the agent ended: {}", status?),
        }
    }

    /// Asks it to stop and waits for its end.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        let mut process = self.process.take().context("the agent does not run")?;
        process.terminate(STOP).await
    }

    /// Waits for an end that it comes to by itself.
    pub async fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let mut process = self.process.take().context("the agent does not run")?;
        process.wait(patience).await
    }

    /// Ends it as a crash or the kernel would.
    pub async fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the agent does not run")?;
        process.kill().await
    }

    /// Replaces keys of the config file; read at the next start.
    pub fn set_config(&mut self, config: Value) {
        self.options.config = config;
    }

    /// Name and address of its node.
    pub fn node(&self) -> &Node {
        &self.options.node
    }

    /// Its process id while it runs.
    pub fn id(&self) -> Option<i32> {
        self.process.as_ref().and_then(Process::id)
    }

    /// Its `--root-dir`.
    pub fn root(&self) -> PathBuf {
        self.options.directory.join("root")
    }

    /// Its `podLogsDir`.
    pub fn pod_logs(&self) -> PathBuf {
        self.options.directory.join("log/pods")
    }

    /// `https://<address>:10250`.
    pub fn url(&self) -> String {
        format!("https://{}:10250", self.options.node.address)
    }

    /// Its own log.
    pub fn log(&self) -> PathBuf {
        self.options.directory.join("agent.log")
    }

    /// The end of its own log.
    pub fn log_tail(&self) -> String {
        crate::process::tail(&self.log())
    }

    /// The fields of a pod spec that bring a pod to this very node: selector and tolerations.
    pub fn placement(&self) -> Value {
        placement(Some(&self.options.node))
    }
}

/// The fields of a pod spec that bring a pod to a WebAssembly node, or to a certain one.
pub fn placement(node: Option<&Node>) -> Value {
    let mut selector = json!({ "kubernetes.io/arch": "wasm32-wasi" });
    if let Some(node) = node {
        selector["kubernetes.io/hostname"] = json!(node.name);
    }
    let toleration =
        |effect| json!({ "key": "kubernetes.io/arch", "operator": "Equal", "value": "wasm32-wasi", "effect": effect });
    json!({ "nodeSelector": selector, "tolerations": [toleration("NoSchedule"), toleration("NoExecute")] })
}

fn is_ready(node: &core::Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
