//! The CNCF distribution registry, and what tests put into it.

mod artifact;
mod authority;
mod client;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Deserialize;
use tokio::process::Command;

pub use artifact::{Artifact, Blob, digest};
pub use authority::Authority;
pub use client::RegistryClient;

use crate::{paths, process::Process};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

/// What a registry is started with.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Folder of its blobs; another registry may share it.
    pub directory: PathBuf,
    /// Address to listen on; a free port of the loopback address when empty.
    pub address: Option<String>,
    /// Name and password without which nobody pushes or pulls.
    pub user: Option<(String, String)>,
    /// Files with certificate and key; plain HTTP without.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// URL of a registry that this one is a pull-through mirror of.
    pub proxy: Option<String>,
}

/// A running registry; ended when dropped.
pub struct Registry {
    process: Process,
    options: RegistryOptions,
    address: String,
}

/// What the program says once it listens.
#[derive(Deserialize)]
struct Announcement {
    address: String,
}

impl Registry {
    /// Starts a registry and returns when it listens.
    pub async fn start(options: RegistryOptions) -> Result<Self> {
        let log = options.directory.with_extension("log");
        let mut command = Command::new(paths::cluster_program("registry"));
        command.arg("--dir").arg(&options.directory);
        if let Some(address) = &options.address {
            command.args(["--address", address]);
        }
        if let Some((name, password)) = &options.user {
            command.args(["--user", &format!("{name}:{password}")]);
        }
        if let Some((certificate, key)) = &options.tls {
            command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
        }
        if let Some(upstream) = &options.proxy {
            command.args(["--proxy", upstream]);
        }
        let (process, ready) = Process::announced("registry", &mut command, &log, START).await?;
        let Announcement { address } = ready;
        Ok(Self { process, options, address })
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The reference of an image here.
    pub fn image(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.address)
    }

    /// A client that may push; only for a registry without TLS.
    pub fn client(&self) -> Result<RegistryClient> {
        RegistryClient::new(&self.address, self.options.user.clone())
    }

    /// Pushes `artifact` and returns its reference by tag.
    pub async fn push(&self, repository: &str, tag: &str, artifact: &Artifact) -> Result<String> {
        self.client()?.push(repository, tag, artifact).await?;
        Ok(self.image(repository, tag))
    }

    /// Changes a stored blob (or manifest) behind the registry's back: what it serves then does not have
    /// the digest that it is asked for by.
    pub fn tamper(&self, digest: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let path = blob_path(&self.options.directory, digest)?;
        let mut content = fs::read(&path).with_context(|| path.display().to_string())?;
        change(&mut content);
        fs::write(&path, content).with_context(|| path.display().to_string())
    }

    /// Ends it; its blobs stay.
    pub async fn stop(mut self) -> Result<RegistryOptions> {
        self.process.terminate(STOP).await?;
        Ok(RegistryOptions { address: Some(self.address), ..self.options })
    }
}

/// The registry's own layout below its folder.
fn blob_path(directory: &Path, digest: &str) -> Result<PathBuf> {
    let hex = digest.strip_prefix("sha256:").with_context(|| format!("{digest} is no sha256 digest"))?;
    let shard = hex.get(..2).with_context(|| format!("{digest} is too short"))?;
    Ok(directory.join("docker/registry/v2/blobs/sha256").join(shard).join(hex).join("data"))
}
