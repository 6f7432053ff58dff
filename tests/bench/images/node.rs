//! The way of an image on a node: registry, store, compiler and engine are the agent's own; only the cluster is not
//! there.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wasmnode_images::{CompileConfig, Config, Engines, Images, Kind, PullPolicy, Reference, Request, Timeouts};
use wasmnode_provider_api::{Artifact, ArtifactKind, EngineId, EngineName};
use wasmnode_tests::paths;
use wasmnode_tests::registry::{self, Registry, RegistryOptions};

use super::Guest;
use crate::figure::{percentile, print};
use crate::rig::{Rig, base_engine};

/// Of each guest; compiling the largest takes seconds.
const ROUNDS: usize = 10;

/// Where the time went.
#[derive(Default)]
struct Samples {
    pull: Vec<Duration>,
    compile: Vec<Duration>,
    cold: Vec<Duration>,
    cached: Vec<Duration>,
}

/// From a node that has nothing to the exit, and once more after its agent was started anew.
pub(super) async fn measure(guests: &[Guest]) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().join("registry");
    let registry = Registry::start(RegistryOptions { directory, ..RegistryOptions::default() }).await?;
    for guest in guests {
        let artifact = registry::Artifact::cncf(guest.wasm.clone());
        let image = Reference::parse(&registry.push(guest.size, "v1", &artifact).await?)?;
        let mut samples = Samples::default();
        for _ in 0..ROUNDS {
            let root = tempfile::tempdir()?;
            samples.round(root.path(), &image, guest).await?;
        }
        samples.print(guest.size);
    }
    registry.stop().await?;
    Ok(())
}

impl Samples {
    async fn round(&mut self, root: &Path, image: &Reference, guest: &Guest) -> Result<()> {
        let (cold, image_here) = pod(root, image, guest).await?;
        self.cold.push(cold);
        self.pull.push(image_here.pulled.context("it was here before")?.pull);
        self.compile.push(image_here.program?.compiled.context("it was compiled before")?);
        drop(image_here.lease);
        self.cached.push(pod(root, image, guest).await?.0);
        Ok(())
    }

    fn print(mut self, size: &str) {
        for (what, samples) in [
            ("pull", &mut self.pull),
            ("compile", &mut self.compile),
            ("cold_to_exit", &mut self.cold),
            ("cached_to_exit", &mut self.cached),
        ] {
            print(&format!("image_{size}_{what}_p50"), "us", percentile(samples, 0.5), None);
        }
    }
}

/// What a pod's worker does, on a node whose agent has just been started: how long it took, and the image.
async fn pod(root: &Path, image: &Reference, guest: &Guest) -> Result<(Duration, wasmnode_images::Image)> {
    let images = Images::open(config(root)?)?;
    let began = Instant::now();
    let found = images.ensure(&Request::new(image, PullPolicy::IfNotPresent)).await?;
    let mut took = began.elapsed();
    // An agent has its engine ready.
    let mut rig = Rig::of(artifact(&found)?, 1).await?;
    let began = Instant::now();
    rig.prepare().await?;
    let sandbox = rig.sandbox(1).await?;
    let mut run = rig.spec(&sandbox, true)?;
    run.argv.extend(guest.args.iter().map(|arg| (*arg).to_owned()));
    let id = run.id.clone();
    rig.provider.start(run).await?;
    rig.ended(&id).await?;
    took += began.elapsed();
    Ok((took, found))
}

fn artifact(image: &wasmnode_images::Image) -> Result<Artifact> {
    let program = image.program.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
    Ok(Artifact {
        digest: program.wasm_digest.to_string(),
        engine: EngineId::new(program.engine_id.clone())?,
        engine_name: EngineName::Base,
        kind: match program.kind {
            Kind::Module => ArtifactKind::Module,
            Kind::Component => ArtifactKind::Component,
        },
        path: program.code.clone(),
    })
}

/// The agent's defaults.
fn config(root: &Path) -> Result<Config> {
    Ok(Config {
        root: root.to_owned(),
        insecure_registries: Vec::new(),
        registry_config_dir: None,
        max_module_size: 256 << 20,
        max_unpacked_size: Config::unpacked_size_for(256 << 20),
        compile: CompileConfig {
            program: paths::wasmnode()?,
            jobs: 0,
            memory_bytes: 4 << 30,
            timeout: Duration::from_secs(600),
            nice: 10,
        },
        engines: Engines { base: base_engine()?.to_string(), wasip3: None },
        pull_parallelism: 4,
        timeouts: Timeouts::default(),
        size_limit: 16 << 30,
    })
}
