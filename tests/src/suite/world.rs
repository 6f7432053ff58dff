//! What all cases of a program share, started by the first one that asks.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering},
};

use anyhow::{Context, Result, anyhow};
use futures::future::Either;
use serde_json::json;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{
    agent::{Agent, AgentOptions},
    cluster::{Cluster, ClusterOptions},
    netns::{self, Node},
    registry::{Registry, RegistryOptions},
};

/// A thing that is started once; a failure to do so is every case's.
type Shared<T> = OnceCell<Result<T, String>>;

/// The control plane, the registry and one agent. Nobody stops them: they end with the namespace.
pub struct World {
    scratch: PathBuf,
    cluster: Shared<Cluster>,
    registry: Shared<Registry>,
    agent: Shared<Agent>,
    /// Node 1 is the shared agent's.
    nodes_taken: AtomicU8,
    turns: RwLock<()>,
}

/// Held by a case while it runs.
pub(super) type Turn<'a> = Either<RwLockReadGuard<'a, ()>, RwLockWriteGuard<'a, ()>>;

impl World {
    pub(super) fn new(scratch: PathBuf) -> Self {
        Self {
            scratch,
            cluster: OnceCell::new(),
            registry: OnceCell::new(),
            agent: OnceCell::new(),
            nodes_taken: AtomicU8::new(1),
            turns: RwLock::new(()),
        }
    }

    /// A folder for files, gone with the program.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The control plane.
    pub async fn cluster(&self) -> Result<&Cluster> {
        once(&self.cluster, async {
            let options = ClusterOptions {
                directory: self.scratch.join("cluster"),
                address: netns::CONTROL_PLANE,
                nodes: Node::all().map(|node| node.name).collect(),
                arguments: Vec::new(),
            };
            Cluster::start(&options).await
        })
        .await
    }

    /// The registry: plain HTTP, open to anybody.
    pub async fn registry(&self) -> Result<&Registry> {
        once(&self.registry, async {
            let directory = self.scratch.join("registry");
            Registry::start(RegistryOptions { directory, ..RegistryOptions::default() }).await
        })
        .await
    }

    /// The agent of node 1. Who wants to disturb one starts another.
    pub async fn agent(&self) -> Result<&Agent> {
        let cluster = self.cluster().await?;
        once(&self.agent, async {
            let options = self.agent_options(Node::new(1));
            Agent::start(cluster, options).await
        })
        .await
    }

    /// Options of an agent with a folder of its own.
    pub fn agent_options(&self, node: Node) -> AgentOptions {
        AgentOptions {
            directory: self.scratch.join(&node.name),
            node,
            config: json!({}),
            arguments: Vec::new(),
            kept_programs: Some(self.scratch.join("programs")),
        }
    }

    /// A node that no other case gets.
    pub fn take_node(&self) -> Result<Node> {
        let taken = self.nodes_taken.fetch_add(1, Ordering::Relaxed);
        (taken < netns::NODES).then(|| Node::new(taken + 1)).context("no node is left: raise netns::NODES")
    }

    /// The shared agent's log, if there is one.
    pub(super) fn agent_log(&self) -> Option<PathBuf> {
        self.agent.get().map(|_| self.scratch.join(Node::new(1).name).join("agent.log"))
    }

    /// Waits until the case may run. Turns come in order, so that one that runs alone is not starved.
    pub(super) async fn turn(&self, alone: bool) -> Turn<'_> {
        if alone { Either::Right(self.turns.write().await) } else { Either::Left(self.turns.read().await) }
    }
}

async fn once<T>(cell: &Shared<T>, start: impl Future<Output = Result<T>>) -> Result<&T> {
    let outcome = cell.get_or_init(|| async { start.await.map_err(|error| format!("{error:#}")) }).await;
    outcome.as_ref().map_err(|error| anyhow!("{error}"))
}
