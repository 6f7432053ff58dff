//! ConfigMaps and Secrets of the file; everything else of a cluster is not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use wasmnode_core::{ObjectError, ObjectRef, Objects, PodRef, Token, TokenRequest, Tokens};

/// By namespace and name.
type ByName<T> = BTreeMap<(String, String), Arc<T>>;

/// The objects of a file.
#[derive(Debug, Default)]
pub(super) struct FileObjects {
    config_maps: ByName<ConfigMap>,
    secrets: ByName<Secret>,
}

/// No tokens: there is nobody to issue or to accept them.
#[derive(Debug)]
pub(super) struct NoTokens;

// === impl FileObjects ===

impl FileObjects {
    pub(super) fn new(config_maps: Vec<ConfigMap>, secrets: Vec<Secret>) -> Self {
        Self {
            config_maps: by_name(config_maps, |object| &object.metadata),
            secrets: by_name(secrets, |object| &object.metadata),
        }
    }
}

fn by_name<T>(
    objects: Vec<T>,
    meta: impl Fn(&T) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> ByName<T> {
    let key = |object: &T| {
        let meta = meta(object);
        (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    };
    objects.into_iter().map(|object| (key(&object), Arc::new(object))).collect()
}

fn find<T>(objects: &ByName<T>, kind: &'static str, namespace: &str, name: &str) -> Result<Arc<T>, ObjectError> {
    let found = objects.get(&(namespace.to_owned(), name.to_owned())).cloned();
    found.ok_or_else(|| ObjectError::NotFound { kind, name: name.to_owned() })
}

#[async_trait]
impl Objects for FileObjects {
    fn register(&self, _pod: &PodRef, _references: &[ObjectRef]) {}

    fn release(&self, _pod: &PodRef) {}

    async fn config_map(&self, namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        find(&self.config_maps, "configmap", namespace, name)
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        find(&self.secrets, "secret", namespace, name)
    }

    fn services(&self, _namespaces: &[&str]) -> Option<Vec<Arc<Service>>> {
        Some(Vec::new())
    }

    /// A class says where a cluster's scheduler puts the pod; here is only one place.
    async fn runtime_handler(&self, _class: &str) -> Result<String, ObjectError> {
        Ok(String::new())
    }
}

#[async_trait]
impl Tokens for NoTokens {
    async fn token(&self, request: &TokenRequest) -> Result<Token, ObjectError> {
        let account = &request.service_account;
        let text = format!("there is no cluster that could issue a token of service account {account:?}");
        Err(ObjectError::Forbidden(text))
    }

    fn release(&self, _pod: &PodRef) {}
}
