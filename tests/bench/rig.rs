//! A provider with one prepared guest.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use wasmnode_provider_api::{
    Artifact, ArtifactKind, EngineName, Event, EventStream, Limits, Log, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, Stdin, Stdio, StopMode, Workload,
};
use wasmnode_provider_wasmtime::{Settings, WasmtimeProvider, compile};
use wasmnode_tests::{guests, registry};

/// A provider with one prepared guest.
pub(crate) struct Rig {
    pub(crate) provider: WasmtimeProvider,
    events: EventStream,
    artifact: Artifact,
    directory: TempDir,
    runs: u64,
    ended: HashSet<RunId>,
}

impl Rig {
    pub(crate) async fn new(guest: &str, capacity: u32) -> Result<Self> {
        let provider = WasmtimeProvider::new(Settings { capacity, wasip3: false, ..Settings::default() })?;
        let events = provider.events().await?;
        let directory = tempfile::tempdir()?;
        let wasm = guests::wat(guest)?;
        let path = directory.path().join("guest.cwasm");
        std::fs::write(&path, compile(EngineName::Base, &wasm)?)?;
        let engines = wasmnode_provider_wasmtime::engine_ids(&Settings::default())?;
        let engine = engines.into_iter().find(|engine| engine.name == EngineName::Base).context("no base engine")?;
        let artifact = Artifact {
            digest: registry::digest(&wasm),
            engine: engine.id,
            engine_name: EngineName::Base,
            kind: ArtifactKind::Module,
            path,
        };
        provider.prepare(&artifact).await?;
        Ok(Self { provider, events, artifact, directory, runs: 0, ended: HashSet::new() })
    }

    /// A sandbox of its own per pod.
    pub(crate) async fn sandbox(&self, number: u64) -> Result<SandboxId> {
        let id = SandboxId::new(format!("{number:064x}"))?;
        let spec = SandboxSpec {
            id: id.clone(),
            name: format!("bench/{number}"),
            hostname: "bench".to_owned(),
            addresses: Vec::new(),
            memory_limit: None,
            cpu_millis: None,
        };
        self.provider.create_sandbox(spec).await?;
        Ok(id)
    }

    /// A run; with a log file as pods have it, or without any output.
    pub(crate) fn spec(&mut self, sandbox: &SandboxId, logged: bool) -> Result<RunSpec> {
        self.runs += 1;
        let path = self.directory.path().join(format!("{}.log", self.runs));
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
