//! Environment variables, and references to the pod's own fields.

use k8s_openapi::api::core::v1;

use super::notes::Notes;
use super::quantity;
use crate::desired::{DownwardValue, EnvFrom, EnvSource, EnvValue, EnvVar, Resource, ResourceKind, fields};
use crate::quantity::Milli;

/// `envFrom`. An entry without a source adds nothing.
pub(super) fn env_from(list: &[v1::EnvFromSource]) -> Vec<EnvFrom> {
    list.iter().filter_map(env_from_one).collect()
}

fn env_from_one(from: &v1::EnvFromSource) -> Option<EnvFrom> {
    let (source, optional) = match (&from.config_map_ref, &from.secret_ref) {
        (Some(map), _) => (EnvSource::ConfigMap(map.name.clone()), map.optional),
        (None, Some(secret)) => (EnvSource::Secret(secret.name.clone()), secret.optional),
        (None, None) => return None,
    };
    let prefix = from.prefix.clone().unwrap_or_default();
    Some(EnvFrom { prefix, source, optional: optional.unwrap_or_default() })
}

/// `env`; `container` is the container's path. A variable that cannot be had is refused and left out.
pub(super) fn env(list: &[v1::EnvVar], container: &str, notes: &mut Notes) -> Vec<EnvVar> {
    list.iter()
        .filter_map(|var| {
            let path = format!("{container}.env[{}].valueFrom", var.name);
            Some(EnvVar { name: var.name.clone(), value: value(var, &path, notes)? })
        })
        .collect()
}

fn value(var: &v1::EnvVar, path: &str, notes: &mut Notes) -> Option<EnvValue> {
    let text = var.value.clone().unwrap_or_default();
    match &var.value_from {
        Some(source) if text.is_empty() => from_source(source, path, notes),
        _ => Some(EnvValue::Literal(text)),
    }
}

fn from_source(source: &v1::EnvVarSource, path: &str, notes: &mut Notes) -> Option<EnvValue> {
    notes.take(path, fields::env_var_source(source));
    if let Some(map) = &source.config_map_key_ref {
        let source = EnvSource::ConfigMap(map.name.clone());
        return Some(EnvValue::Key { source, key: map.key.clone(), optional: map.optional.unwrap_or_default() });
    }
    if let Some(secret) = &source.secret_key_ref {
        let source = EnvSource::Secret(secret.name.clone());
        return Some(EnvValue::Key { source, key: secret.key.clone(), optional: secret.optional.unwrap_or_default() });
    }
    downward(source.field_ref.as_ref(), source.resource_field_ref.as_ref(), path, notes).map(EnvValue::Downward)
}

/// A field or resource reference; refuses a resource that cannot be referred to.
pub(super) fn downward(
    field: Option<&v1::ObjectFieldSelector>,
    resource: Option<&v1::ResourceFieldSelector>,
    path: &str,
    notes: &mut Notes,
) -> Option<DownwardValue> {
    if let Some(field) = field {
        return Some(DownwardValue::Field(field.field_path.clone()));
    }
    let path = format!("{path}.resourceFieldRef");
    resource.and_then(|resource| resource_field(resource, &path, notes)).map(DownwardValue::Resource)
}

fn resource_field(selector: &v1::ResourceFieldSelector, path: &str, notes: &mut Notes) -> Option<Resource> {
    let Some((kind, name)) = split_resource(&selector.resource) else {
        notes.refuse(format!("{path}.resource"), "not a limit or request that a container can refer to");
        return None;
    };
    let divisor = match &selector.divisor {
        Some(divisor) => quantity::one(divisor, format!("{path}.divisor"), notes)?,
        None => Milli::default(),
    };
    let container = selector.container_name.clone().filter(|name| !name.is_empty());
    // 0 means 1, as in the API.
    let divisor = if divisor.0 > 0 { divisor } else { Milli(1000) };
    Some(Resource { container, kind, name: name.to_owned(), divisor })
}

fn split_resource(text: &str) -> Option<(ResourceKind, &str)> {
    let (kind, name) = text.split_once('.')?;
    let kind = match kind {
        "limits" => ResourceKind::Limit,
        "requests" => ResourceKind::Request,
        _ => return None,
    };
    let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    known.then_some((kind, name))
}
