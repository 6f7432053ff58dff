//! A provider with one prepared guest.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use wasmnode_provider_api::{
    Artifact, ArtifactKind, EngineId, EngineName, Event, EventStream, Isolation, Limits, Log, Provider, RunId, RunSpec,
    SandboxId, SandboxSpec, Stdin, Stdio, StopMode, Workload,
};
use wasmnode_provider_wasmtime::{Settings, WasmtimeProvider, compile};
use wasmnode_tests::{guests, registry};

/// Of all sandboxes, for providers that keep groups apart.
pub(crate) const GROUP: &str = "ns-bench";

fn sandbox_id(number: u64) -> Result<SandboxId> {
    Ok(SandboxId::new(format!("{number:064x}"))?)
}

/// Id of the engine that runs modules and components of WASI 0.2.
pub(crate) fn base_engine() -> Result<EngineId> {
    let engines = wasmnode_provider_wasmtime::engine_ids(&Settings::default())?;
    let base = engines.into_iter().find(|engine| engine.name == EngineName::Base);
    Ok(base.context("no base engine")?.id)
}

/// A provider with one guest.
pub(crate) struct Rig {
    pub(crate) provider: Arc<dyn Provider>,
    events: EventStream,
    artifact: Artifact,
    /// Removed at the end.
    _directory: TempDir,
    logs: PathBuf,
    runs: u64,
    ended: HashSet<RunId>,
}

impl Rig {
    /// With one of the small guests, prepared.
    pub(crate) async fn new(guest: &str, capacity: u32) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let wasm = guests::wat(guest)?;
        let path = directory.path().join("guest.cwasm");
        std::fs::write(&path, compile(EngineName::Base, &wasm)?)?;
        let artifact = Artifact {
            digest: registry::digest(&wasm),
            engine: base_engine()?,
            engine_name: EngineName::Base,
            kind: ArtifactKind::Module,
            path,
        };
        let logs = directory.path().to_owned();
        let rig = Self { _directory: directory, logs, ..Self::of(artifact, capacity).await? };
        rig.prepare().await?;
        Ok(rig)
    }

    /// With code that is not prepared yet.
    pub(crate) async fn of(artifact: Artifact, capacity: u32) -> Result<Self> {
        let provider = WasmtimeProvider::new(Settings { capacity, wasip3: false, ..Settings::default() })?;
        let directory = tempfile::tempdir()?;
        let logs = directory.path().to_owned();
        Self::over(Arc::new(provider), artifact, directory, logs).await
    }

    /// The same code with another provider, which is not prepared yet and may write to `logs`.
    pub(crate) async fn same_over(&self, provider: Arc<dyn Provider>, logs: PathBuf) -> Result<Self> {
        Self::over(provider, self.artifact.clone(), tempfile::tempdir()?, logs).await
    }

    async fn over(provider: Arc<dyn Provider>, artifact: Artifact, directory: TempDir, logs: PathBuf) -> Result<Self> {
        let events = provider.events().await?;
        Ok(Self { provider, events, artifact, _directory: directory, logs, runs: 0, ended: HashSet::new() })
    }

    pub(crate) async fn prepare(&self) -> Result<()> {
        // Where there is one process, it knows no sandbox yet, and need not.
        Ok(self.provider.prepare(&sandbox_id(0)?, &self.artifact).await?)
    }

    /// A sandbox of its own per pod.
    pub(crate) async fn sandbox(&self, number: u64) -> Result<SandboxId> {
        let id = sandbox_id(number)?;
        let spec = SandboxSpec {
            id: id.clone(),
            name: format!("bench/{number}"),
            hostname: "bench".to_owned(),
            addresses: Vec::new(),
            memory_limit: None,
            cpu_millis: None,
            isolation: Isolation { group: GROUP.to_owned(), ..Isolation::default() },
        };
        self.provider.create_sandbox(spec).await?;
        Ok(id)
    }

    /// A run; with a log file as pods have it, or without any output.
    pub(crate) fn spec(&mut self, sandbox: &SandboxId, logged: bool) -> Result<RunSpec> {
        self.runs += 1;
        let path = self.logs.join(format!("{}.log", self.runs));
        Ok(RunSpec {
            id: RunId::new(format!("{:064x}", self.runs))?,
            sandbox: sandbox.clone(),
            container: "main".to_owned(),
            artifact: self.artifact.clone(),
            argv: vec!["hello.wasm".to_owned()],
            env: Vec::new(),
            cwd: None,
            mounts: Vec::new(),
            stdio: Stdio {
                log: logged.then_some(Log { path, max_bytes: 10 << 20, max_files: 5 }),
                stdin: Stdin::Empty,
                tty: false,
            },
            limits: Limits::default(),
            workload: Workload::Command { stop: StopMode::Cancel },
        })
    }

    /// Waits for the end of a run, and forgets it.
    pub(crate) async fn ended(&mut self, run: &RunId) -> Result<()> {
        while !self.ended.remove(run) {
            match self.events.recv().await.context("the provider's events ended")? {
                Event::Exited(exit) if exit.code == 0 || exit.code == 137 => {
                    self.ended.insert(exit.run);
                }
                Event::Exited(exit) => bail!("a run ended with {}: {}", exit.code, exit.message),
                Event::Started { .. } | Event::FirstRequest { .. } => {}
            }
        }
        Ok(self.provider.acknowledge(run).await?)
    }
}
