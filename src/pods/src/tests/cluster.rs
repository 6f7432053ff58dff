//! A cluster in memory: what pods refer to, and what the node tells about them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, PodStatus, Secret, Service};
use tokio::sync::watch;
use wasmnode_core::pod::{PullError, PullErrorKind};
use wasmnode_core::{ObjectError, ObjectRef, Objects, PodRef, Record, Recorder, Severity, Token, TokenRequest, Tokens};
use wasmnode_provider_api::Target;

use crate::fixtures::{image, texts};
use crate::images::{PullRequest, PulledImage, Puller};
use crate::ports::{Clock, Statuses};

/// An image whose pull panics, as a bug would.
pub(super) const PANICKING: &str = "example.com/panic:1";

/// An image that holds no program of the container's name.
pub(super) const NOTHING_TO_START: &str = "example.com/data:1";

pub(super) struct Cluster {
    state: Mutex<State>,
    /// Counts changes, for those who wait for one.
    changes: watch::Sender<u64>,
    clock: Clock,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) config_maps: BTreeMap<String, ConfigMap>,
    /// ConfigMaps that are made while an image is pulled.
    pub(super) coming: BTreeMap<String, ConfigMap>,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) handlers: BTreeMap<String, String>,
    pub(super) registered: BTreeMap<String, Vec<ObjectRef>>,
    /// UIDs of pods that ever watched an object.
    pub(super) was_registered: BTreeSet<String>,
    pub(super) statuses: BTreeMap<String, Vec<PodStatus>>,
    pub(super) released: Vec<String>,
    pub(super) forgotten: Vec<String>,
    pub(super) records: Vec<(String, Record)>,
    pub(super) pulls: Vec<String>,
    pub(super) requests: Vec<Asked>,
    pub(super) recompiled: usize,
    /// Images that cannot be had.
    pub(super) broken: BTreeMap<String, PullErrorKind>,
    pub(super) tokens: u32,
    /// Held by whoever holds an image.
    pub(super) lease: Arc<()>,
}

/// What was asked of the images.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) command: Vec<String>,
    pub(super) args: Vec<String>,
    pub(super) path: Option<String>,
    pub(super) target: Option<Target>,
}

