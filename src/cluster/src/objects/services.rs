//! Services of the whole cluster, reduced to what environment variables need.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tracing::debug;

use crate::api::ApiError;
use crate::metrics::ClusterMetrics;
use crate::retry::{Pauses, is_answer};

/// By namespace, then name.
type Index = HashMap<String, BTreeMap<String, Arc<Service>>>;

/// The Services as last seen; none until they were listed once.
#[derive(Default)]
pub(super) struct Services(RwLock<Option<Index>>);

impl Services {
    pub(super) fn of(&self, namespaces: &[&str]) -> Option<Vec<Arc<Service>>> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let index = index.as_ref()?;
        Some(namespaces.iter().filter_map(|name| index.get(*name)).flat_map(|all| all.values().cloned()).collect())
    }

    /// For ever.
    pub(super) async fn run(&self, client: Client, metrics: &ClusterMetrics) {
        let mut stream = pin!(watcher::watcher(Api::<Service>::all(client), watcher::Config::default()));
        let mut pauses = Pauses::patient();
        let mut listing = Index::default();
        while let Some(event) = stream.next().await {
            if is_answer(&event) {
                pauses.reset();
            }
            match event {
                Ok(event) => self.apply(event, &mut listing),
                Err(error) => {
                    metrics.object_errors.add();
                    debug!(error = %ApiError::from(error), "Watch of the Services was interrupted");
                    tokio::time::sleep(pauses.next()).await;
                }
            }
        }
    }

    /// A list is only shown once it is complete.
    fn apply(&self, event: Event<Service>, listing: &mut Index) {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => listing.clear(),
            Event::InitApply(service) => insert(listing, service),
            Event::InitDone => *index = Some(std::mem::take(listing)),
            Event::Apply(service) => insert(index.get_or_insert_default(), service),
            Event::Delete(service) => remove(index.get_or_insert_default(), &service),
        }
    }
}

fn insert(index: &mut Index, service: Service) {
    let service = slim(service);
    if let (Some(namespace), Some(name)) = (service.metadata.namespace.clone(), service.metadata.name.clone()) {
        index.entry(namespace).or_default().insert(name, Arc::new(service));
    }
}

fn remove(index: &mut Index, service: &Service) {
    let Some(namespace) = &service.metadata.namespace else { return };
    if let Some(all) = index.get_mut(namespace) {
        all.remove(service.metadata.name.as_deref().unwrap_or_default());
        if all.is_empty() {
            index.remove(namespace);
        }
    }
}

/// A large cluster has thousands of them.
fn slim(service: Service) -> Service {
    let port = |port: ServicePort| ServicePort {
        name: port.name,
        port: port.port,
        protocol: port.protocol,
        ..ServicePort::default()
    };
    Service {
        metadata: ObjectMeta {
            name: service.metadata.name,
            namespace: service.metadata.namespace,
            ..ObjectMeta::default()
        },
        spec: service.spec.map(|spec| ServiceSpec {
            cluster_ip: spec.cluster_ip,
            type_: spec.type_,
            ports: spec.ports.map(|ports| ports.into_iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(namespace: &str, name: &str) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": name, "labels": {"a": "b"}},
            "spec": {"clusterIP": "10.0.0.1", "selector": {"a": "b"}, "ports": [{"port": 80, "name": "http", "nodePort": 30000}]},
        }))
        .unwrap()
    }

    fn names(services: &Services, namespaces: &[&str]) -> Option<Vec<String>> {
        let all = services.of(namespaces)?;
        Some(all.iter().map(|service| service.metadata.name.clone().unwrap()).collect())
    }

    #[test]
    fn services_are_known_after_the_first_list() {
        let services = Services::default();
        let mut listing = Index::default();
        services.apply(Event::Init, &mut listing);
        services.apply(Event::InitApply(service("a", "one")), &mut listing);
        services.apply(Event::InitApply(service("b", "two")), &mut listing);
        assert_eq!(names(&services, &["a"]), None);
        services.apply(Event::InitDone, &mut listing);
        services.apply(Event::Apply(service("a", "three")), &mut listing);
        assert_eq!(names(&services, &["a", "b", "c"]).unwrap(), ["one", "three", "two"]);
        services.apply(Event::Delete(service("b", "two")), &mut listing);
        assert_eq!(names(&services, &["b"]).unwrap(), [""; 0]);
        let kept = serde_json::to_value(services.of(&["a"]).unwrap()[0].as_ref()).unwrap();
        assert_eq!(kept["spec"], json!({"clusterIP": "10.0.0.1", "ports": [{"port": 80, "name": "http"}]}));
    }
}
