//! The controllers' work: Deployments, Jobs, DaemonSets, and containers that fail.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;
use wasmnode_tests::{eventually::eventually, registry::Artifact, suite::Scene};

use crate::support::{
    PATIENCE, container, ended, event, exit_of, merged, node_events, once, phase, pod, restarts, running, spec, tool,
    waiting, waiting_of,
};

fn deployment(image: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": spec(json!([container("main", image, &["print up", "sleep 1h"])]), json!({})),
            },
        },
    })
}

pub(crate) async fn a_deployment_becomes_available_and_rolls(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&deployment(&image, 3)).await?;
    namespace.kubectl().ok(&["rollout", "status", "deployment/web", "--timeout=60s"]).await?;
    let next = scene.push("tool-2", &Artifact::krustlet(wasmnode_tests::guests::tool()?)).await?;
    namespace.kubectl().ok(&["set", "image", "deployment/web", &format!("main={next}")]).await?;
    namespace.kubectl().ok(&["rollout", "status", "deployment/web", "--timeout=60s"]).await?;
    eventually(PATIENCE, "only pods of the new image", || async {
        let images = namespace
            .kubectl()
            .ok(&["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[0].image}"])
            .await?;
        ensure!(images.split(' ').collect::<Vec<_>>() == [next.as_str(); 3], "{images}");
        Ok(())
    })
    .await
}

pub(crate) async fn a_job_completes_once(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let template = spec(json!([container("main", &image, &["print done"])]), json!({ "restartPolicy": "OnFailure" }));
    namespace
        .apply(&json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "job" },
            "spec": { "completions": 3, "parallelism": 2, "template": { "spec": template } },
        }))
        .await?;
    namespace.kubectl().ok(&["wait", "--for=condition=complete", "job/job", "--timeout=60s"]).await?;
    let counts = ["get", "job", "job", "-o", "jsonpath={.status.succeeded} {.status.failed}"];
    ensure!(namespace.kubectl().ok(&counts).await?.trim() == "3");
    let pods = namespace.pods().list(&kube::api::ListParams::default()).await?.items;
    ensure!(pods.len() == 3 && pods.iter().all(|pod| restarts(pod) == 0), "{}", pods.len());
    Ok(())
}

pub(crate) async fn a_crash_loop_shows_and_recovers(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace
        .apply(&pod("crash", None, json!([container("main", &image, &["print try", "exit 3"])]), json!({})))
        .await?;
    let (_, message) = waiting(&namespace, "crash", &["CrashLoopBackOff"]).await?;
    let uid = namespace.pods().get("crash").await?.metadata.uid.unwrap_or_default();
    let text = format!("restarting failed container=main pod=crash_{}({uid})", namespace.name());
    ensure!(message == format!("back-off 10s {text}"), "{message}");
    event(&namespace, "crash", "BackOff", "Back-off restarting failed container main in pod").await?;
    let previous = namespace.kubectl().ok(&["logs", "crash", "--previous"]).await?;
    ensure!(previous == "try\n", "{previous}");

    // Another image starts the count of the back-off anew, and this one works.
    let good = scene.push("sleeper", &Artifact::cncf(wasmnode_tests::guests::wat("sleeper")?)).await?;
    namespace.kubectl().ok(&["set", "image", "pod/crash", &format!("main={good}")]).await?;
    let pod = crate::support::wait_for(&namespace, "crash", "Running again", |pod| {
        crate::support::first(pod).is_some_and(|status| status.ready)
    })
    .await?;
    ensure!(restarts(&pod) >= 2, "{}", restarts(&pod));
    Ok(())
}

pub(crate) async fn restart_policies_hold(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    for policy in ["Always", "OnFailure", "Never"] {
        let more = json!({ "restartPolicy": policy });
        let name = policy.to_lowercase();
        namespace.apply(&pod(&name, None, json!([container("main", &image, &["exit 0"])]), more)).await?;
    }
    for policy in ["onfailure", "never"] {
        let pod = ended(&namespace, policy).await?;
        ensure!(phase(&pod) == "Succeeded" && restarts(&pod) == 0, "{policy}");
    }
    crate::support::wait_for(&namespace, "always", "restarted", |pod| restarts(pod) >= 1).await?;
    Ok(())
}

