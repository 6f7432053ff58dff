//! From a configuration to everything that the agent consists of, bound and not yet serving.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::SignedDuration;
use tokio::sync::watch;
use tracing::info;
use wasmnode_core::node::NodeFacts;
use wasmnode_images::Images;
use wasmnode_pods::{LogLimits, NodeState, Supervisor};
use wasmnode_server::Server;

use super::cluster::Cluster;
use super::engine::{Engine, open_images};
use super::kubelet;
use crate::config::Config;
use crate::exit::Failure;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::node::{FactsSource, derive, handlers};
use crate::{host, metrics, version};

/// How often volumes follow their sources and tokens are renewed: the kubelet's `syncFrequency`.
const VOLUME_REFRESH: Duration = Duration::from_secs(60);

/// The agent, ready to serve.
pub(crate) struct App {
    pub(super) config: Arc<Config>,
    pub(super) cluster: Cluster,
    pub(super) images: Images,
    pub(super) facts_source: FactsSource,
    pub(super) facts: watch::Sender<NodeFacts>,
    pub(super) state: watch::Sender<NodeState>,
    pub(super) supervisor: Supervisor,
    pub(super) server: Server,
    /// Held until everything else is gone.
    pub(super) lock: Lock,
}

// === impl App ===

impl App {
    /// Takes the lock, opens everything that is on disk, makes the engine, and listens. Only reads credentials; the
    /// API server need not be there.
    pub(crate) async fn build(config: Config) -> Result<Self, Failure> {
        let client = wasmnode_cluster::connect(super::kubeconfig(&config)?).await?;
        Layout::create_root(&config.root_dir)?;
        let lock = Lock::take(&config.root_dir)?;
        info!(version = version::long(), node = config.node_name, root = %config.root_dir.display(), "Starting");
        let address = host::node_address(config.node_ip).context("cannot tell this node's address")?;
        let layout = Layout::create(&config)?;
        let config = Arc::new(config);

        let Engine { provider, welcome } = Engine::start(&config).await?;
        let images = open_images(&config, &welcome).await?;
        let facts_source = FactsSource::new(config.clone(), address, welcome.runtime, images.clone(), provider.clone());
        let facts = watch::Sender::new(facts_source.gather().await?);
        let state = watch::Sender::new(derive(&facts.borrow(), None));

        let cluster = Cluster::new(client.clone(), &config);
        let ports = cluster.ports(provider, images.clone());
        let (supervisor, pods) = Supervisor::new(pods_config(&config, &layout), ports, state.subscribe());
        let registry = metrics::registry(cluster.metrics.clone(), images.clone(), pods.clone(), welcome.capacity);
        let backends = kubelet::backends(client, pods, layout.pod_logs.clone(), facts.subscribe(), registry);
        let server = Server::bind(kubelet::server_config(&config, &layout, address), backends);
        let server = server.await.context("cannot serve the kubelet API")?;
        info!(%address, api = %server.address(), capacity = welcome.capacity, "Everything is ready to serve");
        Ok(Self { config, cluster, images, facts_source, facts, state, supervisor, server, lock })
    }
}

fn pods_config(config: &Config, layout: &Layout) -> wasmnode_pods::Config {
    let file = &config.file;
    let restart = file.crash_loop_back_off.max_container_restart_period.0;
    wasmnode_pods::Config {
        layout: wasmnode_pods::Layout {
            state_root: layout.root.clone(),
            memory_root: layout.run.clone(),
            logs_root: layout.pod_logs.clone(),
            links_dir: Some(layout.container_links.clone()),
        },
        lifecycle: wasmnode_core::pod::Settings {
            restart_cap: SignedDuration::try_from(restart).unwrap_or(SignedDuration::MAX),
        },
        log_limits: LogLimits { max_bytes: file.container_log_max_size.0, max_files: file.container_log_max_files },
        handlers: handlers().map(str::to_owned).collect::<BTreeSet<_>>(),
        volume_refresh: VOLUME_REFRESH,
    }
}
