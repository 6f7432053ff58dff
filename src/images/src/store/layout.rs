//! The files that make `images/` an OCI image layout.
//!
//! `index.json` is derived from the records. Entries that somebody else added (with `oras` or
//! `skopeo`, say) have no mark of ours and stay as they are.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::files::{self, Paths};
use super::records::ImageRecord;
use crate::error::{DiskContext, DiskError};

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const NAME: &str = "org.opencontainers.image.ref.name";
const OURS: &str = "dev.wasmnode.recorded";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: String,
    #[serde(default)]
    manifests: Vec<serde_json::Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    media_type: &'a str,
    digest: String,
    size: u64,
    annotations: BTreeMap<&'a str, &'a str>,
}

pub(super) fn create(paths: &Paths) -> Result<(), DiskError> {
    let path = paths.images().join("oci-layout");
    if path.exists() {
        return Ok(());
    }
    files::write_atomically(&path, LAYOUT)
}

pub(super) fn write_index(paths: &Paths, images: &[ImageRecord]) -> Result<(), DiskError> {
    let path = paths.images().join("index.json");
    let mut manifests = foreign_entries(&std::fs::read(&path).unwrap_or_default());
    for entry in images.iter().flat_map(entries) {
        manifests.push(serde_json::to_value(entry).map_err(io::Error::from).at("encode", &path)?);
    }
    let media_type = crate::manifest::OCI_INDEX.to_owned();
    let index = Index { schema_version: 2, media_type, manifests };
    let bytes = serde_json::to_vec(&index).map_err(io::Error::from).at("encode", &path)?;
    files::write_atomically(&path, &bytes)
}

/// Those without our mark. A broken file has none.
fn foreign_entries(bytes: &[u8]) -> Vec<serde_json::Value> {
    let index: Option<Index> = serde_json::from_slice(bytes).ok();
    let mut manifests = index.map(|index| index.manifests).unwrap_or_default();
    manifests.retain(|entry| entry.pointer("/annotations").is_none_or(|a| a.get(OURS).is_none()));
    manifests
}

/// One entry a name, as the layout specification has it.
fn entries(image: &ImageRecord) -> impl Iterator<Item = Entry<'_>> {
    let size = image.blobs.iter().find(|b| b.digest == image.digest).map_or(0, |b| b.size);
    image.names.iter().map(move |name| Entry {
        media_type: &image.media_type,
        digest: image.digest.to_string(),
        size,
        annotations: BTreeMap::from([(NAME, name.as_str()), (OURS, "true")]),
    })
}
