//! A provider whose conversations a test writes, over one whose other verbs work.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use wasmnode_provider_api::{
    Artifact, Configure, Duplex, Error, EventStream, ExecSpec, Hello, Listing, Provider, RunId, RunSpec, SandboxId,
    SandboxSpec, SandboxUpdate, ServicesDelta, Streams, Target, Usage, Welcome,
};
use wasmnode_provider_fake::FakeProvider;

type Play<T> = Box<dyn Fn(Streams) -> BoxFuture<'static, Result<T, Error>> + Send + Sync>;

pub(crate) struct Talker {
    fake: FakeProvider,
    exec: Option<Play<i32>>,
    attach: Option<Play<()>>,
    pod: Option<Box<dyn Fn(Duplex) + Send + Sync>>,
    listing: Listing,
}

impl Talker {
    pub(crate) fn new(fake: FakeProvider) -> Self {
        Self { fake, exec: None, attach: None, pod: None, listing: Listing::default() }
    }

    pub(crate) fn exec<F>(play: impl Fn(Streams) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<i32, Error>> + Send + 'static,
    {
        let exec: Play<i32> = Box::new(move |streams| Box::pin(play(streams)));
        Arc::new(Self { exec: Some(exec), ..Self::new(FakeProvider::new()) })
    }

    pub(crate) fn attach<F>(play: impl Fn(Streams) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let attach: Play<()> = Box::new(move |streams| Box::pin(play(streams)));
        Arc::new(Self { attach: Some(attach), ..Self::new(FakeProvider::new()) })
    }

    /// Connections to port 80 get the other end handed to this.
    pub(crate) fn pod<F>(serve: impl Fn(Duplex) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let pod = Box::new(move |end| drop(tokio::spawn(serve(end))));
        Arc::new(Self { pod: Some(pod), ..Self::new(FakeProvider::new()) })
    }

    pub(crate) fn listing(listing: Listing) -> Arc<Self> {
        Arc::new(Self { listing, ..Self::new(FakeProvider::new()) })
    }
}

#[async_trait]
impl Provider for Talker {
    async fn exec(&self, exec: ExecSpec, streams: Streams) -> Result<i32, Error> {
        match &self.exec {
            Some(play) => play(streams).await,
            None => self.fake.exec(exec, streams).await,
        }
    }

    async fn attach(&self, run: &RunId, streams: Streams) -> Result<(), Error> {
        match &self.attach {
            Some(play) => play(streams).await,
            None => self.fake.attach(run, streams).await,
        }
    }

    async fn connect(&self, sandbox: &SandboxId, port: u16) -> Result<Duplex, Error> {
        match &self.pod {
            Some(serve) if port == 80 => {
                let (ours, theirs) = Duplex::pair();
                serve(theirs);
                Ok(ours)
            }
            Some(_) => Err(Error::NotFound { what: "port".to_owned(), id: port.to_string() }),
            None => self.fake.connect(sandbox, port).await,
        }
    }

    async fn list(&self) -> Result<Listing, Error> {
        let own = self.fake.list().await?;
        Ok(if self.listing == Listing::default() { own } else { self.listing.clone() })
    }

    async fn hello(&self, hello: Hello) -> Result<Welcome, Error> {
        self.fake.hello(hello).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.fake.ping().await
    }

    async fn configure(&self, settings: Configure) -> Result<(), Error> {
        self.fake.configure(settings).await
    }

    async fn events(&self) -> Result<EventStream, Error> {
        self.fake.events().await
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        self.fake.acknowledge(run).await
    }

    async fn target(&self, sandbox: &SandboxId) -> Result<Target, Error> {
        self.fake.target(sandbox).await
    }

    async fn prepare(&self, sandbox: &SandboxId, artifact: &Artifact) -> Result<(), Error> {
        self.fake.prepare(sandbox, artifact).await
    }

    async fn create_sandbox(&self, sandbox: SandboxSpec) -> Result<(), Error> {
        self.fake.create_sandbox(sandbox).await
    }

    async fn update_sandbox(&self, update: SandboxUpdate) -> Result<(), Error> {
        self.fake.update_sandbox(update).await
    }

    async fn remove_sandbox(&self, sandbox: &SandboxId) -> Result<(), Error> {
        self.fake.remove_sandbox(sandbox).await
    }

    async fn update_services(&self, delta: ServicesDelta) -> Result<(), Error> {
        self.fake.update_services(delta).await
    }

    async fn start(&self, run: RunSpec) -> Result<(), Error> {
        self.fake.start(run).await
    }

    async fn stop(&self, run: &RunId) -> Result<(), Error> {
        self.fake.stop(run).await
    }

    async fn kill(&self, run: &RunId) -> Result<(), Error> {
        self.fake.kill(run).await
    }

    async fn usage(&self, sandbox: &SandboxId) -> Result<Usage, Error> {
        self.fake.usage(sandbox).await
    }
}