impl Cluster {
    pub(super) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changes: watch::Sender::new(0), clock })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Waits until the condition holds; with a paused clock time passes meanwhile.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let mut changes = self.changes.subscribe();
        let patience = std::time::Duration::from_secs(3600);
        let wait = async {
            loop {
                changes.borrow_and_update();
                if holds(&self.state()) {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(patience, wait).await.is_err() {
            let state = self.state();
            let pods: Vec<_> = state.statuses.keys().map(|uid| state.summary(uid)).collect();
            panic!("not in an hour: {what}\n{pods:#?}\n{:#?}", state.records);
        }
    }

    pub(super) fn set_config_map(&self, name: &str, data: &[(&str, &str)]) {
        let map = ConfigMap { data: Some(texts(data)), ..ConfigMap::default() };
        self.change(|state| drop(state.config_maps.insert(name.to_owned(), map)));
    }

    pub(super) fn set_secret(&self, name: &str, data: &[(&str, &str)]) {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        let secret = Secret { data: Some(data.collect()), ..Secret::default() };
        self.change(|state| drop(state.secrets.insert(name.to_owned(), secret)));
    }
}

impl State {
    pub(super) fn status(&self, uid: &str) -> Option<&PodStatus> {
        self.statuses.get(uid)?.last()
    }

    pub(super) fn phase(&self, uid: &str) -> &str {
        self.status(uid).and_then(|status| status.phase.as_deref()).unwrap_or_default()
    }

    /// What the newest status says, in short.
    fn summary(&self, uid: &str) -> String {
        let containers = self.status(uid).and_then(|status| status.container_statuses.clone());
        let states: Vec<_> =
            containers.into_iter().flatten().map(|c| (c.restart_count, c.state, c.last_state)).collect();
        format!("{uid}: {} {states:?}", self.phase(uid))
    }

    /// Reason why container `c` waits.
    pub(super) fn waiting(&self, uid: &str) -> Option<(String, String)> {
        let containers = self.status(uid)?.container_statuses.as_ref()?;
        let waiting = containers.first()?.state.clone()?.waiting?;
        Some((waiting.reason?, waiting.message.unwrap_or_default()))
    }

    pub(super) fn restarts(&self, uid: &str) -> i32 {
        let containers = self.status(uid).and_then(|status| status.container_statuses.as_ref());
        containers.and_then(|all| all.first()).map_or(0, |container| container.restart_count)
    }

    /// Exit code, reason and message of container `c`, which ended.
    pub(super) fn terminated(&self, uid: &str) -> Option<(i32, String, String)> {
        let containers = self.status(uid)?.container_statuses.as_ref()?;
        let ended = containers.first()?.state.clone()?.terminated?;
        Some((ended.exit_code, ended.reason.unwrap_or_default(), ended.message.unwrap_or_default()))
    }

    /// Texts of the events about a pod with that reason.
    pub(super) fn events(&self, uid: &str, reason: &str) -> Vec<&str> {
        let about = self.records.iter().filter(|(of, record)| of == uid && record.reason == reason);
        about.map(|(_, record)| record.message.as_str()).collect()
    }
}

impl Statuses for Cluster {
    fn set(&self, pod: &PodRef, status: PodStatus) {
        self.change(|state| state.statuses.entry(pod.uid.clone()).or_default().push(status));
    }

    fn release(&self, pod: &PodRef) {
        self.change(|state| state.released.push(pod.uid.clone()));
    }

    fn forget(&self, pod: &PodRef) {
        self.change(|state| state.forgotten.push(pod.uid.clone()));
    }
}

impl Recorder for Cluster {
    fn pod(&self, pod: &PodRef, _resource_version: &str, record: Record) {
        self.change(|state| state.records.push((pod.uid.clone(), record)));
    }

    fn node(&self, _severity: Severity, _reason: &'static str, _message: String) {}
}

#[async_trait]
impl Objects for Cluster {
    fn register(&self, pod: &PodRef, references: &[ObjectRef]) {
        self.change(|state| {
            state.registered.insert(pod.uid.clone(), references.to_vec());
            if !references.is_empty() {
                state.was_registered.insert(pod.uid.clone());
            }
        });
    }

    fn release(&self, pod: &PodRef) {
        self.change(|state| drop(state.registered.remove(&pod.uid)));
    }

    async fn config_map(&self, _namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        let missing = || ObjectError::NotFound { kind: "configmap", name: name.to_owned() };
        self.state().config_maps.get(name).cloned().map(Arc::new).ok_or_else(missing)
    }

    async fn secret(&self, _namespace: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        let missing = || ObjectError::NotFound { kind: "secret", name: name.to_owned() };
        self.state().secrets.get(name).cloned().map(Arc::new).ok_or_else(missing)
    }

    fn services(&self, _namespaces: &[&str]) -> Option<Vec<Arc<Service>>> {
        Some(Vec::new())
    }

    async fn runtime_handler(&self, class: &str) -> Result<String, ObjectError> {
        let missing = || ObjectError::NotFound { kind: "runtimeclass.node.k8s.io", name: class.to_owned() };
        self.state().handlers.get(class).cloned().ok_or_else(missing)
    }
}

#[async_trait]
impl Tokens for Cluster {
    async fn token(&self, _request: &TokenRequest) -> Result<Token, ObjectError> {
        self.change(|state| state.tokens += 1);
        let value = format!("token-{}", self.state().tokens);
        let expires_at = (self.clock)().checked_add(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MAX);
        Ok(Token { value, expires_at })
    }

    fn release(&self, _pod: &PodRef) {}
}

#[async_trait]
impl Puller for Cluster {
    async fn ensure(
        &self,
        request: PullRequest<'_>,
        on_pulling: &(dyn Fn() + Send + Sync),
    ) -> Result<PulledImage, PullError> {
        let name = request.image;
        assert!(name != PANICKING, "a bug");
        let asked = Asked {
            command: request.command.to_vec(),
            args: request.args.to_vec(),
            path: request.path.map(str::to_owned),
            target: request.target.cloned(),
        };
        self.change(|state| {
            state.pulls.push(name.to_owned());
            state.requests.push(asked);
            let coming = std::mem::take(&mut state.coming);
            state.config_maps.extend(coming);
        });
        if let Some(kind) = self.state().broken.get(name) {
            return Err(PullError { kind: *kind, message: format!("{name} is broken") });
        }
        on_pulling();
        let mut image = image("tool.wasm");
        if name == NOTHING_TO_START {
            image.artifact = Err(format!("exec: {:?}: executable file not found in $PATH", request.command[0]));
        }
        if let Ok(artifact) = &mut image.artifact {
            artifact.engine = wasmnode_provider_fake::FakeProvider::engine().id;
            artifact.digest = format!("sha256:{name}");
        }
        image.lease = self.state().lease.clone();
        image.timing = Some((SignedDuration::from_millis(5), SignedDuration::from_millis(6)));
        Ok(image)
    }

    async fn recompile(&self, name: &str, stale: &PulledImage) -> Result<PulledImage, PullError> {
        self.change(|state| state.recompiled += 1);
        let mut fresh = stale.clone();
        if let Ok(artifact) = &mut fresh.artifact {
            artifact.digest = format!("sha256:{name}+fresh");
        }
        Ok(fresh)
    }
}
