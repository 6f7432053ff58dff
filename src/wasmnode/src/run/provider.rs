//! The engine with what somebody who runs a program by hand gives it: directories and standard input.
//!
//! A pod's spec could only say hostPath, which a node refuses; who runs a program by hand may show it any directory
//! that is theirs.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use wasmnode_logs::beneath;
use wasmnode_provider_api::{
    Artifact, Configure, Duplex, Error, EventStream, ExecSpec, Hello, Listing, Mount, Provider, RunId, RunSpec,
    SandboxId, SandboxSpec, SandboxUpdate, ServicesDelta, Streams, Target, Usage, Welcome,
};

use super::args::Volume;
use super::input::Input;

/// Mode of directories that the guest sees.
const DIRECTORY_MODE: u32 = 0o755;

/// A provider whose runs see more directories, and the first of them this process's standard input.
pub(super) struct ByHand {
    pub(super) inner: Arc<dyn Provider>,
    pub(super) volumes: Vec<Volume>,
    pub(super) input: Option<Input>,
}

// === impl ByHand ===

impl ByHand {
    /// The mounts stay in the order of their paths, so that none hides what lies below it.
    fn add(&self, run: &mut RunSpec) -> std::io::Result<()> {
        let root = run.mounts.iter().find(|mount| mount.guest == "/").map(|mount| mount.host.clone());
        for volume in &self.volumes {
            if let Some(root) = &root {
                // Mount points are shown by a listing of the directory above them.
                let point = Path::new(volume.guest.trim_start_matches('/'));
                beneath::Root::open(root)?.create_dirs(point, DIRECTORY_MODE)?;
            }
            let Volume { host, guest, read_only } = volume.clone();
            run.mounts.push(Mount { host, guest, read_only });
        }
        run.mounts.sort_by(|a, b| a.guest.cmp(&b.guest));
        Ok(())
    }
}

#[async_trait]
impl Provider for ByHand {
    async fn start(&self, mut run: RunSpec) -> Result<(), Error> {
        self.add(&mut run).map_err(|e| Error::Failed(format!("volumes cannot be mounted: {e}")))?;
        let id = run.id.clone();
        self.inner.start(run).await?;
        if let Some(input) = &self.input {
            input.give(&self.inner, id);
        }
        Ok(())
    }

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
        self.inner.events().await
    }

    async fn acknowledge(&self, run: &RunId) -> Result<(), Error> {
        self.inner.acknowledge(run).await
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
