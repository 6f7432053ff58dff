//! What one case works with.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{self as core, ServiceAccount};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use serde_json::Value;

use super::World;
use crate::{
    agent::{Agent, AgentOptions},
    cluster::Cluster,
    eventually::eventually,
    kubectl::Kubectl,
    process,
    registry::{Artifact, Registry},
};

/// The controller manager makes it within a second.
const SERVICE_ACCOUNT: Duration = Duration::from_secs(60);
/// A namespace's name has at most 63 characters; the rest is for the suffix.
const STEM: usize = 52;

/// The shared world, and what belongs to one case: its namespaces and agents.
#[derive(Clone)]
pub struct Scene {
    world: Arc<World>,
    name: &'static str,
    own: Arc<Mutex<Own>>,
}

#[derive(Default)]
struct Own {
    namespaces: Vec<String>,
    logs: Vec<PathBuf>,
}

/// A namespace of one case; deleted after it.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    client: Client,
    kubectl: Kubectl,
}

impl Scene {
    pub(super) fn new(world: &Arc<World>, name: &'static str) -> Self {
        Self { world: Arc::clone(world), name, own: Arc::default() }
    }

    /// What is shared beyond the following.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The control plane.
    pub async fn cluster(&self) -> Result<&Cluster> {
        self.world.cluster().await
    }

    /// The registry.
    pub async fn registry(&self) -> Result<&Registry> {
        self.world.registry().await
    }

    /// The agent that cases share.
    pub async fn agent(&self) -> Result<&Agent> {
        self.world.agent().await
    }

    /// Starts an agent that this case may disturb, on a node of its own.
    pub async fn own_agent(&self, config: Value) -> Result<Agent> {
        self.own_agent_with(AgentOptions { config, ..self.world.agent_options(self.world.take_node()?) }).await
    }

    /// The same with a program directory of its own, for cases about programs.
    pub async fn own_agent_apart(&self, config: Value) -> Result<Agent> {
        let options = self.world.agent_options(self.world.take_node()?);
        self.own_agent_with(AgentOptions { config, kept_programs: None, ..options }).await
    }

    async fn own_agent_with(&self, options: AgentOptions) -> Result<Agent> {
        let agent = Agent::new(self.cluster().await?, options)?;
        self.own(|own| own.logs.push(agent.log()));
        let mut agent = agent;
        agent.restart().await?;
        Ok(agent)
    }

    /// Pushes an image under a name that no other case uses.
    pub async fn push(&self, tag: &str, artifact: &Artifact) -> Result<String> {
        self.registry().await?.push(&self.stem(), tag, artifact).await
    }

    /// A new namespace in which pods can be created.
    pub async fn namespace(&self) -> Result<Namespace> {
        let number = self.own(|own| own.namespaces.len());
        self.namespace_named(&format!("{}-{number}", self.stem())).await
    }

    /// The same with a name of the caller's choice.
    pub async fn namespace_named(&self, name: &str) -> Result<Namespace> {
        let cluster = self.cluster().await?;
        let client = cluster.client();
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = core::Namespace { metadata, ..core::Namespace::default() };
        let namespaces = Api::<core::Namespace>::all(client.clone());
        namespaces.create(&PostParams::default(), &namespace).await.with_context(|| format!("namespace {name}"))?;
        self.own(|own| own.namespaces.push(name.to_owned()));
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), name);
        eventually(SERVICE_ACCOUNT, "the default service account", || async { Ok(accounts.get("default").await?) })
            .await?;
        Ok(Namespace { name: name.to_owned(), client, kubectl: cluster.kubectl().in_namespace(name) })
    }

    /// The case's name as Kubernetes and registries allow names.
    fn stem(&self) -> String {
        let name = self.name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-").replace("--", "-");
        name.chars().take(STEM).collect::<String>().trim_matches('-').to_owned()
    }

    /// What somebody would look at first after a failure.
    pub(super) async fn diagnosis(&self) -> String {
        let (namespaces, mut logs) = self.own(|own| (own.namespaces.clone(), own.logs.clone()));
        let mut text = String::new();
        for namespace in namespaces {
            for arguments in [
                &["get", "pods", "-o", "wide"][..],
                &["describe", "pods"],
                &["get", "events", "--sort-by=.lastTimestamp"],
            ] {
                text += &self.ask(&namespace, arguments).await;
            }
        }
        logs.extend(self.world.agent_log());
        for log in logs {
            text += &format!("--- {}\n{}\n", log.display(), process::tail(&log));
        }
        text
    }

    async fn ask(&self, namespace: &str, arguments: &[&str]) -> String {
        let answer = match self.cluster().await {
            Ok(cluster) => cluster.kubectl().in_namespace(namespace).ok(arguments).await,
            Err(error) => Err(error),
        };
        format!("--- kubectl -n {namespace} {}\n{}\n", arguments.join(" "), answer.unwrap_or_else(|e| format!("{e:#}")))
    }

    /// Deletes what the case made; nobody waits for it.
    pub(super) async fn leave(&self) {
        for namespace in self.own(|own| std::mem::take(&mut own.namespaces)) {
            if let Ok(cluster) = self.cluster().await {
                let _ = cluster.kubectl().run(&["delete", "namespace", &namespace, "--wait=false"]).await;
            }
        }
    }

    fn own<T>(&self, visit: impl FnOnce(&mut Own) -> T) -> T {
        visit(&mut self.own.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Namespace {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// kubectl in it.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Objects of one kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Pods in it.
    pub fn pods(&self) -> Api<core::Pod> {
        self.api()
    }

    /// Applies one object, or a list of them.
    pub async fn apply(&self, object: &Value) -> Result<String> {
        self.kubectl.apply(object).await
    }
}
