//! A container's environment, exactly as the kubelet puts it together (kubelet contract section 4.14): `envFrom`, then
//! `env` with `$(VAR)` references, then the Services that neither of them names.

mod expand;
mod object;
mod resolver;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};

use crate::desired::{Container, Desired};
use crate::downward::{DownwardError, Facts};
use crate::{ObjectError, services_env};
use resolver::Resolver;

/// Names and values of an environment, and arguments, each in all. What Linux passes to a process with its default
/// stack; without a bound, variables that name each other twice fill the memory.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// An object, or why it could not be had.
pub type Fetched<T> = Result<Arc<T>, ObjectError>;

/// What variables come from. An object that is named and not listed counts as not found.
#[derive(Debug, Clone, Copy)]
pub struct EnvSources<'a> {
    /// ConfigMaps of the pod's namespace by name.
    pub config_maps: &'a BTreeMap<String, Fetched<ConfigMap>>,
    /// Secrets of the pod's namespace by name.
    pub secrets: &'a BTreeMap<String, Fetched<Secret>>,
    /// Services of the pod's namespace and of `default`; `None` until they were read once.
    pub services: Option<&'a [Arc<Service>]>,
    /// For references to the pod's own fields.
    pub facts: Facts<'a>,
}

/// Why an environment cannot be had; all of them are `CreateContainerConfigError`, the texts those of the kubelet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// Services were never read; soon over.
    #[error("services have not yet been read at least once, cannot construct envvars")]
    ServicesUnread,
    /// An object that is not optional.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A key that is not optional.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        /// Which key.
        key: String,
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Of the object.
        namespace: String,
        /// Of the object.
        name: String,
    },
    /// WebAssembly has no variables of other bytes.
    #[error("the value of variable {0} is not UTF-8 text without NUL: mount it as a file instead")]
    NotText(String),
    /// A reference to a field or resource.
    #[error(transparent)]
    Downward(#[from] DownwardError),
    /// More than [`MAX_BYTES`].
    #[error("environment or arguments of container {0} are larger than 2 MiB: use a volume for large values")]
    TooLarge(String),
}

/// The environment of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    container: String,
    hostname: String,
    vars: BTreeMap<String, String>,
}

/// Puts the environment of a container together, before each start.
///
/// # Errors
/// When something that is not optional is missing; the container waits and the next attempt asks again.
pub fn resolve(desired: &Desired, container: &Container, sources: &EnvSources<'_>) -> Result<Environment, EnvError> {
    let services = sources.services.ok_or(EnvError::ServicesUnread)?;
    let services = services_env::variables(services, &desired.pod.namespace, desired.enable_service_links);
    let mut resolver = Resolver::new(desired, container, sources, services);
    for from in &container.env_from {
        resolver.add_object(from)?;
    }
    for var in &container.env {
        resolver.add_var(var)?;
    }
    Ok(resolver.finish())
}

impl Environment {
    /// The value of a variable that the pod or a Service sets.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str)
    }

    /// Expands `$(VAR)` in command or arguments.
    ///
    /// # Errors
    /// [`EnvError::TooLarge`].
    pub fn expand(&self, texts: &[String]) -> Result<Vec<String>, EnvError> {
        let mut left = MAX_BYTES;
        let expand = |text: &String| {
            let lookup = |name: &str| self.vars.get(name).map(String::as_str);
            let expanded = expand::expand(text, left, lookup).ok_or_else(|| self.too_large())?;
            left -= expanded.len();
            Ok(expanded)
        };
        texts.iter().map(expand).collect()
    }

    /// The variables, sorted by name. `HOSTNAME` is added here, since it is what a container runtime adds: references
    /// do not see it.
    pub fn into_vars(mut self) -> Vec<(String, String)> {
        self.vars.entry("HOSTNAME".to_owned()).or_insert(self.hostname);
        self.vars.into_iter().collect()
    }

    fn too_large(&self) -> EnvError {
        EnvError::TooLarge(self.container.clone())
    }
}

#[cfg(test)]
mod tests;
