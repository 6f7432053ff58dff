//! The verbs.

use async_trait::async_trait;
use wasmnode_provider_api::{
    Artifact, Configure, Duplex, Error, EventStream, ExecSpec, Hello, Listing, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, SandboxUpdate, ServicesDelta, Streams, Target, Usage, Welcome, wire,
};

use super::Remote;
use crate::protocol::{Prepare, Verb};

fn id<T: Into<wire::Id> + Clone>(id: &T) -> wire::Id {
    id.clone().into()
}

#[async_trait]
impl Provider for Remote {
    /// What was said last is repeated on later connections.
    async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        let verb = Verb::Hello;
        let greeting = async { self.greet(&self.link().await?, hello.clone()).await };
        let welcome = self.within(verb.deadline(), verb.name(), greeting).await?;
        self.remember(hello);
        Ok(welcome)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.call(Verb::Ping, ()).await
    }

    async fn configure(&self, settings: Configure) -> Result<(), Error> {
        self.call(Verb::Configure, wire::Configure::from(settings)).await
    }

    async fn list(&self) -> Result<Listing, Error> {
        self.call::<_, wire::Listing>(Verb::List, ()).await?.try_into()
    }

    async fn events(&self) -> Result<EventStream, Error> {
        self.subscribe().await
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        self.call(Verb::Acknowledge, id(run)).await
    }

    async fn target(&self, sandbox: &SandboxId) -> Result<Target, Error> {
        self.call::<_, wire::Target>(Verb::Target, id(sandbox)).await?.try_into()
    }

    async fn prepare(&self, sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        self.call(Verb::Prepare, Prepare::new(sandbox, artifact)).await
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        self.call(Verb::CreateSandbox, wire::SandboxSpec::from(sandbox)).await
    }

    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error> {
        self.call(Verb::UpdateSandbox, wire::SandboxUpdate::from(update)).await
    }

    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error> {
        self.call(Verb::RemoveSandbox, id(sandbox)).await
    }

    async fn update_services(&self, delta: ServicesDelta) -> Result<(), Error> {
        self.call(Verb::UpdateServices, wire::ServicesDelta::from(delta)).await
    }

    async fn start(&self, run: RunSpec) -> Result<(), Error> {
        self.call(Verb::Start, wire::RunSpec::from(run)).await
    }

    async fn stop(&self, run: &RunId) -> Result<(), Error> {
        self.call(Verb::Stop, id(run)).await
    }

    async fn kill(&self, run: &RunId) -> Result<(), Error> {
        self.call(Verb::Kill, id(run)).await
    }

    async fn exec(&self, exec: ExecSpec, streams: Streams) -> Result<i32, Error> {
        self.converse_exec(exec, streams).await
    }

    async fn attach(&self, run: &RunId, streams: Streams) -> Result<(), Error> {
        self.converse_attach(run, streams).await
    }

    async fn connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error> {
        self.converse_connect(sandbox, port).await
    }

    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error> {
        self.call::<_, wire::Usage>(Verb::Usage, id(sandbox)).await?.try_into()
    }
}
