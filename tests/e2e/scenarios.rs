//! What Krustlet's users could do, and did: its test scenarios, on a real scheduler.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::PostParams};
use serde_json::json;
use wasmnode_tests::suite::Scene;

use crate::support::{container, ended, exit_of, logs, once, pod, running, tool};

pub(crate) async fn the_node_says_what_it_is(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let node = Api::<Node>::all(scene.cluster().await?.client()).get("wasm-1").await?;
    let label = |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
    ensure!(label("kubernetes.io/arch").as_deref() == Some("wasm32-wasi"), "{:?}", node.metadata.labels);
    ensure!(label("kubernetes.io/os").as_deref() == Some("wasi"));
    ensure!(label("kubernetes.io/hostname").as_deref() == Some("wasm-1"));
    ensure!(label("node.kubernetes.io/exclude-from-external-load-balancers").is_some());

    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    for effect in ["NoSchedule", "NoExecute"] {
        let is = |taint: &k8s_openapi::api::core::v1::Taint| {
            taint.key == "kubernetes.io/arch" && taint.effect == effect && taint.value.as_deref() == Some("wasm32-wasi")
        };
        ensure!(taints.iter().any(is), "no {effect} taint in {taints:?}");
    }

    let status = node.status.context("no status")?;
    let info = status.node_info.context("no nodeInfo")?;
    ensure!((info.operating_system.as_str(), info.architecture.as_str()) == ("wasi", "wasm32"), "{info:?}");
    ensure!(info.container_runtime_version.starts_with("wasmtime://48."), "{}", info.container_runtime_version);
    ensure!(info.kubelet_version.starts_with("v1.36."), "{}", info.kubelet_version);
    for resource in ["cpu", "memory", "pods", "ephemeral-storage"] {
        ensure!(status.capacity.as_ref().is_some_and(|capacity| capacity.contains_key(resource)), "no {resource}");
        ensure!(status.allocatable.as_ref().is_some_and(|allocatable| allocatable.contains_key(resource)));
    }
    let conditions = status.conditions.unwrap_or_default();
    ensure!(conditions.last().is_some_and(|last| last.type_ == "Ready" && last.status == "True"), "{conditions:?}");
    Ok(())
}

pub(crate) async fn config_maps_and_secrets_are_files(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&config_map()).await?;
    namespace.apply(&secret()).await?;
    let steps = ["read /cm/a", "read /cm/b", "read /cm/c", "read /s/user", "read /s/pass", "read /s/key"];
    let mut object = once("multi", &image, &steps);
    object["spec"]["volumes"] = json!([
        { "name": "cm", "configMap": { "name": "three" } },
        { "name": "s", "secret": { "secretName": "three" } },
    ]);
    object["spec"]["containers"][0]["volumeMounts"] =
        json!([{ "name": "cm", "mountPath": "/cm" }, { "name": "s", "mountPath": "/s" }]);
    namespace.apply(&object).await?;
    let pod = ended(&namespace, "multi").await?;
    ensure!(exit_of(&pod)? == (0, "Completed".to_owned()), "{}", logs(&namespace, "multi").await?);
    let log = logs(&namespace, "multi").await?;
    for value in ["value-a", "value-b", "value-c", "alice", "hunter2", "k3y"] {
        ensure!(log.contains(value), "no {value} in {log}");
    }
    Ok(())
}

pub(crate) async fn chosen_items_appear_under_their_paths(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&config_map()).await?;
    let steps = ["read /cm/renamed", "read /cm/deep/er/b", "absent /cm/a", "absent /cm/c", "absent /none/x"];
    let mut object = once("items", &image, &steps);
    object["spec"]["volumes"] = json!([
        { "name": "cm", "configMap": { "name": "three", "items": [
            { "key": "a", "path": "renamed" }, { "key": "b", "path": "deep/er/b" } ] } },
        { "name": "none", "secret": { "secretName": "absent", "optional": true } },
    ]);
    object["spec"]["containers"][0]["volumeMounts"] =
        json!([{ "name": "cm", "mountPath": "/cm" }, { "name": "none", "mountPath": "/none" }]);
    namespace.apply(&object).await?;
    let pod = ended(&namespace, "items").await?;
    let log = logs(&namespace, "items").await?;
    ensure!(exit_of(&pod)?.0 == 0, "{log}");
    ensure!(log.contains("value-a") && log.contains("value-b"), "{log}");
    Ok(())
}

pub(crate) async fn arguments_and_environment_arrive(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&config_map()).await?;
    namespace.apply(&secret()).await?;
    let mut object = once("args", &image, &["args", "env", "--", "arg1", "say $(GREETING)"]);
    object["spec"]["containers"][0]["env"] = json!([
        { "name": "GREETING", "value": "hi $(USER_NAME) $(NOT_SET) $$(X)" },
        { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
        { "name": "PASS", "valueFrom": { "secretKeyRef": { "name": "three", "key": "pass" } } },
        { "name": "A", "valueFrom": { "configMapKeyRef": { "name": "three", "key": "a" } } },
        { "name": "MEM", "valueFrom": { "resourceFieldRef": { "resource": "limits.memory", "divisor": "1Mi" } } },
    ]);
    object["spec"]["containers"][0]["envFrom"] = json!([{ "prefix": "S_", "secretRef": { "name": "three" } }]);
    object["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": "64Mi" } });
    object["spec"]["containers"][0]["env"]
        .as_array_mut()
        .context("env")?
        .insert(0, json!({ "name": "USER_NAME", "value": "bob" }));
    namespace.apply(&object).await?;
    ended(&namespace, "args").await?;
    let log = logs(&namespace, "args").await?;
    let wanted = [
        "\"tool.wasm\",\"args\",\"env\",\"--\",\"arg1\",\"say hi bob $(NOT_SET) $(X)\"",
        "GREETING=hi bob $(NOT_SET) $(X)",
        "POD=args",
        "PASS=hunter2",
        "A=value-a",
        "MEM=64",
        "S_user=alice",
        "HOSTNAME=args",
        "KUBERNETES_SERVICE_HOST=10.96.0.1",
    ];
    for line in wanted {
        ensure!(log.replace("\", \"", "\",\"").contains(line), "no {line} in {log}");
    }
    Ok(())
}

