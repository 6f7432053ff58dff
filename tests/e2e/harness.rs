//! That the ground which the other cases stand on holds.

use anyhow::{Result, ensure};
use wasmnode_tests::{guests, registry::Artifact, suite::Scene};

pub(crate) async fn control_plane_answers(scene: Scene) -> Result<()> {
    let kubectl = scene.cluster().await?.kubectl();
    let ready = kubectl.ok(&["get", "--raw", "/readyz"]).await?;
    ensure!(ready == "ok", "{ready}");

    let namespace = scene.namespace().await?;
    let maps = namespace.kubectl().ok(&["get", "configmaps", "-o", "name"]).await?;
    ensure!(maps.is_empty() || maps.contains("kube-root-ca.crt"), "{maps}");
    Ok(())
}

pub(crate) async fn registry_keeps_what_is_pushed(scene: Scene) -> Result<()> {
    let registry = scene.registry().await?;
    let client = registry.client()?;
    let hello = guests::wat("hello")?;
    for (tag, artifact) in [
        ("cncf", Artifact::cncf(hello.clone())),
        ("krustlet", Artifact::krustlet(hello).titled("hello.wasm")),
        ("component", Artifact::cncf(guests::component("report")?)),
        ("linux", Artifact::linux()),
    ] {
        let image = registry.push("harness/pushed", tag, &artifact).await?;
        ensure!(image == format!("{}/harness/pushed:{tag}", registry.address()));
        let manifest = client.manifest("harness/pushed", tag, &artifact.media_type).await?;
        ensure!(manifest == artifact.manifest(), "{tag}: another manifest");
        let layer = &artifact.layers[0];
        ensure!(client.blob("harness/pushed", &layer.digest()).await? == layer.content, "{tag}: another layer");
    }

    // Blobs are shared by all repositories: only one that no other case pulls may be damaged.
    let mut own = guests::wat("sleeper")?;
    own.extend([0, 6, 1, b'h', 1, 2, 3, 4]);
    let artifact = Artifact::cncf(own);
    registry.push("harness/tampered", "v1", &artifact).await?;
    let digest = artifact.layers[0].digest();
    registry.tamper(&digest, |content| content.reverse())?;
    ensure!(client.blob("harness/tampered", &digest).await? != artifact.layers[0].content, "not tampered with");
    Ok(())
}
