//! The scripted provider with the time stamps of a paused clock: its scripts follow that clock, its events say what
//! the machine's says.

use async_trait::async_trait;
use tokio::sync::mpsc;
use wasmnode_provider_api::{
    Artifact, Configure, Duplex, Error, Event, EventStream, ExecSpec, Hello, Listing, Provider, RunId, RunSpec,
    SandboxId, SandboxSpec, SandboxUpdate, ServicesDelta, Streams, Usage, Welcome,
};
use wasmnode_provider_fake::FakeProvider;

use crate::ports::Clock;

pub(super) struct Timed {
    pub(super) inner: FakeProvider,
    pub(super) clock: Clock,
}

#[async_trait]
impl Provider for Timed {
    async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        self.inner.hello(hello).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }

    async fn configure(&self, settings: Configure) -> Result<(), Error> {
        self.inner.configure(settings).await
    }

    async fn list(&self) -> Result<Listing, Error> {
        self.inner.list().await
    }

    async fn events(&self) -> Result<EventStream, Error> {
        let mut events = self.inner.events().await?;
        let clock = self.clock.clone();
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut started = std::collections::HashMap::new();
            while let Some(mut event) = events.recv().await {
                let now = clock().into();
                match &mut event {
                    Event::Started { run, at } => {
                        *at = now;
                        started.insert(run.clone(), now);
                    }
                    Event::Exited(exit) => {
                        exit.started_at = started.remove(&exit.run).unwrap_or(now);
                        exit.finished_at = now;
                    }
                    Event::FirstRequest { .. } => {}
                }
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        self.inner.acknowledge(run).await
    }

    async fn prepare(&self, artifact: &Artifact) -> Result<(), Error> {
        self.inner.prepare(artifact).await
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        self.inner.create_sandbox(sandbox).await
    }

    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error> {
        self.inner.update_sandbox(update).await
    }

    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error> {
        self.inner.remove_sandbox(sandbox).await
    }

    async fn update_services(&self, delta: ServicesDelta) -> Result<(), Error> {
        self.inner.update_services(delta).await
    }

    async fn start(&self, run: RunSpec) -> Result<(), Error> {
        self.inner.start(run).await
    }

    async fn stop(&self, run: &RunId) -> Result<(), Error> {
        self.inner.stop(run).await
    }

    async fn kill(&self, run: &RunId) -> Result<(), Error> {
        self.inner.kill(run).await
    }

    async fn exec(&self, exec: ExecSpec, streams: Streams) -> Result<i32, Error> {
        self.inner.exec(exec, streams).await
    }

    async fn attach(&self, run: &RunId, streams: Streams) -> Result<(), Error> {
        self.inner.attach(run, streams).await
    }

    async fn connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error> {
        self.inner.connect(sandbox, port).await
    }

    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error> {
        self.inner.usage(sandbox).await
    }
}
