//! The engine with what somebody who runs a program by hand gives it: directories and standard input.
//!
//! A pod's spec could only say hostPath, which a node refuses; who runs a program by hand may show it any directory
//! that is theirs.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use wasmnode_logs::beneath;
use wasmnode_provider_api::{Error, Layer, Mount, Provider, RunSpec};

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
impl Layer for ByHand {
    fn inner(&self) -> &dyn Provider {
        self.inner.as_ref()
    }

    async fn start(&self, mut run: RunSpec) -> Result<(), Error> {
        self.add(&mut run).map_err(|e| Error::Failed(format!("volumes cannot be mounted: {e}")))?;
        let id = run.id.clone();
        self.inner.start(run).await?;
        if let Some(input) = &self.input {
            input.give(&self.inner, id);
        }
        Ok(())
    }
}