pub(crate) async fn each_container_has_its_own_log(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let containers = json!([container("one", &image, &["print eins"]), container("two", &image, &["print zwei"])]);
    namespace.apply(&pod("pair", None, containers, json!({ "restartPolicy": "Never" }))).await?;
    ended(&namespace, "pair").await?;
    for (name, text) in [("one", "eins\n"), ("two", "zwei\n")] {
        let log = namespace.kubectl().ok(&["logs", "pair", "-c", name]).await?;
        ensure!(log == text, "{name}: {log}");
    }
    Ok(())
}

pub(crate) async fn a_failing_step_fails_the_pod(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&once("fails", &image, &["exists /not/here"])).await?;
    let pod = ended(&namespace, "fails").await?;
    ensure!(exit_of(&pod)? == (1, "Error".to_owned()));
    ensure!(pod.status.and_then(|status| status.phase).as_deref() == Some("Failed"));
    let log = logs(&namespace, "fails").await?;
    ensure!(log.contains("ERR:"), "{log}");
    Ok(())
}

pub(crate) async fn exit_codes_are_what_the_guest_says(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let cases =
        [("exit 0", 0, "Completed"), ("exit 7", 7, "Error"), ("exit 200", 200, "Error"), ("trap", 134, "Error")];
    for (index, (step, ..)) in cases.iter().enumerate() {
        namespace.apply(&once(&format!("code-{index}"), &image, &[step])).await?;
    }
    for (index, (step, code, reason)) in cases.iter().enumerate() {
        let pod = ended(&namespace, &format!("code-{index}")).await?;
        ensure!(exit_of(&pod)? == (*code, (*reason).to_owned()), "{step}: {:?}", exit_of(&pod)?);
    }
    let trapped = namespace.pods().get("code-3").await?;
    let message = crate::support::first(&trapped).and_then(|status| status.state.clone()?.terminated?.message);
    ensure!(message.as_deref().is_some_and(|text| text.contains("wasm")), "no backtrace in {message:?}");

    let mut hungry = once("hungry", &image, &["alloc 256"]);
    hungry["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": "64Mi" } });
    namespace.apply(&hungry).await?;
    let pod = ended(&namespace, "hungry").await?;
    ensure!(exit_of(&pod)? == (137, "OOMKilled".to_owned()), "{:?}", exit_of(&pod)?);
    Ok(())
}

pub(crate) async fn the_service_account_token_is_valid(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&config_map()).await?;
    namespace.apply(&secret()).await?;
    let steps = [
        "read /var/run/secrets/kubernetes.io/serviceaccount/token",
        "print",
        "read /all/token",
        "print",
        "read /all/a",
        "read /all/user",
        "read /all/name",
        "read /all/labels",
        "print",
        "sleep 1h",
    ];
    let mut object = once("projected", &image, &steps);
    object["metadata"]["labels"] = json!({ "app": "p" });
    object["spec"]["volumes"] = json!([{ "name": "all", "projected": { "sources": [
        { "serviceAccountToken": { "path": "token", "audience": "vault", "expirationSeconds": 900 } },
        { "configMap": { "name": "three" } },
        { "secret": { "name": "three" } },
        { "downwardAPI": { "items": [
            { "path": "name", "fieldRef": { "fieldPath": "metadata.name" } },
            { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } } ] } },
    ] } }]);
    object["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "all", "mountPath": "/all" }]);
    namespace.apply(&object).await?;
    running(&namespace, "projected").await?;
    let log = wasmnode_tests::eventually::eventually(crate::support::PATIENCE, "the files' content", || async {
        let log = logs(&namespace, "projected").await?;
        ensure!(log.contains("app=\"p\""), "{log}");
        Ok(log)
    })
    .await?;
    for value in ["value-a", "alice", "projected"] {
        ensure!(log.contains(value), "no {value} in {log}");
    }
    let mut tokens = log.lines().filter(|line| line.starts_with("ey"));
    let user = format!("system:serviceaccount:{}:default", namespace.name());
    ensure!(review(&scene, tokens.next().context("no default token")?, None).await? == Some(user.clone()));
    ensure!(review(&scene, tokens.next().context("no token of our own")?, Some("vault")).await? == Some(user));
    Ok(())
}

async fn review(scene: &Scene, token: &str, audience: Option<&str>) -> Result<Option<String>> {
    let reviews = Api::<TokenReview>::all(scene.cluster().await?.client());
    let spec =
        TokenReviewSpec { token: token.to_owned(), audiences: audience.map(|audience| vec![audience.to_owned()]) };
    let review = reviews.create(&PostParams::default(), &TokenReview { spec, ..TokenReview::default() }).await?;
    let status = review.status.context("no status")?;
    Ok(status.user.and_then(|user| user.username).filter(|_| status.authenticated == Some(true)))
}

fn config_map() -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "three" },
        "data": { "a": "value-a\n", "b": "value-b\n", "c": "value-c\n" } })
}

fn secret() -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "three" },
        "stringData": { "user": "alice", "pass": "hunter2", "key": "k3y" } })
}
