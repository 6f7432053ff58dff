//! A provider behind its wire form: whatever crosses the trait is encoded and decoded on the way, as it will be
//! between two processes.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use wasmnode_provider_api::wire::{Wire, decode, encode};
use wasmnode_provider_api::{
    Artifact, Configure, Duplex, Error, EventStream, ExecSpec, Hello, Listing, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, SandboxUpdate, ServicesDelta, Streams, Target, Usage, Welcome,
};

pub(crate) struct Shim(pub(crate) Arc<dyn Provider>);

fn across<T: Wire>(value: T) -> T {
    decode(&encode(value)).unwrap()
}

fn back<T: Wire>(result: Result<T, Error>) -> Result<T, Error> {
    result.map(across).map_err(across)
}

fn refused<T>(result: Result<T, Error>) -> Result<T, Error> {
    result.map_err(across)
}

/// As a client behind a socket has them: what it types and what it sees pass through other channels, and the
/// terminal's size through messages.
fn relayed(mut streams: Streams) -> Streams {
    streams.resize = streams.resize.map(|mut sizes| {
        let (to, relayed) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(size) = sizes.recv().await {
                if to.send(across(size)).await.is_err() {
                    return;
                }
            }
        });
        relayed
    });
    streams
}

#[async_trait]
impl Provider for Shim {
    async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        back(self.0.hello(across(hello)).await)
    }

    async fn ping(&self) -> Result<(), Error> {
        refused(self.0.ping().await)
    }

    async fn configure(&self, settings: Configure) -> Result<(), Error> {
        refused(self.0.configure(across(settings)).await)
    }

    async fn list(&self) -> Result<Listing, Error> {
        back(self.0.list().await)
    }

    async fn events(&self) -> Result<EventStream, Error> {
        let mut events = refused(self.0.events().await)?;
        let (to, relayed) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if to.send(across(event)).await.is_err() {
                    return;
                }
            }
        });
        Ok(relayed)
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        refused(self.0.acknowledge(&across(run.clone())).await)
    }

    async fn target(&self, sandbox: &SandboxId) -> Result<Target, Error> {
        back(self.0.target(&across(sandbox.clone())).await)
    }

    async fn prepare(&self, sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        refused(self.0.prepare(&across(sandbox.clone()), &across(artifact.clone())).await)
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        refused(self.0.create_sandbox(across(sandbox)).await)
    }

    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error> {
        refused(self.0.update_sandbox(across(update)).await)
    }

    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error> {
        refused(self.0.remove_sandbox(&across(sandbox.clone())).await)
    }

    async fn update_services(&self, delta: ServicesDelta) -> Result<(), Error> {
        refused(self.0.update_services(across(delta)).await)
    }

    async fn start(&self, run: RunSpec) -> Result<(), Error> {
        refused(self.0.start(across(run)).await)
    }

    async fn stop(&self, run: &RunId) -> Result<(), Error> {
        refused(self.0.stop(&across(run.clone())).await)
    }

    async fn kill(&self, run: &RunId) -> Result<(), Error> {
        refused(self.0.kill(&across(run.clone())).await)
    }

    async fn exec(&self, exec: ExecSpec, streams: Streams) -> Result<i32, Error> {
        refused(self.0.exec(across(exec), relayed(streams)).await)
    }

    async fn attach(&self, run: &RunId, streams: Streams) -> Result<(), Error> {
        refused(self.0.attach(&across(run.clone()), relayed(streams)).await)
    }

    async fn connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error> {
        refused(self.0.connect(&across(sandbox.clone()), port).await)
    }

    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error> {
        back(self.0.usage(&across(sandbox.clone())).await)
    }
}
