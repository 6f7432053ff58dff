//! What the agent says of itself, asked often and with little effort.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{sleep, timeout};

use crate::stage::{NAMESPACE, Stage};

const NAME: &str = "bench";
/// Between two questions; also how exact the times are.
const PAUSE: Duration = Duration::from_millis(10);
/// An agent that does not answer is asked again.
const ANSWER: Duration = Duration::from_secs(10);
/// A thousand pods on a busy machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// Somebody who may read the metrics of a node, straight at its port.
pub(super) struct View {
    client: reqwest::Client,
    token: String,
    url: String,
}

// === impl View ===

impl View {
    pub(super) async fn open(stage: &Stage) -> Result<Self> {
        let kubectl = stage.cluster.kubectl().in_namespace(NAMESPACE);
        let resources = "--resource=nodes/metrics,nodes/healthz";
        let account = format!("--serviceaccount={NAMESPACE}:{NAME}");
        kubectl.ok(&["create", "serviceaccount", NAME]).await?;
        kubectl.ok(&["create", "clusterrole", NAME, "--verb=get", resources]).await?;
        kubectl.ok(&["create", "clusterrolebinding", NAME, "--clusterrole", NAME, &account]).await?;
        let token = kubectl.ok(&["create", "token", NAME, "--duration=4h"]).await?.trim().to_owned();
        // The agent's certificate is its own.
        let client = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy().timeout(ANSWER);
        Ok(Self { client: client.build()?, token, url: stage.agent.url() })
    }

    /// Until so many pods have a worker and are running.
    pub(super) async fn wait_for(&self, pods: usize) -> Result<()> {
        self.until(&format!("{pods} pods running"), "/metrics", |page| {
            let (workers, running) =
                (value(page, "wasmnode_pod_workers ")?, value(page, "wasmnode_pods{phase=\"Running\"} ")?);
            ensure!(workers == pods && running == pods, "{workers} workers, {running} pods running");
            Ok(())
        })
        .await
    }

    /// Until callers are let in and told that all is well.
    pub(super) async fn wait_until_serving(&self) -> Result<()> {
        self.until("an agent that serves", "/healthz", |_| Ok(())).await
    }

    async fn until(&self, what: &str, path: &str, is_so: impl Fn(&str) -> Result<()>) -> Result<()> {
        let mut last = None;
        let asking = async {
            loop {
                match self.get(path).await.and_then(|page| is_so(&page)) {
                    Ok(()) => return,
                    Err(error) => last = Some(error),
                }
                sleep(PAUSE).await;
            }
        };
        let outcome = timeout(PATIENCE, asking).await;
        outcome.with_context(|| format!("{what}: not within {PATIENCE:?}: {last:?}"))
    }

    async fn get(&self, path: &str) -> Result<String> {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let response = request.send().await?.error_for_status()?;
        Ok(response.text().await?)
    }
}

/// A sample that is not there is zero.
fn value(page: &str, sample: &str) -> Result<usize> {
    let found = page.lines().find_map(|line| line.strip_prefix(sample));
    found.map_or(Ok(0), |text| text.trim().parse().with_context(|| format!("{sample}{text}")))
}
