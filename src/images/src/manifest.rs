//! The parts of OCI and Docker manifests that decide anything here.
//!
//! Own types rather than a library's: they take what real registries send (missing media types,
//! null lists, unknown fields) and nothing of it is trusted before [`crate::packaging`] looked.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::digest::Digest;
use crate::image::RunConfig;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_IMAGE_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Media types of the configuration of a container image.
pub(crate) const IMAGE_CONFIGS: [&str; 2] = [OCI_IMAGE_CONFIG, DOCKER_IMAGE_CONFIG];
pub(crate) const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// What a registry may answer with.
pub(crate) const ACCEPT: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

const TITLE: &str = "org.opencontainers.image.title";
/// A title becomes argv\[0\]: longer than a file name may be, it is not one.
const MAX_TITLE: usize = 255;

/// Longest foreign text in a message, in characters; media types are shorter.
const MAX_SHOWN: usize = 128;

/// Either of the two documents that a reference can resolve to.
#[derive(Debug)]
pub(crate) enum Document {
    /// One image or artifact.
    Manifest(Manifest),
    /// Several, one per platform.
    Index(Index),
}

/// `application/vnd.oci.image.manifest.v1+json` or Docker's.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    #[serde(default)]
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// `application/vnd.oci.image.index.v1+json` or Docker's manifest list.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Index {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) manifests: Vec<IndexEntry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IndexEntry {
    pub(crate) digest: Digest,
    #[serde(default)]
    pub(crate) artifact_type: Option<String>,
    #[serde(default)]
    pub(crate) platform: Option<Platform>,
}

/// Where content is and what it claims to be. `urls` are left out on purpose: content comes from
/// the registry that was named, not from wherever a manifest points.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) architecture: String,
}

/// The fields of an image configuration that packagings look at. Anything that is not JSON (an
/// empty blob, a chart's YAML) reads as the default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImageConfig {
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) os: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) architecture: String,
    /// What a container is started from.
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) config: ContainerConfig,
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) rootfs: RootFs,
    /// Only in the configuration of a Spin application of the first kind.
    pub(crate) spin_lock_version: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct ContainerConfig {
    #[serde(deserialize_with = "null_as_default")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    working_dir: String,
    /// Should be texts; others say nothing here, and nothing against the rest.
    #[serde(deserialize_with = "null_as_default")]
    labels: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RootFs {
    /// Digests of the layers' tar streams, lowest first.
    #[serde(deserialize_with = "null_as_default")]
    pub(crate) diff_ids: Vec<Digest>,
}

/// What tells the two documents apart when a media type is missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
}

/// Foreign text in a message: short, and printable.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}

/// Registries write `null` for empty lists.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

// === impl Document ===

impl Document {
    /// Parses a manifest or an index.
    ///
    /// # Errors
    /// Says what the bytes are instead, or where they break the format.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let shape: Shape =
            serde_json::from_slice(bytes).map_err(|err| format!("the manifest is not valid JSON: {err}"))?;
        if shape.schema_version != 2 {
            let version = shape.schema_version;
            return Err(format!("the manifest has schema version {version}, only 2 is supported"));
        }
        let index = match shape.media_type.as_str() {
            OCI_INDEX | DOCKER_LIST => true,
            OCI_MANIFEST | DOCKER_MANIFEST => false,
            "" => shape.manifests.is_some(),
            other => return Err(format!("unsupported manifest media type {other:?}")),
        };
        let broken = |err: serde_json::Error| format!("broken manifest: {err}");
        if index {
            serde_json::from_slice(bytes).map(Self::Index).map_err(broken)
        } else {
            serde_json::from_slice(bytes).map(Self::Manifest).map_err(broken)
        }
    }
}

// === impl Descriptor ===

impl Descriptor {
    /// The title annotation, if it is a usable argv\[0\].
    pub(crate) fn title(&self) -> Option<String> {
        let title = self.annotations.get(TITLE)?;
        let usable = !title.is_empty() && title.len() <= MAX_TITLE && !title.chars().any(char::is_control);
        usable.then(|| title.clone())
    }
}

// === impl Platform ===

impl Platform {
    /// Whether it names a wasm machine, whatever the system.
    pub(crate) fn is_wasm(&self) -> bool {
        self.architecture.starts_with("wasm")
    }

    /// `os/architecture`, as Docker prints it, for a message.
    pub(crate) fn label(&self) -> String {
        shown(&format!("{}/{}", self.os, self.architecture))
    }
}

// === impl ImageConfig ===

impl ImageConfig {
    /// Never fails: a configuration that is no JSON says nothing.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub(crate) fn platform(&self) -> Platform {
        Platform { os: self.os.clone(), architecture: self.architecture.clone() }
    }

    /// A label whose value is a text.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.config.labels.get(key)?.as_str()
    }

    pub(crate) fn run_config(&self) -> RunConfig {
        let ContainerConfig { entrypoint, cmd, env, working_dir, .. } = self.config.clone();
        RunConfig { entrypoint, cmd, env, working_dir: Some(working_dir).filter(|dir| !dir.is_empty()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn broken_documents_say_why() {
        let cases = [
            ("<html>", "not valid JSON"),
            ("{}", "schema version 0"),
            (r#"{"schemaVersion":1}"#, "schema version 1"),
            (r#"{"schemaVersion":2,"mediaType":"a/b"}"#, "unsupported manifest media type \"a/b\""),
            (r#"{"schemaVersion":2}"#, "missing field `config`"),
            (r#"{"schemaVersion":2,"config":{"digest":"sha256:x","size":1}}"#, "invalid checksum digest format"),
            (r#"{"schemaVersion":2,"manifests":[{"digest":1}]}"#, "broken manifest"),
        ];
        for (text, expected) in cases {
            let err = Document::parse(text.as_bytes()).unwrap_err();
            assert!(err.contains(expected), "{text}: {err}");
        }
    }

    #[test]
    fn a_title_is_a_file_name_or_nothing() {
        let descriptor = |title: &str| Descriptor {
            media_type: String::new(),
            digest: Digest::of(b""),
            size: 0,
            annotations: BTreeMap::from([(TITLE.to_owned(), title.to_owned())]),
        };
        assert_eq!(descriptor("hello.wasm").title().as_deref(), Some("hello.wasm"));
        for unusable in ["", "a\nb", &"x".repeat(256)] {
            assert_eq!(descriptor(unusable).title(), None, "{unusable:?}");
        }
    }
}
