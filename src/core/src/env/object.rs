//! ConfigMaps and Secrets as sources of variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::Fetched;
use crate::ObjectError;

/// A ConfigMap or Secret; of the former only what is text, as the kubelet has it.
pub(super) enum Object {
    ConfigMap(Arc<ConfigMap>),
    Secret(Arc<Secret>),
}

impl Object {
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        match self {
            Self::ConfigMap(map) => map.data.as_ref()?.get(key).map(String::as_bytes),
            Self::Secret(secret) => secret.data.as_ref()?.get(key).map(|value| value.0.as_slice()),
        }
    }

    pub(super) fn entries(&self) -> Vec<(&str, &[u8])> {
        match self {
            Self::ConfigMap(map) => {
                map.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes())).collect()
            }
            Self::Secret(secret) => {
                secret.data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice())).collect()
            }
        }
    }
}

/// An object that was not fetched does not exist.
pub(super) fn find<T>(objects: &BTreeMap<String, Fetched<T>>, kind: &'static str, name: &str) -> Fetched<T> {
    let missing = || Err(ObjectError::NotFound { kind, name: name.to_owned() });
    objects.get(name).cloned().unwrap_or_else(missing)
}
