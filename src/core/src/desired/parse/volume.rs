//! Volumes.

use k8s_openapi::api::core::v1;

use super::notes::Notes;
use super::{env, non_empty, quantity};
use crate::desired::fields::{self, Decision, Finding};
use crate::desired::{DownwardItem, FileSource, Item, Projection, Volume, VolumeSource};

/// Of configMap, secret, downwardAPI and projected volumes.
const DEFAULT_MODE: i32 = 0o644;
/// `expirationSeconds` of a projected token.
const DEFAULT_TOKEN_SECONDS: i64 = 3600;

pub(super) fn volumes(volumes: &[v1::Volume], notes: &mut Notes) -> Vec<Volume> {
    volumes.iter().map(|volume| Volume { name: volume.name.clone(), source: source(volume, notes) }).collect()
}

fn source(volume: &v1::Volume, notes: &mut Notes) -> VolumeSource {
    let path = format!("spec.volumes[{}]", volume.name);
    if let Some(kind) = not_mounted(&fields::volume(volume)) {
        return VolumeSource::Unsupported(kind.to_owned());
    }
    if let Some(map) = &volume.config_map {
        let source = file_source(&map.name, map.optional, map.items.as_deref());
        return VolumeSource::ConfigMap(source, map.default_mode.unwrap_or(DEFAULT_MODE));
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        let source = file_source(name, secret.optional, secret.items.as_deref());
        return VolumeSource::Secret(source, secret.default_mode.unwrap_or(DEFAULT_MODE));
    }
    if let Some(downward) = &volume.downward_api {
        let items = downward_items(downward.items.as_deref(), &format!("{path}.downwardAPI"), notes);
        return VolumeSource::Downward(items, downward.default_mode.unwrap_or(DEFAULT_MODE));
    }
    if let Some(projected) = &volume.projected {
        let sources = projected.sources.as_deref().unwrap_or_default();
        let sources = projections(sources, &format!("{path}.projected"), notes);
        return VolumeSource::Projected(sources, projected.default_mode.unwrap_or(DEFAULT_MODE));
    }
    // A volume of no kind is an empty directory, as the API server fills in.
    empty_dir(&volume.empty_dir.clone().unwrap_or_default(), &format!("{path}.emptyDir"), notes)
}

/// The kind, where it is one that this node does not mount.
fn not_mounted(findings: &[Finding]) -> Option<&'static str> {
    findings.iter().find(|finding| finding.decision == Decision::NotMounted).map(|finding| finding.field)
}

fn empty_dir(source: &v1::EmptyDirVolumeSource, path: &str, notes: &mut Notes) -> VolumeSource {
    notes.take(path, fields::empty_dir(source));
    let memory = match source.medium.as_deref().unwrap_or_default() {
        "" => false,
        "Memory" => true,
        other => return VolumeSource::Unsupported(format!("emptyDir with medium {other}")),
    };
    let limit = source.size_limit.as_ref().and_then(|limit| quantity::one(limit, format!("{path}.sizeLimit"), notes));
    let size_limit = limit.and_then(|limit| u64::try_from(limit.value()).ok()).filter(|bytes| *bytes > 0);
    VolumeSource::EmptyDir { memory, size_limit }
}

fn projections(sources: &[v1::VolumeProjection], path: &str, notes: &mut Notes) -> Vec<Projection> {
    sources
        .iter()
        .enumerate()
        .filter_map(|(index, source)| projection(source, &format!("{path}.sources[{index}]"), notes))
        .collect()
}

/// A source of no kind projects nothing.
fn projection(source: &v1::VolumeProjection, path: &str, notes: &mut Notes) -> Option<Projection> {
    if let Some(kind) = not_mounted(&fields::projection(source)) {
        return Some(Projection::Unsupported(kind.to_owned()));
    }
    if let Some(map) = &source.config_map {
        return Some(Projection::ConfigMap(file_source(&map.name, map.optional, map.items.as_deref())));
    }
    if let Some(secret) = &source.secret {
        return Some(Projection::Secret(file_source(&secret.name, secret.optional, secret.items.as_deref())));
    }
    if let Some(downward) = &source.downward_api {
        let items = downward_items(downward.items.as_deref(), &format!("{path}.downwardAPI"), notes);
        return Some(Projection::Downward(items));
    }
    source.service_account_token.as_ref().map(token)
}

fn token(token: &v1::ServiceAccountTokenProjection) -> Projection {
    Projection::Token {
        audience: non_empty(token.audience.clone()),
        expiration_seconds: token.expiration_seconds.unwrap_or(DEFAULT_TOKEN_SECONDS),
        path: token.path.clone(),
    }
}

fn file_source(name: &str, optional: Option<bool>, items: Option<&[v1::KeyToPath]>) -> FileSource {
    // An empty list is no list, as in the API.
    let items = items.filter(|items| !items.is_empty()).map(|items| items.iter().map(item).collect());
    FileSource { name: name.to_owned(), optional: optional.unwrap_or_default(), items }
}

fn item(item: &v1::KeyToPath) -> Item {
    Item { key: item.key.clone(), path: item.path.clone(), mode: item.mode }
}

fn downward_items(items: Option<&[v1::DownwardAPIVolumeFile]>, path: &str, notes: &mut Notes) -> Vec<DownwardItem> {
    let items = items.unwrap_or_default().iter().enumerate();
    items
        .filter_map(|(index, file)| {
            let path = format!("{path}.items[{index}]");
            let value = env::downward(file.field_ref.as_ref(), file.resource_field_ref.as_ref(), &path, notes)?;
            Some(DownwardItem { path: file.path.clone(), value, mode: file.mode })
        })
        .collect()
}
