//! A ConfigMap's keys as files.

use k8s_openapi::api::core::v1::ConfigMap;
use wasmnode_core::desired::FileSource;

use super::keys::{self, Keys};
use super::payload::Payload;
use super::sources::Sources;

pub(super) async fn payload(sources: &Sources<'_>, source: &FileSource, mode: i32) -> Result<Payload, String> {
    let object = keys::optional(sources.config_map(&source.name).await, source.optional)?;
    keys::payload(&source_keys(object.as_deref()), source, mode, missing)
}

fn source_keys(object: Option<&ConfigMap>) -> Keys<'_> {
    let Some(object) = object else { return Keys::new() };
    let text = object.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes()));
    let binary = object.binary_data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
    text.chain(binary).collect()
}

fn missing(key: &str) -> String {
    format!("configmap references non-existent config key: {key}")
}
