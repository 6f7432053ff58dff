#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::testing::{Answer, FakeApi, Seen, pod, pod_ref};

/// An API server with pods by name: patches replace top-level status fields, each change has a new version.
#[derive(Default)]
struct Server {
    pods: BTreeMap<String, Value>,
    log: Vec<String>,
    version: u64,
    away: bool,
}

type SharedServer = Arc<Mutex<Server>>;

impl Server {
    fn answer(&mut self, request: &Seen) -> Answer {
        if self.away {
            return Answer::status(500, "away");
        }
        let name = request.path.trim_end_matches("/status").rsplit('/').next().unwrap().to_owned();
        let phase = request.body["status"]["phase"].as_str().unwrap_or_default();
        self.log.push(format!("{} {name} {phase}", request.method).trim_end().to_owned());
        let Some(pod) = self.pods.get_mut(&name) else { return Answer::status(404, "not found") };
        let uid = request.body["metadata"]["uid"].as_str().or_else(|| request.body["preconditions"]["uid"].as_str());
        if uid.is_some_and(|uid| pod["metadata"]["uid"] != uid) {
            return Answer::status(409, "the UID in the precondition does not match");
        }
        match request.method.as_str() {
            "GET" => Answer::ok(pod.clone()),
            "PATCH" => {
                self.version += 1;
                merge(pod, &request.body, self.version);
                Answer::ok(pod.clone())
            }
            _ => Answer::ok(self.pods.remove(&name).unwrap()),
        }
    }
}

fn merge(pod: &mut Value, body: &Value, version: u64) {
    pod["metadata"]["resourceVersion"] = json!((version + 1).to_string());
    for (key, value) in body["status"].as_object().unwrap() {
        pod["status"][key] = value.clone();
    }
}

struct Setup {
    server: SharedServer,
    writer: StatusWriter,
    metrics: Arc<ClusterMetrics>,
    shutdown: CancellationToken,
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Setup {
    fn new(pods: &[Pod]) -> Self {
        let server: SharedServer = Arc::default();
        let by_name = pods.iter().map(|pod| (pod.metadata.name.clone().unwrap(), serde_json::to_value(pod).unwrap()));
        server.lock().unwrap().pods.extend(by_name);
        let handler = server.clone();
        let fake = FakeApi::new(move |request| handler.lock().unwrap().answer(&request));
        let metrics = Arc::new(ClusterMetrics::default());
        let writer = StatusWriter::new(fake.client(), metrics.clone());
        for pod in pods {
            writer.observe(Arc::new(pod.clone()));
        }
        let shutdown = CancellationToken::new();
        let (task, token) = (writer.clone(), shutdown.clone());
        tokio::spawn(async move { task.run(token).await });
        Self { server, writer, metrics, shutdown }
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.server.lock().unwrap().log)
    }

    fn set(&self, name: &str, phase: &str) {
        self.writer.set(&pod_ref(name, name), phase_of(phase));
    }
}

fn phase_of(phase: &str) -> PodStatus {
    PodStatus { phase: Some(phase.to_owned()), ..PodStatus::default() }
}

fn deleted(name: &str) -> Pod {
    let mut pod = pod(name, name);
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
    pod
}

#[tokio::test(start_paused = true)]
async fn a_status_is_sent_once_and_at_once() {
    let setup = Setup::new(&[pod("p", "p")]);
    let start = Instant::now();
    setup.set("p", "Running");
    setup.set("p", "Running");
    setup.writer.settled().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    setup.set("p", "Running");
    setup.writer.settled().await;
    assert_eq!(setup.log(), ["PATCH p Running"]);
}

