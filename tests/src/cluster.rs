//! A real control plane, from nothing to ready in a few seconds (`tests/cluster`).

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::process::Command;

use crate::{kubectl::Kubectl, paths, process::Process};

/// Four seconds on an idle machine of two cores; builds may run beside the tests.
const START: Duration = Duration::from_secs(150);
/// The API server waits for open watches.
const STOP: Duration = Duration::from_secs(60);

/// What a control plane is started with.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// A folder that does not exist yet, below one that does.
    pub directory: PathBuf,
    /// Where the API server listens.
    pub address: Ipv4Addr,
    /// Nodes to make credentials for.
    pub nodes: Vec<String>,
    /// More flags of `controlplane all`.
    pub arguments: Vec<String>,
}

/// A running control plane; ended when dropped.
pub struct Cluster {
    process: Process,
    directory: PathBuf,
    server: String,
    processes: HashMap<String, i32>,
    client: Client,
}

/// What `controlplane all` says once it is ready.
#[derive(Deserialize)]
struct Announcement {
    server: String,
    processes: HashMap<String, i32>,
}

impl Cluster {
    /// Starts a control plane and returns when pods can be created in it.
    pub async fn start(options: &ClusterOptions) -> Result<Self> {
        let directory = options.directory.clone();
        let log = directory.with_extension("log");
        let mut command = Command::new(paths::cluster_program("controlplane"));
        command.arg("all").arg("--dir").arg(&directory).arg("--rm");
        command.arg(format!("--address={}", options.address));
        command.args(options.nodes.iter().map(|node| format!("--node={node}")));
        command.args(&options.arguments);
        let (process, ready) = Process::announced("controlplane", &mut command, &log, START).await?;
        let Announcement { server, processes } = ready;
        let client = client_of(&directory.join("admin.kubeconfig")).await?;
        Ok(Self { process, directory, server, processes, client })
    }

    /// URL of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Credentials that may do everything.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// Credentials with the rights of a node, and no more.
    pub fn node_kubeconfig(&self, node: &str) -> PathBuf {
        self.directory.join(format!("{node}.kubeconfig"))
    }

    /// Certificate of the cluster's authority, PEM.
    pub fn certificate_authority(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// kubectl of somebody who may do everything.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.admin_kubeconfig())
    }

    /// Signals one component (`etcd`, `apiserver`, `controller-manager`, `scheduler`): SIGSTOP makes it hang
    /// as behind a broken network, until SIGCONT.
    pub fn signal(&self, component: &str, signal: Signal) -> Result<()> {
        let id = self.processes.get(component).and_then(|id| Pid::from_raw(*id));
        let id = id.with_context(|| format!("no component {component}"))?;
        kill_process(id, signal).with_context(|| format!("cannot signal {component}"))
    }

    /// Ends all of it and removes its folder.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        self.process.terminate(STOP).await
    }
}

/// A client with the credentials of a kubeconfig file.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    // Several of the dependencies could provide the cryptography; whoever comes first decides.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig).with_context(|| kubeconfig.display().to_string())?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
