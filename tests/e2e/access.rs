//! Who may do what: callers of the agent's port, and the agent itself.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Command;
use wasmnode_tests::{kubectl::Kubectl, paths, suite::Scene};

use crate::support::{ended, once, tool};

/// Status and body of a request with kubectl's own HTTP client, straight to the agent's port.
async fn ask(scene: &Scene, token: Option<&str>, path: &str) -> Result<(bool, String)> {
    let url = scene.agent().await?.url();
    let empty = scene.world().scratch().join("nobody.kubeconfig");
    std::fs::write(&empty, r#"{"apiVersion":"v1","kind":"Config"}"#)?;
    let mut arguments = vec!["--server", url.as_str(), "--insecure-skip-tls-verify", "get", "--raw", path];
    if let Some(token) = token {
        arguments.extend(["--token", token]);
    }
    let output = Kubectl::new(&empty).run(&arguments).await?;
    Ok((output.code == Some(0), output.stdout + &output.stderr))
}

pub(crate) async fn nobody_is_served_without_a_name_and_a_right(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let namespace = scene.namespace().await?;
    namespace.kubectl().ok(&["create", "serviceaccount", "visitor"]).await?;
    let token = namespace.kubectl().ok(&["create", "token", "visitor"]).await?;
    for path in ["/healthz", "/pods", "/metrics", "/containerLogs/a/b/c", "/nothing"] {
        let (served, text) = ask(&scene, None, path).await?;
        ensure!(!served && text.contains("Unauthorized"), "{path} without credentials: {text}");
        let (served, text) = ask(&scene, Some("not.a.token"), path).await?;
        ensure!(!served && text.contains("Unauthorized"), "{path} with a bad token: {text}");
        let (served, text) = ask(&scene, Some(token.trim()), path).await?;
        ensure!(!served && text.contains("Forbidden"), "{path} without a right: {text}");
    }

    let role = format!("visitor-{}", namespace.name());
    let account = format!("{}:visitor", namespace.name());
    let kubectl = scene.cluster().await?.kubectl();
    kubectl.ok(&["create", "clusterrole", &role, "--verb=get", "--resource=nodes/metrics"]).await?;
    kubectl
        .ok(&["create", "clusterrolebinding", &role, "--clusterrole", &role, &format!("--serviceaccount={account}")])
        .await?;
    // A refusal is remembered for 30 seconds.
    wasmnode_tests::eventually::eventually(Duration::from_secs(60), "metrics for the visitor", || async {
        let (served, text) = ask(&scene, Some(token.trim()), "/metrics").await?;
        ensure!(served && text.contains("# TYPE"), "{text}");
        Ok(())
    })
    .await?;
    let (served, text) = ask(&scene, Some(token.trim()), "/pods").await?;
    ensure!(!served && text.contains("Forbidden"), "{text}");
    kubectl.ok(&["delete", "clusterrole,clusterrolebinding", &role]).await?;
    Ok(())
}

pub(crate) async fn the_agent_reads_only_secrets_that_its_pods_name(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let namespace = scene.namespace().await?;
    for name in ["named", "unnamed"] {
        let secret =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { "k": "v" } });
        namespace.apply(&secret).await?;
    }
    let mut object = once("names-one", &tool(&scene).await?, &["exit 0"]);
    object["spec"]["containers"][0]["envFrom"] = json!([{ "secretRef": { "name": "named" } }]);
    namespace.apply(&object).await?;
    ended(&namespace, "names-one").await?;
    let node = Kubectl::new(&scene.cluster().await?.node_kubeconfig("wasm-1")).in_namespace(namespace.name());
    node.ok(&["get", "secret", "named"]).await?;
    let denied = node.run(&["get", "secret", "unnamed"]).await?;
    ensure!(denied.code != Some(0) && denied.stderr.contains("forbidden"), "{}", denied.stderr);
    let denied = node.run(&["get", "secrets"]).await?;
    ensure!(denied.code != Some(0) && denied.stderr.contains("forbidden"), "{}", denied.stderr);
    Ok(())
}

/// Runs the agent with arguments that cannot work and returns exit code and standard error.
async fn fails(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(paths::wasmnode()?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await.context("it goes on")??;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

pub(crate) async fn bad_settings_are_one_line_and_an_exit_code(scene: Scene) -> Result<()> {
    let scratch = scene.world().scratch().join("bad-settings");
    std::fs::create_dir_all(&scratch)?;
    let path = |name: &str| scratch.join(name).display().to_string();
    let root = path("root");

    let (code, error) = fails(&["agent", "--kubeconfig", &path("none"), "--root-dir", &root]).await?;
    ensure!(code == Some(2) && error.trim().lines().count() == 1 && error.contains("none"), "{code:?} {error}");

    std::fs::write(path("broken"), "clusters: [")?;
    let (code, error) = fails(&["agent", "--kubeconfig", &path("broken"), "--root-dir", &root]).await?;
    ensure!(code == Some(2) && error.trim().lines().count() == 1 && error.contains("broken"), "{code:?} {error}");

    std::fs::write(path("config.yaml"), "maxPods: 10\nmaxPodz: 11\n")?;
    let (code, error) = fails(&["config", "show", "--config", &path("config.yaml")]).await?;
    ensure!(code == Some(2) && error.contains("maxPodz") && error.contains("line 2"), "{code:?} {error}");
    Ok(())
}

pub(crate) async fn a_second_agent_on_one_root_directory_says_so(scene: Scene) -> Result<()> {
    let agent = scene.agent().await?;
    let kubeconfig = scene.cluster().await?.node_kubeconfig("wasm-1").display().to_string();
    let root = agent.root().display().to_string();
    let (code, error) = fails(&["agent", "--kubeconfig", &kubeconfig, "--root-dir", &root]).await?;
    let id = agent.id().context("no process")?.to_string();
    ensure!(code.is_some_and(|code| code != 0) && error.contains(&root) && error.contains(&id), "{code:?} {error}");
    Ok(())
}
