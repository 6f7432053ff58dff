//! A provider in front of another one.

use async_trait::async_trait;

use crate::{
    Artifact, Configure, Duplex, Error, EventStream, ExecSpec, Hello, Listing, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, SandboxUpdate, ServicesDelta, Streams, Target, Usage, Welcome,
};

/// A provider that changes some verbs of another one: what it does not say, the inner one does. Whoever has this trait
/// is a [`Provider`]; the verbs are documented there.
#[async_trait]
#[allow(missing_docs)]
pub trait Layer: Send + Sync + 'static {
    /// What the verbs are handed to.
    fn inner(&self) -> &dyn Provider;

    async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        self.inner().hello(hello).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.inner().ping().await
    }

    async fn configure(&self, settings: Configure) -> Result<(), Error> {
        self.inner().configure(settings).await
    }

    async fn list(&self) -> Result<Listing, Error> {
        self.inner().list().await
    }

    async fn events(&self) -> Result<EventStream, Error> {
        self.inner().events().await
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        self.inner().acknowledge(run).await
    }

    async fn target(&self, sandbox: &SandboxId) -> Result<Target, Error> {
        self.inner().target(sandbox).await
    }

    async fn prepare(&self, sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        self.inner().prepare(sandbox, artifact).await
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        self.inner().create_sandbox(sandbox).await
    }

    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error> {
        self.inner().update_sandbox(update).await
    }

    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error> {
        self.inner().remove_sandbox(sandbox).await
    }

    async fn update_services(&self, delta: ServicesDelta) -> Result<(), Error> {
        self.inner().update_services(delta).await
    }

    async fn start(&self, run: RunSpec) -> Result<(), Error> {
        self.inner().start(run).await
    }

    async fn stop(&self, run: &RunId) -> Result<(), Error> {
        self.inner().stop(run).await
    }

    async fn kill(&self, run: &RunId) -> Result<(), Error> {
        self.inner().kill(run).await
    }

    async fn exec(&self, exec: ExecSpec, streams: Streams) -> Result<i32, Error> {
        self.inner().exec(exec, streams).await
    }

    async fn attach(&self, run: &RunId, streams: Streams) -> Result<(), Error> {
        self.inner().attach(run, streams).await
    }

    async fn connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error> {
        self.inner().connect(sandbox, port).await
    }

    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error> {
        self.inner().usage(sandbox).await
    }
}

#[async_trait]
impl<T: Layer> Provider for T {
    async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        Layer::hello(self, hello).await
    }

    async fn ping(&self) -> Result<(), Error> {
        Layer::ping(self).await
    }

    async fn configure(&self, settings: Configure) -> Result<(), Error> {
        Layer::configure(self, settings).await
    }

    async fn list(&self) -> Result<Listing, Error> {
        Layer::list(self).await
    }

    async fn events(&self) -> Result<EventStream, Error> {
        Layer::events(self).await
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        Layer::acknowledge(self, run).await
    }

    async fn target(&self, sandbox: &SandboxId) -> Result<Target, Error> {
        Layer::target(self, sandbox).await
    }

    async fn prepare(&self, sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        Layer::prepare(self, sandbox, artifact).await
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        Layer::create_sandbox(self, sandbox).await
    }

    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error> {
        Layer::update_sandbox(self, update).await
    }

    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error> {
        Layer::remove_sandbox(self, sandbox).await
    }

    async fn update_services(&self, delta: ServicesDelta) -> Result<(), Error> {
        Layer::update_services(self, delta).await
    }

    async fn start(&self, run: RunSpec) -> Result<(), Error> {
        Layer::start(self, run).await
    }

    async fn stop(&self, run: &RunId) -> Result<(), Error> {
        Layer::stop(self, run).await
    }

    async fn kill(&self, run: &RunId) -> Result<(), Error> {
        Layer::kill(self, run).await
    }

    async fn exec(&self, exec: ExecSpec, streams: Streams) -> Result<i32, Error> {
        Layer::exec(self, exec, streams).await
    }

    async fn attach(&self, run: &RunId, streams: Streams) -> Result<(), Error> {
        Layer::attach(self, run, streams).await
    }

    async fn connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error> {
        Layer::connect(self, sandbox, port).await
    }

    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error> {
        Layer::usage(self, sandbox).await
    }
}
