//! The verbs, and what a test can do besides.

use std::sync::Arc;

use async_trait::async_trait;
use wasmnode_provider_api::{
    Artifact, Configure, Duplex, Engine, EngineId, EngineName, Error, EventStream, ExecSpec, Hello, Listing, Provider,
    RunId, RunSpec, SandboxId, SandboxSpec, SandboxUpdate, ServicesDelta, StopMode, Streams, Target, Usage, Welcome,
    Workload,
};

use crate::guest::Player;
use crate::registry::{Live, Registry, not_found};
use crate::script::Script;

/// The scripted provider. Clones are the same provider.
#[derive(Debug, Clone)]
pub struct FakeProvider {
    registry: Arc<Registry>,
}

impl Default for FakeProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeProvider {
    /// Room for a thousand runs.
    pub fn new() -> Self {
        Self::with_capacity(1000)
    }

    /// Room for this many runs.
    pub fn with_capacity(capacity: u32) -> Self {
        Self { registry: Arc::new(Registry::new(capacity)) }
    }

    /// The engine that artifacts for this provider name.
    pub fn engine() -> Engine {
        let id = EngineId::new("fa".repeat(32)).unwrap_or_else(|invalid| unreachable!("{invalid}"));
        Engine { name: EngineName::Base, id }
    }

    /// What runs of this artifact do whose arguments are no script.
    pub fn script(&self, digest: &str, script: Script) {
        self.registry.lock().scripts.insert(digest.to_owned(), script);
    }

    /// Every start that was asked for so far, refused ones too.
    pub fn starts(&self) -> Vec<RunSpec> {
        self.registry.lock().starts.clone()
    }

    /// The next start fails; several calls queue up.
    pub fn refuse_next_start(&self, refusal: Error) {
        self.registry.lock().refused_starts.push_back(refusal);
    }

    /// `prepare` of this artifact fails from now on, or no longer.
    pub fn refuse_artifact(&self, digest: &str, refusal: Option<Error>) {
        let refused = &mut self.registry.lock().refused_artifacts;
        match refusal {
            Some(refusal) => refused.insert(digest.to_owned(), refusal),
            None => refused.remove(digest),
        };
    }

    /// All runs end as if their process had died of this.
    pub fn lose_all(&self, cause: &str) {
        for live in self.registry.lock().runs.values() {
            live.orders.send_modify(|orders| orders.lost = Some(cause.to_owned()));
        }
    }

    fn live(&self, run: &RunId) -> Result<Live, Error> {
        self.registry.lock().runs.get(run).cloned().ok_or_else(|| not_found("run", run))
    }
}

fn player(live: &Live, script: Script) -> Player {
    Player {
        script,
        memory_limit: live.spec.limits.memory_bytes,
        memory: live.memory.clone(),
        orders: live.orders.subscribe(),
    }
}

#[async_trait]
impl Provider for FakeProvider {
    async fn hello(&self, _hello: Hello) -> Result<Welcome, Error> {
        Ok(Welcome {
            protocol: 1,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            runtime: "fake://1".to_owned(),
            engines: vec![Self::engine()],
            capacity: self.registry.lock().capacity,
            features: Vec::new(),
        })
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn configure(&self, _settings: Configure) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self) -> Result<Listing, Error> {
        Ok(self.registry.lock().list())
    }

    async fn events(&self) -> Result<EventStream, Error> {
        Ok(self.registry.reporter.subscribe())
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        self.registry.lock().exits.remove(run);
        Ok(())
    }

    async fn target(&self, _sandbox: &SandboxId) -> Result<Target, Error> {
        Ok(Target { engines: vec![Self::engine()], compiler: "/proc/self/exe".into() })
    }

    async fn prepare(&self, _sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        self.registry.lock().prepare(artifact)
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        self.registry.lock().create_sandbox(sandbox)
    }

    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error> {
        self.registry.lock().update_sandbox(update)
    }

    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error> {
        let within: Vec<Live> = {
            let mut state = self.registry.lock();
            state.sandboxes.remove(sandbox);
            state.runs.values().filter(|live| live.spec.sandbox == *sandbox).cloned().collect()
        };
        for live in within {
            live.orders.send_modify(|orders| orders.kill = true);
            live.orders.closed().await;
        }
        Ok(())
    }

    async fn update_services(&self, _delta: ServicesDelta) -> Result<(), Error> {
        Err(Error::Unsupported("update_services".to_owned()))
    }

    async fn start(&self, run: RunSpec) -> Result<(), Error> {
        let (live, script) = self.registry.begin(run)?;
        let registry = self.registry.clone();
        // Kept until the exit was reported: who waits for that waits for this to be dropped.
        let listening = live.orders.subscribe();
        tokio::spawn(async move {
            let verdict = player(&live, script).play().await;
            registry.end(&live, verdict);
            drop(listening);
        });
        Ok(())
    }

    async fn stop(&self, run: &RunId) -> Result<(), Error> {
        let state = self.registry.lock();
        let stop = state.runs.get(run).map(|live| live.spec.workload.clone());
        state.order(run, |orders| match stop {
            Some(Workload::Command { stop: StopMode::Stdin }) => orders.stdin_closed = true,
            _ => orders.stop = true,
        })
    }

    async fn kill(&self, run: &RunId) -> Result<(), Error> {
        self.registry.lock().order(run, |orders| orders.kill = true)
    }

    /// Plays the script that the arguments are.
    async fn exec(&self, exec: ExecSpec, _streams: Streams) -> Result<i32, Error> {
        let live = self.live(&exec.run)?;
        let script = Script::parse(&exec.argv).map_err(|e| Error::Failed(e.to_string()))?;
        Ok(player(&live, script).play().await.code)
    }

    /// Prints nothing and ends with the run.
    async fn attach(&self, run: &RunId, _streams: Streams) -> Result<(), Error> {
        self.live(run)?.orders.closed().await;
        Ok(())
    }

    async fn connect(&self, _sandbox: &SandboxId, _port: u16) -> Result<Duplex, Error> {
        Err(Error::Unsupported("connect".to_owned()))
    }

    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error> {
        let containers = self.registry.lock().usage(sandbox)?;
        Ok(Usage { containers, network_received: 0, network_sent: 0 })
    }
}
