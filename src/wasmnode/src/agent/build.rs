//! From a configuration to everything that the agent consists of, bound and not yet serving.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;
use wasmnode_core::node::NodeFacts;
use wasmnode_images::Images;
use wasmnode_pods::{IsolationPolicy, LogLimits, NodeState, Supervisor};
use wasmnode_provider_api::Provider;
use wasmnode_server::Server;

use super::cluster::Cluster;
use super::engine::open_images;
use super::kubelet;
use super::runners::Hosted;
use crate::admin::{self, Drain};
use crate::config::Config;
use crate::exit::Failure;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::node::{FactsSource, derive};
use crate::{host, metrics, node, version};

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
    pub(super) admin: admin::Server,
    pub(super) drain: Drain,
    /// Held until everything else is gone.
    pub(super) lock: Lock,
}

// === impl App ===

impl App {
    /// Takes the lock, opens everything that is on disk, finds the runners, and listens. Only reads credentials; the
    /// API server need not be there.
    pub(crate) async fn build(config: Config) -> Result<Self, Failure> {
        let client = wasmnode_cluster::connect(super::kubeconfig(&config)?).await?;
        Layout::create_root(&config.root_dir)?;
        let lock = Lock::take(&config.root_dir)?;
        info!(version = version::long(), node = config.node_name, root = %config.root_dir.display(), "Starting");
        let address = host::node_address(config.node_ip).context("cannot tell this node's address")?;
        let layout = Layout::create(&config)?;
        let config = Arc::new(config);

        let Hosted { runners, welcome, program } = Hosted::open(&config, &layout).await?;
        let provider: Arc<dyn Provider> = runners.clone();
        let images = open_images(&config, &welcome, &program.path).await?;
        let (isolation, leaving) = (node::isolation(&config.file), CancellationToken::new());
        let running = (provider.clone(), leaving.clone());
        let facts_source =
            FactsSource::new(config.clone(), address, welcome.runtime, &isolation, images.clone(), running);
        let facts = watch::Sender::new(facts_source.gather().await?);
        let state = watch::Sender::new(derive(&facts.borrow(), None));

        let cluster = Cluster::new(client.clone(), &config);
        let ports = cluster.ports(provider, images.clone());
        let (supervisor, pods) = Supervisor::new(pods_config(&config, &layout, isolation), ports, state.subscribe());
        let registry =
            metrics::registry(cluster.metrics.clone(), images.clone(), pods.clone(), runners.clone(), welcome.capacity);
        let drain = Drain {
            pods: pods.clone(),
            runners,
            statuses: cluster.statuses.clone(),
            recorder: cluster.recorder.clone(),
            leaving,
            configured: (&config.file).into(),
        };
        let backends = kubelet::backends(client, pods, layout.pod_logs.clone(), facts.subscribe(), registry);
        let server = Server::bind(kubelet::server_config(&config, &layout, address), backends);
        let server = server.await.context("cannot serve the kubelet API")?;
        let admin = admin::Server::bind(&admin::socket(&layout.run)).context("cannot listen for commands")?;
        info!(%address, api = %server.address(), capacity = welcome.capacity, "Everything is ready to serve");
        Ok(Self { config, cluster, images, facts_source, facts, state, supervisor, server, admin, drain, lock })
    }
}

fn pods_config(config: &Config, layout: &Layout, isolation: IsolationPolicy) -> wasmnode_pods::Config {
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
        isolation,
        volume_refresh: VOLUME_REFRESH,
    }
}
