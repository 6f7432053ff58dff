//! The agent under test, as an operator runs it: a process with a node's credentials and a config file.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use rustix::process::{Pid, Signal, kill_process};
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
    /// Where agents of one build keep their program for runners, so that not each of them has a copy; `None`: in the
    /// root directory, as an operator has it.
    pub kept_programs: Option<PathBuf>,
}

/// A process that runs pods, as its agent recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Process id.
    pub pid: i32,
    /// Isolation group, e.g. `ns-default`.
    pub group: String,
    /// Build of the agent that started it.
    pub build: String,
}

/// An agent of a cluster; killed with its runners when dropped.
pub struct Agent {
    options: AgentOptions,
    node_kubeconfig: PathBuf,
    certificate_authority: PathBuf,
    admin: Kubectl,
    nodes: Api<core::Node>,
    program: PathBuf,
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
        share_programs(&options)?;
        Ok(Self {
            node_kubeconfig: cluster.node_kubeconfig(&options.node.name),
            certificate_authority: cluster.certificate_authority(),
            admin: cluster.kubectl(),
            nodes: Api::all(cluster.client()),
            program: paths::wasmnode()?,
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
        let mut command = self.command(&config);
        self.process = Some(Process::start("wasmnode agent", &mut command, &self.log())?);
        Ok(())
    }

    fn command(&self, config: &Path) -> Command {
        let Node { name, address } = &self.options.node;
        let mut command = Command::new(&self.program);
        command.arg("agent").arg("--config").arg(config);
        command.arg("--kubeconfig").arg(&self.node_kubeconfig);
        command.arg("--root-dir").arg(self.root());
        command.args(["--node-ip", &address.to_string(), "--hostname-override", name]);
        command.args(&self.options.arguments);
        command
    }

    /// YAML contains JSON.
    fn config(&self) -> Value {
        let mut config = json!({
            "address": self.options.node.address,
            "authentication": { "x509": { "clientCAFile": self.certificate_authority } },
            "podLogsDir": self.pod_logs(),
            "containerLinksDir": self.options.directory.join("log/containers"),
            "runDirectory": self.run(),
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

    /// Another build of the program; used from the next start on.
    pub fn set_program(&mut self, program: PathBuf) {
        self.program = program;
    }

    /// A verb of the agent's program about this agent's node, with its configuration.
    pub fn verb(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(verb).arg("--config").arg(self.options.directory.join("config.yaml"));
        command.arg("--root-dir").arg(self.root());
        command
    }

    /// The processes that run its pods, by group and process id. Those that ended may still be listed for a moment.
    pub fn runners(&self) -> Vec<Runner> {
        let mut runners: Vec<_> = records(&self.run()).into_iter().filter_map(|record| runner(&record)).collect();
        runners.sort_by(|a, b| (&a.group, a.pid).cmp(&(&b.group, b.pid)));
        runners
    }

    /// Its `runDirectory`.
    pub fn run(&self) -> PathBuf {
        self.options.directory.join("run")
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

impl Drop for Agent {
    /// What outlives an agent must not outlive the test.
    fn drop(&mut self) {
        // Killed first: it would start others.
        self.process = None;
        for Runner { pid, .. } in self.runners() {
            if let Some(pid) = Pid::from_raw(pid) {
                // One that has ended is as good.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn share_programs(options: &AgentOptions) -> Result<()> {
    let (Some(kept), root) = (&options.kept_programs, options.directory.join("root")) else { return Ok(()) };
    if root.join("bin").exists() {
        return Ok(());
    }
    fs::create_dir_all(kept).with_context(|| kept.display().to_string())?;
    fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
    symlink(kept, root.join("bin")).with_context(|| format!("cannot link to {}", kept.display()))
}

/// Files below `<run>/groups/<group>/runners/`.
fn records(run: &Path) -> Vec<PathBuf> {
    let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let groups = entries(run.join("groups"));
    let files = groups.flat_map(|group| entries(group.join("runners")));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

fn runner(record: &Path) -> Option<Runner> {
    let record: Value = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    let text = |key: &str| Some(record.get(key)?.as_str()?.to_owned());
    let pid = i32::try_from(record.get("pid")?.as_i64()?).ok()?;
    Some(Runner { pid, group: text("group")?, build: text("build")? })
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
