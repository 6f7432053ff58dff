//! A Secret's keys as files.

use k8s_openapi::api::core::v1::Secret;
use wasmnode_core::desired::FileSource;

use super::keys::{self, Keys};
use super::payload::Payload;
use super::sources::Sources;

pub(super) async fn payload(sources: &Sources<'_>, source: &FileSource, mode: i32) -> Result<Payload, String> {
    let object = keys::optional(sources.secret(&source.name).await, source.optional)?;
    keys::payload(&source_keys(object.as_deref()), source, mode, missing)
}

fn source_keys(object: Option<&Secret>) -> Keys<'_> {
    let data = object.and_then(|object| object.data.as_ref());
    data.into_iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice())).collect()
}

fn missing(key: &str) -> String {
    format!("references non-existent secret key: {key}")
}
