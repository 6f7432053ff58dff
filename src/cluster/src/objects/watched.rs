//! One watch of one object.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;
use wasmnode_core::ObjectError;

use crate::api::ApiError;
use crate::metrics::ClusterMetrics;
use crate::retry::{Pauses, is_answer};

/// How long a reader waits for a watch's first answer.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Refusals before the first answer that are not told yet: the API server's authorizer learns that a pod names an
/// object a moment after this node learned of the pod. With the pauses below that is about 0.8 s.
const PATIENCE: u32 = 5;

/// A kind that is watched by name.
pub(super) trait Watched:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// As the kubelet prints it.
    const KIND: &'static str;

    /// It will never change, so that nobody needs to watch it.
    fn is_immutable(&self) -> bool;

    /// For leaving out what nobody reads.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}

/// What is known of an object.
#[derive(Debug, Clone)]
pub(super) enum State<K> {
    /// Nothing yet.
    Unread,
    /// It is there.
    Present(Arc<K>),
    /// It is not there.
    Absent,
    /// It has never been read, and this is why.
    Unreadable(ObjectError),
}

/// A running watch; ends when dropped.
pub(super) struct Watch<K> {
    state: watch::Receiver<State<K>>,
    _task: AbortOnDropHandle<()>,
}

impl Watched for ConfigMap {
    const KIND: &'static str = "configmap";

    fn is_immutable(&self) -> bool {
        self.immutable == Some(true)
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Watched for Secret {
    const KIND: &'static str = "secret";

    fn is_immutable(&self) -> bool {
        self.immutable == Some(true)
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<K: Watched> Watch<K> {
    pub(super) fn start(runtime: &Handle, api: Api<K>, name: String, metrics: Arc<ClusterMetrics>) -> Self {
        let (sender, state) = watch::channel(State::Unread);
        let task = runtime.spawn(follow(api, name, sender, metrics));
        Self { state, _task: AbortOnDropHandle::new(task) }
    }
}

impl<K> Watch<K> {
    pub(super) fn state(&self) -> watch::Receiver<State<K>> {
        self.state.clone()
    }
}

/// The newest state; waits a bounded time for the first one.
pub(super) async fn newest<K: Watched>(
    state: Option<watch::Receiver<State<K>>>,
    (namespace, name): &(String, String),
) -> Result<Arc<K>, ObjectError> {
    let unregistered = || ObjectError::Unavailable(format!("object {namespace:?}/{name:?} not registered"));
    let Some(mut state) = state else { return Err(unregistered()) };
    let known = state.wait_for(|state| !matches!(state, State::Unread));
    let Ok(known) = tokio::time::timeout(FIRST_ANSWER_WITHIN, known).await else {
        let kind = K::KIND;
        return Err(ObjectError::Unavailable(format!(
            "{kind} {name:?} could not be read: no answer from the API server"
        )));
    };
    match &*known.map_err(|_closed| unregistered())? {
        State::Present(object) => Ok(object.clone()),
        State::Absent | State::Unread => Err(ObjectError::NotFound { kind: K::KIND, name: name.clone() }),
        State::Unreadable(error) => Err(error.clone()),
    }
}

/// Counts the end of a watch however it comes.
struct Ended(Arc<ClusterMetrics>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.object_watches_ended.add();
    }
}

async fn follow<K: Watched>(api: Api<K>, name: String, state: watch::Sender<State<K>>, metrics: Arc<ClusterMetrics>) {
    until_final(api, &name, &state, metrics).await;
    // The value stays readable for as long as its users hold the watch, though nothing follows it any more.
    state.closed().await;
}

/// Returns when the object can no longer change.
async fn until_final<K: Watched>(
    api: Api<K>,
    name: &str,
    state: &watch::Sender<State<K>>,
    metrics: Arc<ClusterMetrics>,
) {
    metrics.object_watches_started.add();
    let ended = Ended(metrics);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut stream = pin!(watcher::watcher(api, config));
    let mut pauses = Pauses::new(Duration::from_millis(50), Duration::from_secs(30));
    let mut listed = false;
    let mut failures = 0;
    while let Some(event) = stream.next().await {
        if is_answer(&event) {
            pauses.reset();
        }
        match event {
            Ok(Event::Init) => listed = false,
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                listed = true;
                if present(state, object) {
                    return;
                }
            }
            Ok(Event::InitDone) if listed => {}
            Ok(Event::InitDone | Event::Delete(_)) => {
                state.send_replace(State::Absent);
            }
            Err(error) => {
                ended.0.object_errors.add();
                failures += 1;
                failed(state, name, error.into(), failures);
                tokio::time::sleep(pauses.next()).await;
            }
        }
    }
}

/// Whether that was the last change there can be.
fn present<K: Watched>(state: &watch::Sender<State<K>>, mut object: K) -> bool {
    object.metadata_mut().managed_fields = None;
    let last = object.is_immutable();
    state.send_replace(State::Present(Arc::new(object)));
    last
}

/// An object that was read once stays as it was: pods keep running while the API server is away.
fn failed<K: Watched>(state: &watch::Sender<State<K>>, name: &str, error: ApiError, failures: u32) {
    debug!(%error, kind = K::KIND, name, "Watch of an object was interrupted");
    if failures < PATIENCE {
        return;
    }
    let error = if error.is_forbidden() {
        ObjectError::Forbidden(error.to_string())
    } else {
        ObjectError::Unavailable(format!("{} {name:?} could not be read: {error}", K::KIND))
    };
    state.send_if_modified(|state| {
        let unread = matches!(state, State::Unread | State::Unreadable(_));
        if unread {
            *state = State::Unreadable(error);
        }
        unread
    });
}