pub(crate) async fn deleting_a_sleeping_pod_takes_no_grace(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let more = json!({ "terminationGracePeriodSeconds": 120 });
    let mut object = pod("sleeps", None, json!([container("main", &image, &["sleep 1h"])]), more);
    // Kept by a finalizer, so that its last status can be read.
    object["metadata"]["finalizers"] = json!(["wasmnode.dev/test"]);
    namespace.apply(&object).await?;
    running(&namespace, "sleeps").await?;
    namespace.kubectl().ok(&["delete", "pod", "sleeps", "--wait=false"]).await?;
    let pod = ended(&namespace, "sleeps").await?;
    ensure!(exit_of(&pod)? == (143, "Error".to_owned()), "{:?}", exit_of(&pod)?);
    event(&namespace, "sleeps", "Killing", "Stopping container main").await?;
    namespace
        .kubectl()
        .ok(&["patch", "pod", "sleeps", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#])
        .await?;
    eventually(PATIENCE, "the pod gone", || async {
        ensure!(namespace.pods().get_opt("sleeps").await?.is_none());
        Ok(())
    })
    .await
}

pub(crate) async fn a_foreign_daemonset_pod_stays_one_pending_pod(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let namespace = scene.namespace().await?;
    let image = scene.push("linux", &Artifact::linux()).await?;
    let template = json!({
        "metadata": { "labels": { "app": "ds" } },
        "spec": {
            "tolerations": [{ "operator": "Exists" }],
            "nodeSelector": { "kubernetes.io/hostname": "wasm-1" },
            "containers": [{ "name": "main", "image": image }],
        },
    });
    namespace
        .apply(&json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "ds" },
            "spec": { "selector": { "matchLabels": { "app": "ds" } }, "template": template },
        }))
        .await?;
    let pods = namespace.pods();
    let of_set = kube::api::ListParams::default().labels("app=ds");
    let before = eventually(PATIENCE, "a pod that waits for its image", || async {
        let list = pods.list(&of_set).await?;
        let [pod] = list.items.as_slice() else { anyhow::bail!("{} pods", list.items.len()) };
        let (reason, message) = waiting_of(pod).unwrap_or_default();
        ensure!(reason == "ImagePullBackOff", "{reason}: {message}");
        ensure!(message.contains("is for linux/amd64, not WebAssembly"), "{message}");
        Ok(pod.clone())
    })
    .await?;
    sleep(Duration::from_secs(130)).await;
    let after = pods.list(&of_set).await?.items;
    ensure!(after.len() == 1 && after[0].metadata.uid == before.metadata.uid, "{} pods", after.len());
    ensure!(phase(&after[0]) == "Pending");
    let events = node_events(&namespace, &before.metadata.name.unwrap_or_default()).await?;
    let total: i32 = events.iter().map(|event| event.count.unwrap_or(1)).sum();
    ensure!(total == 1, "{events:?}");
    Ok(())
}

pub(crate) async fn pods_whose_names_run_together_do_not_collide(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let image = tool(&scene).await?;
    let pairs = [("a-b", "c"), ("a", "b-c")];
    let mut namespaces = Vec::new();
    for (namespace, name) in pairs {
        let namespace = scene.namespace_named(namespace).await?;
        let text = format!("print {}/{name}", namespace.name());
        namespace.apply(&once(name, &image, &[&text, "write /mine x", "ls /"])).await?;
        namespaces.push(namespace);
    }
    for (namespace, (_, name)) in namespaces.iter().zip(pairs) {
        ended(namespace, name).await?;
        let log = crate::support::logs(namespace, name).await?;
        ensure!(log.starts_with(&format!("{}/{name}\n", namespace.name())), "{log}");
    }
    Ok(())
}

pub(crate) async fn a_pod_that_does_not_fit_is_refused(scene: Scene) -> Result<()> {
    let agent = scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let mut big = once("big", &image, &["exit 0"]);
    big["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "1000" } });
    // Past the scheduler, which would not have bound it.
    big["spec"] = merged(big["spec"].clone(), json!({ "nodeName": agent.node().name }));
    namespace.apply(&big).await?;
    let pod = ended(&namespace, "big").await?;
    let status = pod.status.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("OutOfcpu"), "{status:?}");
    let message = status.message.unwrap_or_default();
    let start = "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: ";
    ensure!(message.starts_with(start), "{message}");
    event(&namespace, "big", "OutOfcpu", "Node didn't have enough resource: cpu").await
}
