//! The verbs.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Semaphore, oneshot};
use wasmnode_provider_api::{
    Artifact, Configure, Duplex, Error, EventStream, ExecSpec, Hello, Listing, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, SandboxUpdate, ServicesDelta, Streams as ClientStreams, Target, Usage, Welcome, Workload,
};
use wasmtime::PoolingAllocationConfig;

use crate::artifacts::Artifacts;
use crate::budget::MemoryBudget;
use crate::cpu::{CpuAccount, CpuLimit};
use crate::descriptors;
use crate::engines::Engines;
use crate::http::Handlers;
use crate::linked::Linked;
use crate::metrics::{EngineMetrics, Metrics};
use crate::net::duplex;
use crate::pool::{EXEC_SLOTS, Plan, max_map_count};
use crate::registry::{Registry, Sandbox};
use crate::run::Program;
use crate::runtime::GuestRuntime;
use crate::{Settings, SetupError, attach, engine, exec};

/// Protocol major that this provider speaks.
pub const PROTOCOL: u32 = 1;

/// Leads to the file that this process was started from, even after it was replaced: only that one makes code that
/// these engines can load.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Runs guests in this process, see the crate's documentation. Dropping it ends all guests.
pub struct WasmtimeProvider {
    engines: Arc<Engines>,
    artifacts: Artifacts,
    registry: Arc<Registry>,
    guests: GuestRuntime,
    execs: Arc<Semaphore>,
    handlers: Arc<Handlers>,
    plan: Plan,
}

impl std::fmt::Debug for WasmtimeProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmtimeProvider").field("plan", &self.plan).finish_non_exhaustive()
    }
}

// === impl WasmtimeProvider ===

impl WasmtimeProvider {
    /// Makes the engine and starts its threads, and raises the process's limit of open files. Logs a warning where the
    /// host allows less than was asked for.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        settings.check()?;
        let plan = Plan::new(settings.capacity, settings.wasip3, max_map_count())?;
        warn_if_reduced(settings.capacity, &plan);
        descriptors::make_room(plan.capacity);
        let guests = GuestRuntime::new(settings.threads)?;
        Ok(Self {
            engines: Arc::new(Engines::new(&settings, plan)?),
            artifacts: Artifacts::default(),
            registry: Arc::new(Registry::new(plan.capacity, guests.handle().clone())),
            guests,
            execs: Arc::new(Semaphore::new(EXEC_SLOTS as usize)),
            handlers: Arc::default(),
            plan,
        })
    }

    /// Runs that fit at the same time, which may be fewer than asked for.
    pub fn capacity(&self) -> u32 {
        self.plan.capacity
    }

    /// What is in use now, for the process's own metrics.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            capacity: self.plan.capacity,
            runs: self.registry.live(),
            execs: EXEC_SLOTS as usize - self.execs.available_permits(),
            handlers: self.handlers.instances(),
            handler_failures: self.handlers.failures(),
            handlers_out_of_memory: self.handlers.out_of_memory(),
            denials: self.registry.denied(),
            engines: self.engines.made().filter_map(EngineMetrics::of).collect(),
        }
    }

    async fn load(&self, artifact: &Artifact) -> Result<Arc<Linked>, Error> {
        let (engines, artifact) = (self.engines.clone(), artifact.clone());
        let loading = move || engines.host(artifact.engine_name)?.load(&artifact);
        let loaded = self.guests.handle().spawn_blocking(loading).await;
        let loaded = loaded.map_err(|e| Error::Failed(format!("artifact cannot be loaded: {e}")))?;
        loaded.map(Arc::new)
    }

    fn program(&self, linked: Arc<Linked>, spec: &RunSpec, sandbox: &Sandbox) -> Program {
        tracing::debug!(pod = sandbox.name(), container = spec.container, run = %spec.id, "Starting a guest");
        let memory = MemoryBudget::new(spec.limits.memory_bytes, Some(sandbox.memory.clone()));
        let own = Arc::new(CpuLimit::new(spec.limits.cpu_millis));
        Program {
            linked,
            network: sandbox.network.clone(),
            memory: Arc::new(memory),
            cpu: Arc::new(CpuAccount::new(own, sandbox.cpu.clone())),
            clock: self.engines.ticker.clock().clone(),
            guests: self.guests.handle().clone(),
            handlers: self.handlers.clone(),
        }
    }
}

fn warn_if_reduced(asked: u32, plan: &Plan) {
    let capacity = plan.capacity;
    match plan.needed_map_count {
        Some(needed) => {
            tracing::warn!(asked, capacity, needed, "Capacity is reduced, raise the sysctl vm.max_map_count");
        }
        None if capacity < asked => {
            tracing::warn!(asked, capacity, "Capacity is reduced to what the address space has room for");
        }
        None => {}
    }
}

