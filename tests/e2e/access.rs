//! Who may do what: callers of the agent's port, and the agent itself.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Command;
use wasmnode_tests::{kubectl::Kubectl, paths, suite::Scene};

use crate::support::{ended, once, tool};

/// Status and body of a request straight to the agent's port.
async fn ask(scene: &Scene, token: Option<&str>, path: &str) -> Result<(u16, String)> {
    // The agent's certificate is its own.
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy().build()?;
    let mut request = client.get(format!("{}{path}", scene.agent().await?.url()));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

pub(crate) async fn nobody_is_served_without_a_name_and_a_right(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let namespace = scene.namespace().await?;
    namespace.kubectl().ok(&["create", "serviceaccount", "visitor"]).await?;
    let token = namespace.kubectl().ok(&["create", "token", "visitor"]).await?;
    for path in ["/healthz", "/pods", "/metrics", "/containerLogs/a/b/c", "/nothing"] {
        let (status, text) = ask(&scene, None, path).await?;
        ensure!(status == 401 && text == "Unauthorized", "{path} without credentials: {status} {text}");
        let (status, text) = ask(&scene, Some("not.a.token"), path).await?;
        ensure!(status == 401 && text == "Unauthorized", "{path} with a bad token: {status} {text}");
        let (status, text) = ask(&scene, Some(token.trim()), path).await?;
        let user = format!("Forbidden (user=system:serviceaccount:{}:visitor, verb=get", namespace.name());
        ensure!(status == 403 && text.starts_with(&user), "{path} without a right: {status} {text}");
    }

    let role = format!("visitor-{}", namespace.name());
    let account = format!("{}:visitor", namespace.name());
    let kubectl = scene.cluster().await?.kubectl();
    kubectl.ok(&["create", "clusterrole", &role, "--verb=get", "--resource=nodes/metrics"]).await?;
    kubectl
        .ok(&["create", "clusterrolebinding", &role, "--clusterrole", &role, &format!("--serviceaccount={account}")])
        .await?;
    // A refusal is remembered for 30 seconds.
    let asking = wasmnode_tests::eventually::eventually(Duration::from_secs(60), "metrics for the visitor", || async {
        let (status, text) = ask(&scene, Some(token.trim()), "/metrics").await?;
        ensure!(status == 200 && text.contains("# TYPE"), "{status} {text}");
        Ok(())
    });
    Box::pin(asking).await?;
    let (status, text) = ask(&scene, Some(token.trim()), "/pods").await?;
    ensure!(status == 403, "{status} {text}");
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
    let (code, error) =
        fails(&["agent", "--kubeconfig", &kubeconfig, "--root-dir", &root, "--node-ip", "172.30.0.2"]).await?;
    let id = agent.id().context("no process")?.to_string();
    ensure!(code.is_some_and(|code| code != 0) && error.contains(&root) && error.contains(&id), "{code:?} {error}");
    Ok(())
}

pub(crate) async fn an_agent_without_rights_says_which_and_goes_on(scene: Scene) -> Result<()> {
    let namespace = scene.namespace().await?;
    namespace.kubectl().ok(&["create", "serviceaccount", "stranger"]).await?;
    let token = namespace.kubectl().ok(&["create", "token", "stranger"]).await?;
    let scratch = scene.world().scratch().join("stranger");
    std::fs::create_dir_all(&scratch)?;
    let path = |name: &str| scratch.join(name).display().to_string();
    let cluster = scene.cluster().await?;
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        "clusters": [{ "name": "c", "cluster": {
            "server": cluster.server(), "certificate-authority": cluster.certificate_authority() } }],
        "users": [{ "name": "u", "user": { "token": token.trim() } }],
    });
    std::fs::write(path("kubeconfig"), kubeconfig.to_string())?;
    let config = json!({ "podLogsDir": path("logs"), "containerLinksDir": path("links"), "runDirectory": path("run"),
        "address": "172.30.0.1" });
    std::fs::write(path("config"), config.to_string())?;
    let log = scratch.join("log");
    let mut child = Command::new(paths::wasmnode()?)
        .args(["agent", "--kubeconfig", &path("kubeconfig"), "--config", &path("config"), "--root-dir", &path("root")])
        .args(["--node-ip", "172.30.0.1", "--hostname-override", "stranger"])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&log)?)
        .stderr(std::fs::OpenOptions::new().append(true).open(&log)?)
        .kill_on_drop(true)
        .spawn()?;
    let patience = Duration::from_secs(60);
    wasmnode_tests::eventually::eventually(patience, "what is missing in the log", || async {
        let text = std::fs::read_to_string(&log)?;
        ensure!(text.contains("resource \"nodes\"") && text.contains("group system:nodes"), "{text}");
        Ok(())
    })
    .await?;
    ensure!(child.try_wait()?.is_none(), "it has ended");
    child.kill().await?;
    Ok(())
}
