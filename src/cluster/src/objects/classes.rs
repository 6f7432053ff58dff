//! RuntimeClasses, read when a pod names one. Their handler cannot change, but a class can be made anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::node::v1::RuntimeClass;
use kube::{Api, Client};
use tokio::time::Instant;
use wasmnode_core::ObjectError;

use crate::api::call;

/// A Deployment's pods come all at once and name the same class.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// A cluster has a handful.
const KEPT: usize = 256;

/// Handlers by class.
pub(super) struct Classes {
    api: Api<RuntimeClass>,
    kept: Mutex<HashMap<String, (Instant, String)>>,
}

impl Classes {
    pub(super) fn new(client: Client) -> Self {
        Self { api: Api::all(client), kept: Mutex::default() }
    }

    pub(super) async fn handler(&self, class: &str) -> Result<String, ObjectError> {
        let fresh = |(since, handler): &(Instant, String)| (since.elapsed() < KEPT_FOR).then(|| handler.clone());
        if let Some(handler) = self.lock().get(class).and_then(fresh) {
            return Ok(handler);
        }
        let handler = self.read(class).await?;
        let mut kept = self.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(class.to_owned(), (Instant::now(), handler.clone()));
        Ok(handler)
    }

    async fn read(&self, class: &str) -> Result<String, ObjectError> {
        match call(self.api.get(class)).await {
            Ok(found) => Ok(found.handler),
            Err(error) if error.is_not_found() => {
                Err(ObjectError::NotFound { kind: "runtimeclass.node.k8s.io", name: class.to_owned() })
            }
            Err(error) if error.is_forbidden() => Err(ObjectError::Forbidden(error.to_string())),
            Err(error) => {
                Err(ObjectError::Unavailable(format!("runtimeclass.node.k8s.io {class:?} could not be read: {error}")))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, String)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