#[async_trait]
impl Provider for WasmtimeProvider {
    async fn hello(&self, _hello: Hello) -> Result<Welcome, Error> {
        let available = [
            ("pooling", self.engines.pooling),
            ("pagemap_scan", self.engines.pooling && PoolingAllocationConfig::is_pagemap_scan_available()),
        ];
        let features = available.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.to_owned());
        Ok(Welcome {
            protocol: PROTOCOL,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            runtime: format!("wasmtime://{}", engine::WASMTIME_VERSION),
            engines: self.engines.ids.clone(),
            capacity: self.plan.capacity,
            features: features.collect(),
        })
    }

    async fn ping(&self) -> Result<(), Error> {
        if !self.engines.ticker.is_alive() {
            return Err(Error::Failed("the engine's clock has stopped".to_owned()));
        }
        let turn = self.guests.handle().spawn(async {});
        turn.await.map_err(|e| Error::Failed(format!("guests do not run: {e}")))
    }

    /// Holds for sandboxes that are created from now on.
    async fn configure(&self, settings: Configure) -> Result<(), Error> {
        self.registry.outside.configure(settings)
    }

    async fn list(&self) -> Result<Listing, Error> {
        Ok(self.registry.list())
    }

    async fn events(&self) -> Result<EventStream, Error> {
        Ok(self.registry.reporter().subscribe())
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        self.registry.acknowledge(run);
        Ok(())
    }

    async fn target(&self, _sandbox: &SandboxId) -> Result<Target, Error> {
        Ok(Target { engines: self.engines.ids.clone(), compiler: THIS_PROGRAM.into() })
    }

    async fn prepare(&self, _sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        let slot = self.artifacts.slot(artifact);
        slot.get_or_try_init(|| self.load(artifact)).await?;
        Ok(())
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        self.registry.create_sandbox(sandbox)
    }

    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error> {
        self.registry.update_sandbox(&update)
    }

    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error> {
        let runs = self.registry.remove_sandbox(sandbox);
        runs.iter().for_each(|run| run.kill());
        for run in runs {
            // A guest ends at its next tick. Whoever removes a sandbox goes on to unmount what it used.
            run.ended.cancelled().await;
        }
        Ok(())
    }

    async fn update_services(&self, _delta: ServicesDelta) -> Result<(), Error> {
        Err(Error::Unsupported("update_services".to_owned()))
    }

    async fn start(&self, spec: RunSpec) -> Result<(), Error> {
        let linked = self.artifacts.get(&spec.artifact)?;
        match spec.workload {
            Workload::Command { .. } => linked.command().map(drop)?,
            Workload::HttpServer { .. } => linked.handler().map(drop)?,
        }
        let run = self.registry.admit(spec, |spec, sandbox| self.program(linked, spec, sandbox))?;
        let (reply, entered) = oneshot::channel();
        self.guests.handle().spawn(run.drive(self.registry.clone(), reply));
        entered.await.unwrap_or_else(|_| Err(Error::Failed("the provider is shutting down".to_owned())))
    }

    async fn stop(&self, run: &RunId) -> Result<(), Error> {
        if let Some(run) = self.registry.run(run)? {
            run.stop();
        }
        Ok(())
    }

    async fn kill(&self, run: &RunId) -> Result<(), Error> {
        if let Some(run) = self.registry.run(run)? {
            run.kill();
        }
        Ok(())
    }

    async fn exec(&self, spec: ExecSpec, streams: ClientStreams) -> Result<i32, Error> {
        let Some(run) = self.registry.run(&spec.run)? else {
            return Err(Error::NotFound { what: "run".to_owned(), id: spec.run.to_string() });
        };
        let place = self.execs.clone().try_acquire_owned();
        let _place = place.map_err(|_| Error::Full(format!("{EXEC_SLOTS} execs are all that fit")))?;
        exec::exec(run, spec, streams).await
    }

    async fn attach(&self, run: &RunId, streams: ClientStreams) -> Result<(), Error> {
        if let Some(run) = self.registry.run(run)? {
            attach::attach(run, streams).await;
        }
        Ok(())
    }

    async fn connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error> {
        let sandbox = self.registry.sandbox(sandbox)?;
        let connection = sandbox.network.loopback.connect(port);
        let refused = || Error::Failed(format!("nothing in the pod listens on port {port}"));
        Ok(duplex(self.guests.handle(), connection.ok_or_else(refused)?))
    }

    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error> {
        let containers = self.registry.runs_of(sandbox).iter().map(|run| run.usage()).collect();
        let traffic = &self.registry.sandbox(sandbox)?.network.traffic;
        Ok(Usage { containers, network_received: traffic.received(), network_sent: traffic.sent() })
    }
}
