//! Everything that an agent has, made small: the engine, the images, the supervisor.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::SignedDuration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wasmnode_core::ledger;
use wasmnode_core::node::default_labels;
use wasmnode_core::pod::NodeAddresses;
use wasmnode_core::quantity::Milli;
use wasmnode_pods::{Isolation, IsolationPolicy, Layout, LogLimits, NodeState, Ports, Supervisor, system_clock};

use super::args::RunArgs;
use super::board::Board;
use super::cache::Cache;
use super::console::Console;
use super::director::Director;
use super::identity;
use super::input::Input;
use super::objects::{FileObjects, NoTokens};
use super::output::Output;
use super::place::{Root, Scratch};
use super::plan::Plan;
use super::provider::ByHand;
use super::puller::FilePuller;
use super::signals::Signals;
use super::verdict::Verdict;
use crate::agent::engine::Engine;
use crate::config::{Config, ConfigError, Overrides};
use crate::exit::Failure;
use crate::host::Capacity;
use crate::tools::user_keyring;

/// Runs that the engine has room for at least, so that a container that is started again need not wait for the last
/// pages of the run before.
const LEAST_CAPACITY: usize = 8;

/// Nothing in the file changes while it runs.
const VOLUME_REFRESH: Duration = Duration::from_secs(3600);

/// Output that waits to be shown, per container: a program that prints faster than its reader reads loses lines only
/// beyond that.
const LOG_LIMITS: LogLimits = LogLimits { max_bytes: 64 << 20, max_files: 4 };

/// Events on their way to the supervisor.
const FEED: usize = 64;

/// Serves everything to its end.
pub(super) async fn serve(args: RunArgs, plan: Plan) -> Result<Verdict, Failure> {
    let signals = Signals::new()?;
    let console = Arc::new(Console::new());
    let root = Root::create(args.root_dir.as_deref())?;
    let mut config = config(args.config, &root)?;
    config.file.capacity = u32::try_from(plan.containers().max(LEAST_CAPACITY)).unwrap_or(u32::MAX);
    let in_use = root.use_images()?;
    let scratch = Scratch::create(&root, &identity::uid()?)?;

    let Engine { provider, welcome } = Engine::start(&config).await?;
    let cache = Arc::new(Cache::new(root, config, welcome, Arc::clone(&console)));
    let images = FilePuller {
        cache: Arc::clone(&cache),
        console: Arc::clone(&console),
        base: plan.base,
        keyring: user_keyring(),
    };
    let input = args.interactive.then(Input::default);
    let board = Arc::new(Board::new(Arc::clone(&console)));
    let ports = Ports {
        statuses: Arc::clone(&board) as Arc<_>,
        objects: Arc::new(FileObjects::new(plan.manifest.config_maps, plan.manifest.secrets)),
        tokens: Arc::new(NoTokens),
        recorder: Arc::clone(&board) as Arc<_>,
        provider: Arc::new(ByHand { inner: provider, volumes: args.volume, input }),
        images: Arc::new(images),
        clock: system_clock(),
    };
    let (_node, state) = watch::channel(node(scratch.path())?);
    let pods_config = pods_config(scratch.path());
    let logs = pods_config.layout.logs_root.clone();
    let (supervisor, handle) = Supervisor::new(pods_config, ports, state);
    let (feed, events) = mpsc::channel(FEED);
    let cancel = CancellationToken::new();
    let supervising = tokio::spawn(supervisor.run(events, cancel.clone()));

    let output = Output::new(Arc::clone(&console), handle, logs, plan.style);
    let is_terse = plan.style == super::output::Style::Raw;
    // The feed ends after the supervisor: its end would be the agent's.
    let director = Director::new(feed.clone(), board, console, output, is_terse);
    let verdict = director.run(plan.manifest.workloads, signals).await;
    cancel.cancel();
    let supervised = supervising.await.context("the pods are not served any more")?;
    drop(feed);
    supervised.context("the pods are not served any more")?;
    drop(in_use);
    cache.tidy().await?;
    Ok(verdict?)
}

/// What an agent's file says, or the defaults. Its parts about a node do not matter.
pub(crate) fn config(file: Option<PathBuf>, root: &Root) -> Result<Config, ConfigError> {
    let hostname = Some(identity::NODE.to_owned());
    Config::load(Overrides { config: file, root_dir: root.path().to_owned(), hostname, ..Overrides::default() })
}

fn pods_config(scratch: &Path) -> wasmnode_pods::Config {
    wasmnode_pods::Config {
        layout: Layout {
            state_root: scratch.join("state"),
            memory_root: scratch.join("memory"),
            logs_root: scratch.join("logs"),
            links_dir: None,
        },
        lifecycle: wasmnode_core::pod::Settings { restart_cap: SignedDuration::from_secs(300) },
        log_limits: LOG_LIMITS,
        isolation: IsolationPolicy { default: Isolation::Node, ..IsolationPolicy::default() },
        volume_refresh: VOLUME_REFRESH,
    }
}

/// This machine as a node: all of it, and without taints.
fn node(scratch: &Path) -> anyhow::Result<NodeState> {
    let capacity = Capacity::read(scratch)?;
    let whole = |amount: u64| Milli(i128::from(amount) * 1000);
    let amounts = [
        ("cpu", Milli(i128::from(capacity.cores) * 1000)),
        ("memory", whole(capacity.memory)),
        ("ephemeral-storage", whole(capacity.disk)),
        ("pods", whole(u64::from(u32::MAX))),
    ];
    Ok(NodeState {
        view: ledger::NodeView {
            name: identity::NODE.to_owned(),
            labels: default_labels(identity::NODE),
            taints: Vec::new(),
            allocatable: amounts.map(|(name, amount)| (name.to_owned(), amount)).into(),
        },
        addresses: NodeAddresses { ips: vec!["127.0.0.1".to_owned()] },
    })
}
