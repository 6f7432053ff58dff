//! What pods name: ConfigMaps and Secrets, one watch each for as long as a pod of this node names them; Services;
//! RuntimeClasses. A node may read nothing else (contract section 14).

mod classes;
mod services;
mod watched;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::{Api, Client};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use wasmnode_core::{ObjectError, ObjectRef, Objects, PodRef};

use self::classes::Classes;
use self::services::Services;
use self::watched::{Watch, Watched};
use crate::metrics::ClusterMetrics;

/// All objects that this node's pods name. Cloning shares them.
#[derive(Clone)]
pub struct ObjectStore(Arc<Inner>);

struct Inner {
    client: Client,
    runtime: Handle,
    metrics: Arc<ClusterMetrics>,
    watches: Mutex<Watches>,
    services: Services,
    classes: Classes,
}

/// Namespace and name.
type Key = (String, String);

#[derive(Default)]
struct Watches {
    pods: HashMap<PodRef, BTreeSet<ObjectRef>>,
    config_maps: HashMap<Key, Shared<ConfigMap>>,
    secrets: HashMap<Key, Shared<Secret>>,
}

/// A watch with the number of pods that need it.
struct Shared<K> {
    users: usize,
    watch: Watch<K>,
}

impl ObjectStore {
    /// Watches run on the runtime that this is called on.
    pub fn new(client: Client, metrics: Arc<ClusterMetrics>) -> Self {
        Self(Arc::new(Inner {
            classes: Classes::new(client.clone()),
            client,
            runtime: Handle::current(),
            metrics,
            watches: Mutex::default(),
            services: Services::default(),
        }))
    }

    /// Keeps the index of Services up to date until `shutdown`.
    pub async fn run_services(&self, shutdown: CancellationToken) {
        let services = self.0.services.run(self.0.client.clone(), &self.0.metrics);
        shutdown.run_until_cancelled_owned(services).await;
    }
}

#[async_trait]
impl Objects for ObjectStore {
    fn register(&self, pod: &PodRef, references: &[ObjectRef]) {
        let wanted: BTreeSet<ObjectRef> = references.iter().cloned().collect();
        let mut watches = self.0.lock();
        let before = watches.pods.insert(pod.clone(), wanted.clone()).unwrap_or_default();
        // New ones first, so that nothing both sets name is read again.
        for reference in wanted.difference(&before) {
            self.0.acquire(&mut watches, &pod.namespace, reference);
        }
        for reference in before.difference(&wanted) {
            watches.drop_user(&pod.namespace, reference);
        }
    }

    fn release(&self, pod: &PodRef) {
        let mut watches = self.0.lock();
        for reference in watches.pods.remove(pod).unwrap_or_default() {
            watches.drop_user(&pod.namespace, &reference);
        }
    }

    async fn config_map(&self, namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        let key = (namespace.to_owned(), name.to_owned());
        let state = self.0.lock().config_maps.get(&key).map(|shared| shared.watch.state());
        watched::newest(state, &key).await
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        let key = (namespace.to_owned(), name.to_owned());
        let state = self.0.lock().secrets.get(&key).map(|shared| shared.watch.state());
        watched::newest(state, &key).await
    }

    fn services(&self, namespaces: &[&str]) -> Option<Vec<Arc<Service>>> {
        self.0.services.of(namespaces)
    }

    async fn runtime_handler(&self, class: &str) -> Result<String, ObjectError> {
        self.0.classes.handler(class).await
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquire(&self, watches: &mut Watches, namespace: &str, reference: &ObjectRef) {
        match reference {
            ObjectRef::ConfigMap(name) => self.add_user(&mut watches.config_maps, namespace, name),
            ObjectRef::Secret(name) => self.add_user(&mut watches.secrets, namespace, name),
        }
    }

    fn add_user<K: Watched>(&self, all: &mut HashMap<Key, Shared<K>>, namespace: &str, name: &str) {
        let shared = all.entry((namespace.to_owned(), name.to_owned())).or_insert_with(|| {
            let api = Api::namespaced(self.client.clone(), namespace);
            Shared { users: 0, watch: Watch::start(&self.runtime, api, name.to_owned(), self.metrics.clone()) }
        });
        shared.users += 1;
    }
}

impl Watches {
    fn drop_user(&mut self, namespace: &str, reference: &ObjectRef) {
        match reference {
            ObjectRef::ConfigMap(name) => drop_user(&mut self.config_maps, namespace, name),
            ObjectRef::Secret(name) => drop_user(&mut self.secrets, namespace, name),
        }
    }
}

/// With the last user the watch ends.
fn drop_user<K>(all: &mut HashMap<Key, Shared<K>>, namespace: &str, name: &str) {
    let key = (namespace.to_owned(), name.to_owned());
    if let Some(shared) = all.get_mut(&key) {
        shared.users = shared.users.saturating_sub(1);
        if shared.users == 0 {
            all.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
