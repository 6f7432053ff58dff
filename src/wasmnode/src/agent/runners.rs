//! The processes that run the node's pods, found or to be started.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tracing::info;
use wasmnode_provider_api::{Configure, Hello, Provider, Welcome};
use wasmnode_provider_process::PROTOCOL;
use wasmnode_provider_process::runners::{self, Launch, Runners};
use wasmnode_provider_wasmtime::{Settings, WASMTIME_VERSION, engine_ids};

use crate::config::Config;
use crate::config::sections::{LogFormat, Logging, Switch};
use crate::layout::Layout;
use crate::program::Program;

/// The slice of the processes that run pods: stopping it ends all of them.
const SLICE: &str = "wasmnode.slice";

/// There where systemd is the service manager (sd_booted(3)).
pub(super) const SYSTEMD: &str = "/run/systemd/system";

/// What runs pods, once it was said hello to.
pub(crate) struct Hosted {
    pub(crate) runners: Arc<Runners>,
    pub(crate) welcome: Welcome,
    /// Compiles for runners of this build.
    pub(crate) program: Program,
}

// === impl Hosted ===

impl Hosted {
    /// Finds the runners of earlier agents and asks them what they run. Starts none.
    pub(crate) async fn open(config: &Config, layout: &Layout) -> anyhow::Result<Self> {
        let bin = layout.bin();
        let keeping = tokio::task::spawn_blocking(move || Program::keep(&bin));
        let program = keeping.await.context("cannot keep this program")??;
        let runners = Runners::open(settings(config, layout, &program)?).await.context("cannot look for runners")?;
        let hello = Hello { protocol: PROTOCOL, build: program.build.clone() };
        let welcome = runners.hello(hello).await.context("the runners do not answer")?;
        runners.configure(Configure::default()).await.context("the runners refuse their settings")?;
        info!(build = program.build, runtime = welcome.runtime, "Runners are started from this build");
        Ok(Self { runners: Arc::new(runners), welcome, program })
    }
}

fn settings(config: &Config, layout: &Layout, program: &Program) -> anyhow::Result<runners::Config> {
    let file = &config.file;
    let settings = Settings { capacity: file.capacity, wasip3: file.wasip3 == Switch::On, ..Settings::default() };
    Ok(runners::Config {
        state_root: layout.root.clone(),
        memory_root: layout.run.clone(),
        logs_root: layout.pod_logs.clone(),
        program: program.path.clone(),
        build: program.build.clone(),
        bin_dir: layout.bin(),
        engines: engine_ids(&settings).context("this machine has no engine")?,
        runtime: format!("wasmtime://{WASMTIME_VERSION}"),
        capacity: settings.capacity,
        wasip3: settings.wasip3,
        log_args: log_args(&file.logging),
        launch: launch(),
        idle: file.runner_idle_time.0,
    })
}

/// Runners log as the agent does.
fn log_args(logging: &Logging) -> Vec<String> {
    let format = match logging.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    ["--log-format", format, "--v", &logging.verbosity.to_string()].map(str::to_owned).to_vec()
}

/// A scope is made by systemd, which asks others than root for more than an agent has.
fn launch() -> Launch {
    if !rustix::process::geteuid().is_root() {
        return Launch::Session;
    }
    if Path::new(SYSTEMD).is_dir() { Launch::Systemd { slice: SLICE.to_owned() } } else { Launch::Session }
}