#[tokio::test(start_paused = true)]
async fn without_the_api_server_the_newest_state_is_kept() {
    let setup = Setup::new(&[pod("p", "p"), pod("q", "q")]);
    setup.server.lock().unwrap().away = true;
    for phase in ["Pending", "Running", "Succeeded"] {
        setup.set("p", phase);
        setup.set("q", phase);
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    setup.server.lock().unwrap().away = false;
    setup.writer.settled().await;
    let mut log = setup.log();
    log.sort();
    assert_eq!(log, ["PATCH p Succeeded", "PATCH q Succeeded"]);
    assert!(setup.metrics.status_errors.get() >= 6);
}

#[tokio::test(start_paused = true)]
async fn the_last_status_comes_before_the_delete() {
    let setup = Setup::new(&[deleted("p"), pod("job", "job")]);
    setup.set("p", "Failed");
    setup.writer.release(&pod_ref("p", "p"));
    setup.set("job", "Succeeded");
    setup.writer.release(&pod_ref("job", "job"));
    setup.writer.settled().await;
    let mut log = setup.log();
    log.sort();
    assert_eq!(log, ["DELETE p", "PATCH job Succeeded", "PATCH p Failed"]);
    assert_eq!(setup.metrics.pod_deletes.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_delete_is_repeated_without_the_status() {
    let setup = Setup::new(&[deleted("p")]);
    setup.set("p", "Failed");
    setup.writer.settled().await;
    setup.server.lock().unwrap().away = true;
    setup.writer.release(&pod_ref("p", "p"));
    tokio::time::sleep(Duration::from_secs(5)).await;
    setup.server.lock().unwrap().away = false;
    setup.writer.settled().await;
    assert_eq!(setup.log(), ["PATCH p Failed", "DELETE p"]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_another_uid_is_left_alone() {
    let setup = Setup::new(&[deleted("p")]);
    setup.server.lock().unwrap().pods.get_mut("p").unwrap()["metadata"]["uid"] = json!("other");
    setup.set("p", "Failed");
    setup.writer.release(&pod_ref("p", "p"));
    setup.writer.settled().await;
    assert_eq!(setup.log(), ["PATCH p Failed", "GET p"]);
    assert!(setup.server.lock().unwrap().pods.contains_key("p"));
    setup.writer.set(&pod_ref("gone", "gone"), phase_of("Failed"));
    setup.writer.settled().await;
    assert_eq!(setup.log(), ["GET gone"]);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_pod_is_not_written_to() {
    let setup = Setup::new(&[pod("p", "p")]);
    setup.server.lock().unwrap().away = true;
    setup.set("p", "Running");
    tokio::time::sleep(Duration::from_secs(1)).await;
    setup.writer.forget(&pod_ref("p", "p"));
    setup.writer.settled().await;
    setup.server.lock().unwrap().away = false;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(setup.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_others_overwrite_is_put_right() {
    let setup = Setup::new(&[pod("p", "p")]);
    setup.set("p", "Running");
    setup.writer.settled().await;
    let mut other = pod("p", "p");
    other.metadata.resource_version = Some("100".to_owned());
    other.status = Some(phase_of("Unknown"));
    setup.writer.observe(Arc::new(other));
    tokio::time::sleep(SWEEP_EVERY * 3).await;
    assert_eq!(setup.log(), ["PATCH p Running", "PATCH p Running"]);
}

#[tokio::test(start_paused = true)]
async fn an_old_sight_of_a_pod_changes_nothing() {
    let setup = Setup::new(&[pod("p", "p")]);
    setup.set("p", "Running");
    setup.writer.settled().await;
    setup.writer.observe(Arc::new(pod("p", "p")));
    tokio::time::sleep(SWEEP_EVERY * 3).await;
    assert_eq!(setup.log(), ["PATCH p Running"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_sight_of_a_deleted_pod_is_not_kept() {
    let setup = Setup::new(&[deleted("p"), pod("q", "q")]);
    setup.set("p", "Failed");
    setup.set("q", "Running");
    setup.writer.release(&pod_ref("p", "p"));
    setup.writer.settled().await;
    setup.writer.observe(Arc::new(deleted("p")));
    tokio::time::sleep(SWEEP_EVERY * 3).await;
    assert_eq!(setup.writer.0.lock().len(), 1);
    setup.log();
    setup.set("q", "Succeeded");
    setup.writer.settled().await;
    assert_eq!(setup.log(), ["PATCH q Succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn a_finished_pod_never_runs_again() {
    let setup = Setup::new(&[pod("p", "p")]);
    for phase in ["Failed", "Running"] {
        setup.set("p", phase);
        setup.writer.settled().await;
    }
    assert_eq!(setup.log(), ["PATCH p Failed"]);
    assert_eq!(setup.metrics.status_aborts.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_pods_are_all_written() {
    let pods: Vec<Pod> = (0..100).map(|n| pod(&format!("p{n}"), &format!("p{n}"))).collect();
    let setup = Setup::new(&pods);
    for n in 0..100 {
        setup.set(&format!("p{n}"), "Running");
    }
    setup.writer.settled().await;
    assert_eq!(setup.log().len(), 100);
    assert_eq!(setup.metrics.status_patches.get(), 100);
}
