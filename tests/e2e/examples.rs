//! The examples as their readers use them, as far as no compiler but Go's is needed: `examples/run.sh` does the rest.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use wasmnode_tests::{guests, netns::Node, paths, suite::Scene};

use crate::support::PATIENCE;

/// A copy of one example, in which the test may build and run.
struct Example {
    name: String,
    folder: PathBuf,
    manifest: PathBuf,
}

impl Example {
    fn all(scene: &Scene, below: &str) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(examples())? {
            let name = entry?.file_name().into_string().ok().context("a name that is no text")?;
            if examples().join(&name).join("expected").exists() {
                all.push(Self::copy(scene, below, &name)?);
            }
        }
        ensure!(all.len() >= 5, "only {} examples", all.len());
        Ok(all)
    }

    fn copy(scene: &Scene, below: &str, name: &str) -> Result<Self> {
        let folder = scene.world().scratch().join(below).join(name);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(examples().join(name))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
        }
        let manifests = ["pod.yaml", "job.yaml"].map(|file| folder.join(file));
        let manifest = manifests.into_iter().find(|path| path.exists());
        Ok(Self { name: name.to_owned(), manifest: manifest.with_context(|| format!("{name}: no manifest"))?, folder })
    }

    /// The program that the manifest names, beside it.
    fn program(&self) -> Result<String> {
        let text = fs::read_to_string(&self.manifest)?;
        let image = text.lines().find_map(|line| line.trim().strip_prefix("image: ./"));
        Ok(image.with_context(|| format!("{}: no program beside the manifest", self.name))?.to_owned())
    }

    /// What the program prints.
    fn expected(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join("expected"))?)
    }

    fn manifest(&self) -> Result<&str> {
        self.manifest.to_str().context("a path that is no text")
    }

    /// Standard output of a program that succeeds in the example's folder.
    async fn ok(&self, program: &Path, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).kill_on_drop(true);
        // Go's build cache stays the user's; credentials of registries do not.
        command.env("DOCKER_CONFIG", &self.folder).env_remove("REGISTRY_AUTH_FILE").env_remove("RUST_LOG");
        let output = command.output().await?;
        ensure!(output.status.success(), "{}: {arguments:?}: {output:?}", self.name);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What the program prints here.
    async fn run(&self) -> Result<String> {
        let arguments = ["run", "--root-dir", "store", self.manifest()?];
        let printed = self.ok(&paths::wasmnode()?, &arguments).await?;
        Ok(printed.split_inclusive('\n').map(without_name).collect())
    }
}

/// A line without the pod's name in front of it.
fn without_name(line: &str) -> &str {
    line.split_once(" | ").map_or(line, |(_, text)| text)
}

fn examples() -> PathBuf {
    paths::repository().join("examples")
}

/// What a manifest asks for is there, whatever the program.
pub(crate) async fn every_manifest_runs_without_a_cluster(scene: Scene) -> Result<()> {
    for example in Example::all(&scene, "examples-run")? {
        fs::write(example.folder.join(example.program()?), guests::wat("hello")?)?;
        let printed = example.run().await?;
        ensure!(printed == "hello from wasm!\n", "{}: {printed}", example.name);
    }
    Ok(())
}

pub(crate) async fn every_manifest_is_a_clusters_and_the_go_job_runs(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let namespace = scene.namespace().await?;
    let kubectl = namespace.kubectl();
    let classes = paths::repository().join("deploy/runtimeclasses.yaml");
    kubectl.ok(&["apply", "-f", classes.to_str().context("a path that is no text")?]).await?;
    for example in Example::all(&scene, "examples-cluster")? {
        let check = ["apply", "--dry-run=server", "--validate=strict", "-f", example.manifest()?];
        kubectl.ok(&check).await.with_context(|| example.name.clone())?;
    }

    let report = Example::copy(&scene, "examples-cluster", "go-report")?;
    report.ok(&report.folder.join("build.sh"), &[]).await?;
    ensure!(report.run().await? == report.expected()?);

    let image = scene.registry().await?.image("examples/report", "1");
    report.ok(&paths::wasmnode()?, &["push", "report.wasm", &image]).await?;
    // The shared agent's node: one of another case may end with that case.
    let class = "runtimeClassName: wasm";
    let place = format!("nodeSelector: {{kubernetes.io/hostname: {}}}\n      {class}", Node::new(1).name);
    let manifest = fs::read_to_string(&report.manifest)?.replace("./report.wasm", &image).replace(class, &place);
    fs::write(&report.manifest, manifest)?;
    kubectl.ok(&["apply", "-f", report.manifest()?]).await?;
    let patience = format!("--timeout={}s", PATIENCE.as_secs());
    kubectl.ok(&["wait", "--for=condition=complete", "job/report", &patience]).await?;
    let logs = kubectl.ok(&["logs", "job/report"]).await?;
    ensure!(logs == report.expected()?, "{logs}");
    Ok(())
}
