//! What users, registries and authors get wrong: a reason, an event that helps, and no harm to others.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use wasmnode_tests::{
    eventually::eventually,
    guests,
    registry::{Artifact, Blob},
    suite::{Namespace, Scene},
};

use crate::support::{PATIENCE, container, ended, event, exit_of, once, pod, small, tool, waiting};

const PULL: &[&str] = &["ErrImagePull", "ImagePullBackOff"];

/// Applies a pod and expects it to wait for one of the reasons with the texts in its message and in an event.
async fn refused(namespace: &Namespace, object: &Value, reasons: &[&str], texts: &[&str]) -> Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    namespace.apply(object).await?;
    let (reason, message) = waiting(namespace, &name, reasons).await?;
    for text in texts {
        ensure!(message.contains(text), "{name} {reason}: {message}");
        event(namespace, &name, "Failed", text).await?;
    }
    Ok(())
}

pub(crate) async fn images_that_cannot_run_say_why(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let namespace = scene.namespace().await?;
    let run = |name: &str, image: &str| once(name, image, &[]);

    let missing = scene.registry().await?.image("nobody/has-this", "v1");
    refused(&namespace, &run("missing", &missing), PULL, &["not found"]).await?;

    refused(&namespace, &run("unreachable", "127.0.0.1:1/nobody/there:v1"), PULL, &["127.0.0.1:1"]).await?;

    let mut own = guests::wat("echo")?;
    own.extend([0, 6, 1, b'm', 1, 2, 3, 4]);
    let artifact = Artifact::cncf(own);
    let broken = scene.push("broken-manifest", &artifact).await?;
    scene.registry().await?.tamper(&artifact.digest(), |manifest| manifest.truncate(manifest.len() / 2))?;
    refused(&namespace, &run("broken", &broken), PULL, &["manifest"]).await?;

    let imports = small(&scene, "unknown-imports").await?;
    refused(
        &namespace,
        &run("imports", &imports),
        &["CreateContainerError"],
        &["imports that this node does not provide"],
    )
    .await?;

    let world = small(&scene, "wrong-world").await?;
    refused(&namespace, &run("world", &world), &["CreateContainerError"], &["wasi:cli/run"]).await?;

    let cut = guests::tool()?;
    let cut = scene.push("cut", &Artifact::cncf(cut[..cut.len() / 2].to_vec())).await?;
    refused(&namespace, &run("cut", &cut), PULL, &["WebAssembly"]).await?;

    let text = scene.push("text", &Artifact::cncf(b"#!/bin/sh\necho hello\n".to_vec())).await?;
    refused(&namespace, &run("text", &text), PULL, &["WebAssembly"]).await?;

    let chart = Artifact::new(
        Blob::new("application/vnd.cncf.helm.config.v1+json", "{}"),
        vec![Blob::new("application/vnd.cncf.helm.chart.content.v1.tar+gzip", vec![1, 2, 3])],
    );
    let chart = scene.push("chart", &chart).await?;
    refused(&namespace, &run("chart", &chart), PULL, &["not WebAssembly"]).await?;

    refused(&namespace, &run("name", "Not A Name"), &["InvalidImageName"], &[]).await?;

    let mut never = run("never", &scene.push("never", &Artifact::cncf(guests::wat("echo")?)).await?);
    never["spec"]["containers"][0]["imagePullPolicy"] = json!("Never");
    refused(&namespace, &never, &["ErrImageNeverPull"], &[]).await?;

    // None of this hurt the node.
    namespace.apply(&once("fine", &tool(&scene).await?, &["exit 0"])).await?;
    ensure!(exit_of(&ended(&namespace, "fine").await?)?.0 == 0);
    Ok(())
}

pub(crate) async fn tampered_content_never_runs(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let namespace = scene.namespace().await?;
    let mut wasm = guests::wat("exit-42")?;
    // A custom section of its own gives it a digest that no other case pulls.
    wasm.extend([0, 6, 1, b't', 1, 2, 3, 4]);
    let artifact = Artifact::cncf(wasm);
    let image = scene.push("tampered", &artifact).await?;
    scene.registry().await?.tamper(&artifact.layers[0].digest(), |content| {
        if let Some(last) = content.last_mut() {
            *last ^= 1;
        }
    })?;
    refused(&namespace, &once("tampered", &image, &[]), PULL, &["digest"]).await?;

    // The registry is repaired, and the pod recovers by itself.
    scene.registry().await?.tamper(&artifact.layers[0].digest(), |content| {
        if let Some(last) = content.last_mut() {
            *last ^= 1;
        }
    })?;
    ensure!(exit_of(&ended(&namespace, "tampered").await?)?.0 == 42);
    Ok(())
}

