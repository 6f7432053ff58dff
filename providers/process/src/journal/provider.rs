//! The verbs; most are the provider's own.

use async_trait::async_trait;
use wasmnode_provider_api::{
    Artifact, Configure, Duplex, Error, EventStream, ExecSpec, Hello, Listing, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, SandboxUpdate, ServicesDelta, Streams, Target, Usage, Welcome,
};

use super::Journal;

#[async_trait]
impl Provider for Journal {
    async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        let mut welcome = self.inner.hello(hello).await?;
        welcome.features.extend_from_slice(&self.features);
        let build = self.build.clone().unwrap_or(welcome.build);
        Ok(Welcome { build, ..welcome })
    }

    async fn list(&self) -> Result<Listing, Error> {
        self.record.listed(self.inner.list()).await
    }

    async fn events(&self) -> Result<EventStream, Error> {
        Ok(self.reporter.subscribe())
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        self.inner.acknowledge(run).await?;
        self.record.acknowledged(run).await;
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }

    async fn configure(&self, settings: Configure) -> Result<(), Error> {
        self.inner.configure(settings).await
    }

    async fn target(&self, sandbox: &SandboxId) -> Result<Target, Error> {
        self.inner.target(sandbox).await
    }

    async fn prepare(&self, sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        self.inner.prepare(sandbox, artifact).await
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
