//! Programs without a cluster, from a real registry.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use wasmnode_tests::{
    guests, paths,
    registry::{Registry, RegistryOptions},
    suite::Scene,
};

/// A person's home directory.
struct Home(PathBuf);

impl Home {
    fn create(scene: &Scene, name: &str) -> Result<Self> {
        let path = scene.world().scratch().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    async fn wasmnode(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(paths::wasmnode()?);
        command.args(arguments).current_dir(&self.0).env("HOME", &self.0).kill_on_drop(true);
        for variable in ["RUST_LOG", "XDG_CACHE_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"] {
            command.env_remove(variable);
        }
        Ok(command.output().await?)
    }

    /// Standard output of a command that succeeds.
    async fn ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.wasmnode(arguments).await?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Exit status and standard error of one that does not.
    async fn refused(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = self.wasmnode(arguments).await?;
        ensure!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}: {output:?}");
        Ok((output.status.code().context("killed")?, String::from_utf8(output.stderr)?))
    }
}

pub(crate) async fn what_is_pushed_runs_without_a_cluster(scene: Scene) -> Result<()> {
    let home = Home::create(&scene, "run-public")?;
    let registry = scene.registry().await?;
    fs::write(home.path().join("hello.wasm"), guests::wat("hello")?)?;
    fs::write(home.path().join("report.wasm"), guests::component("report")?)?;
    let image = registry.image("run/hello", "1");
    let pinned = home.ok(&["push", "hello.wasm", &image]).await?;
    // The same file is the same artifact, and everything is there already.
    ensure!(home.ok(&["push", "hello.wasm", &image]).await? == pinned);
    ensure!(home.ok(&["image", "pull", &image]).await? == pinned);
    for name in [image.as_str(), pinned.trim()] {
        ensure!(home.ok(&["run", name]).await? == "hello from wasm!\n", "{name}");
    }

    let report = registry.image("run/report", "1");
    let digest = home.ok(&["push", "report.wasm", &report]).await?;
    let digest = digest.trim().rsplit('@').next().context("no digest")?.to_owned();
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    let manifest = registry.client()?.manifest("run/report", &digest, manifest).await?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let config = manifest["config"]["digest"].as_str().context("no configuration")?;
    let config: Value = serde_json::from_slice(&registry.client()?.blob("run/report", config).await?)?;
    let exports = config["component"]["exports"].as_array().context("no exports")?;
    ensure!(exports.iter().any(|name| name.as_str().is_some_and(|name| name.starts_with("wasi:cli/run@"))), "{config}");
    let said: Value = serde_json::from_str(&home.ok(&["inspect", &report, "-o", "json"]).await?)?;
    ensure!(said["runsHere"] == true && said["exports"] == config["component"]["exports"], "{said}");
    Ok(())
}

pub(crate) async fn a_private_registry_wants_its_credentials(scene: Scene) -> Result<()> {
    let home = Home::create(&scene, "run-private")?;
    fs::write(home.path().join("hello.wasm"), guests::wat("hello")?)?;
    let directory = scene.world().scratch().join("run-private-registry");
    let user = Some(("ann".to_owned(), "s3cret".to_owned()));
    let registry = Registry::start(RegistryOptions { directory, user, ..RegistryOptions::default() }).await?;
    let image = registry.image("private/hello", "1");

    let (status, said) = home.refused(&["push", "hello.wasm", &image]).await?;
    ensure!(status == 1 && said.contains("cannot push") && said.contains("no basic auth credentials"), "{said}");

    let folder = home.path().join(".docker");
    fs::create_dir_all(&folder)?;
    let auth = json!({ "auths": { registry.address(): { "username": "ann", "password": "s3cret" } } });
    fs::write(folder.join("config.json"), auth.to_string())?;
    home.ok(&["push", "hello.wasm", &image]).await?;
    ensure!(home.ok(&["run", &image]).await? == "hello from wasm!\n");

    // It is stored, but whoever may not pull it may not run it.
    fs::remove_dir_all(&folder)?;
    let (status, said) = home.refused(&["run", &image]).await?;
    ensure!(status == 125 && said.contains("cannot start: failed to pull") && !said.contains("s3cret"), "{said}");
    Ok(())
}
