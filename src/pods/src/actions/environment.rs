//! The environment of one container, from objects of the API server.

use std::collections::BTreeMap;

use wasmnode_core::desired::{Container, Desired, EnvSource, EnvValue};
use wasmnode_core::env::{self, EnvError, EnvSources, Environment};

use crate::site::Site;

/// Reads every object that the environment names; what is missing is judged by the core.
pub(super) async fn resolve(site: &Site, desired: &Desired, container: &Container) -> Result<Environment, EnvError> {
    let namespace = desired.pod.namespace.as_str();
    let objects = &site.context.ports.objects;
    let (mut config_maps, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for source in sources(container) {
        match source {
            EnvSource::ConfigMap(name) => {
                config_maps.insert(name.clone(), objects.config_map(namespace, name).await);
            }
            EnvSource::Secret(name) => {
                secrets.insert(name.clone(), objects.secret(namespace, name).await);
            }
        }
    }
    let services = objects.services(&[namespace, "default"]);
    let node = site.context.node();
    let sources =
        EnvSources { config_maps: &config_maps, secrets: &secrets, services: services.as_deref(), facts: node.facts() };
    env::resolve(desired, container, &sources)
}

fn sources(container: &Container) -> impl Iterator<Item = &EnvSource> {
    let keys = container.env.iter().filter_map(|var| match &var.value {
        EnvValue::Key { source, .. } => Some(source),
        EnvValue::Literal(_) | EnvValue::Downward(_) => None,
    });
    container.env_from.iter().map(|from| &from.source).chain(keys)
}