pub(crate) async fn an_image_that_appears_later_is_pulled(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let namespace = scene.namespace().await?;
    let artifact = Artifact::cncf(guests::wat("hello")?);
    let image = scene.registry().await?.image("appears/later", "v1");
    refused(&namespace, &once("later", &image, &[]), &["ImagePullBackOff"], &[]).await?;
    event(&namespace, "later", "BackOff", "Back-off pulling image").await?;
    scene.registry().await?.push("appears/later", "v1", &artifact).await?;
    ensure!(exit_of(&ended(&namespace, "later").await?)?.0 == 0);
    Ok(())
}

pub(crate) async fn a_module_over_the_limit_is_refused(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({ "maxModuleSize": "1Mi" })).await?;
    let namespace = scene.namespace().await?;
    let mut object = once("large", &tool(&scene).await?, &["exit 0"]);
    object["spec"]["nodeSelector"] = agent.placement()["nodeSelector"].clone();
    refused(&namespace, &object, PULL, &["maxModuleSize"]).await
}

pub(crate) async fn a_killed_compile_job_delays_the_pod_only(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({})).await?;
    let namespace = scene.namespace().await?;
    let image = tool(&scene).await?;
    namespace
        .apply(&pod(
            "late",
            Some(&agent),
            json!([container("main", &image, &["print ran"])]),
            json!({
        "restartPolicy": "Never" }),
        ))
        .await?;
    let id = eventually(PATIENCE, "a compile job", || async {
        compile_job_of(agent.id().context("the agent is gone")?).context("none runs")
    })
    .await?;
    kill_process(Pid::from_raw(id).context("no id")?, Signal::KILL)?;
    let (_, message) = waiting(&namespace, "late", PULL).await?;
    ensure!(message.contains("compil"), "{message}");
    ensure!(exit_of(&ended(&namespace, "late").await?)?.0 == 0);
    Ok(())
}

/// A child of the agent that compiles.
fn compile_job_of(agent: i32) -> Option<i32> {
    let children = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    children.into_iter().find(|id: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let command = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        // After the name in brackets: state, then the parent.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        parent == Some(&agent.to_string()) && command.contains("\0compile\0")
    })
}

pub(crate) async fn missing_objects_are_waited_for(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let config_error = &["CreateContainerConfigError"];

    let mut by_env = once("by-env", &image, &["env V"]);
    by_env["spec"]["containers"][0]["env"] =
        json!([{ "name": "V", "valueFrom": { "configMapKeyRef": { "name": "late", "key": "k" } } }]);
    refused(&namespace, &by_env, config_error, &["configmap \"late\" not found"]).await?;

    let mut by_volume = once("by-volume", &image, &["read /v/k"]);
    by_volume["spec"]["volumes"] = json!([{ "name": "v", "secret": { "secretName": "late" } }]);
    by_volume["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "v", "mountPath": "/v" }]);
    namespace.apply(&by_volume).await?;
    let text = "MountVolume.SetUp failed for volume \"v\" : secret \"late\" not found";
    event(&namespace, "by-volume", "FailedMount", text).await?;

    let late = |kind: &str, key: &str| {
        json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "late" },
            if kind == "Secret" { "stringData" } else { "data" }: { key: "v" } })
    };
    namespace.apply(&late("ConfigMap", "other")).await?;
    let text = format!("couldn't find key k in ConfigMap {}/late", namespace.name());
    event(&namespace, "by-env", "Failed", &text).await?;
    namespace.apply(&late("ConfigMap", "k")).await?;
    namespace.apply(&late("Secret", "k")).await?;
    for name in ["by-env", "by-volume"] {
        ensure!(exit_of(&ended(&namespace, name).await?)?.0 == 0, "{name}");
    }
    Ok(())
}

pub(crate) async fn unsupported_fields_are_named(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let mut probe = once("probe", &image, &["sleep 1h"]);
    probe["spec"]["containers"][0]["livenessProbe"] = json!({ "exec": { "command": ["true"] } });
    namespace.apply(&probe).await?;
    let (_, message) = waiting(&namespace, "probe", &["CreateContainerConfigError"]).await?;
    ensure!(message.contains("livenessProbe") && message.contains("not supported"), "{message}");
    event(&namespace, "probe", "Failed", "livenessProbe").await?;
    namespace.kubectl().ok(&["delete", "pod", "probe", "--timeout=30s"]).await?;
    Ok(())
}
