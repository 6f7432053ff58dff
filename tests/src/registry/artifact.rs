//! Images as their producers make them, and as they should not be.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The version word of a component; a core module's is 1.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Content with a media type.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Media type, as its descriptor says.
    pub media_type: String,
    /// The bytes.
    pub content: Vec<u8>,
    /// Annotations of its descriptor.
    pub annotations: BTreeMap<String, String>,
}

/// A manifest with what it names.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Media type of the manifest.
    pub media_type: String,
    /// The config blob.
    pub config: Blob,
    /// The layers in order.
    pub layers: Vec<Blob>,
}

/// `sha256:<64 hex>` of some content.
pub fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

impl Blob {
    /// Content without annotations.
    pub fn new(media_type: &str, content: impl Into<Vec<u8>>) -> Self {
        Self { media_type: media_type.to_owned(), content: content.into(), annotations: BTreeMap::new() }
    }

    /// With the file name that tools show, and that an agent may take for `argv[0]`.
    pub fn titled(mut self, title: &str) -> Self {
        self.annotations.insert("org.opencontainers.image.title".to_owned(), title.to_owned());
        self
    }

    /// `sha256:<64 hex>`.
    pub fn digest(&self) -> String {
        digest(&self.content)
    }

    fn descriptor(&self) -> Value {
        let mut descriptor =
            json!({ "mediaType": self.media_type, "digest": self.digest(), "size": self.content.len() });
        if !self.annotations.is_empty() {
            descriptor["annotations"] = json!(self.annotations);
        }
        descriptor
    }
}

impl Artifact {
    /// An image manifest.
    pub fn new(config: Blob, layers: Vec<Blob>) -> Self {
        Self { media_type: MANIFEST.to_owned(), config, layers }
    }

    /// A CNCF wasm artifact, as `wkg oci push` makes it.
    pub fn cncf(wasm: impl Into<Vec<u8>>) -> Self {
        let layer = Blob::new("application/wasm", wasm);
        let os = if layer.content.starts_with(COMPONENT) { "wasip2" } else { "wasip1" };
        let config = json!({
            "created": "2026-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": os,
            "layerDigests": [layer.digest()],
        });
        Self::new(Blob::new("application/vnd.wasm.config.v0+json", config.to_string()), vec![layer])
    }

    /// As wasm-to-oci and Krustlet's tools make it.
    pub fn krustlet(wasm: impl Into<Vec<u8>>) -> Self {
        let layer = Blob::new("application/vnd.wasm.content.layer.v1+wasm", wasm);
        Self::new(Blob::new("application/vnd.wasm.config.v1+json", "{}"), vec![layer])
    }

    /// An ordinary container image: for linux/amd64, not WebAssembly.
    pub fn linux() -> Self {
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Cmd": ["/pause"] },
            "rootfs": { "type": "layers", "diff_ids": [digest(b"")] },
        });
        let layer = Blob::new("application/vnd.oci.image.layer.v1.tar+gzip", EMPTY_GZIP);
        Self::new(Blob::new("application/vnd.oci.image.config.v1+json", config.to_string()), vec![layer])
    }

    /// With a title on its first layer.
    pub fn titled(mut self, title: &str) -> Self {
        self.layers = self.layers.into_iter().map(|layer| layer.titled(title)).collect();
        self
    }

    /// The manifest as it is pushed.
    pub fn manifest(&self) -> Vec<u8> {
        let layers: Vec<Value> = self.layers.iter().map(Blob::descriptor).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": self.config.descriptor(),
            "layers": layers,
        });
        manifest.to_string().into_bytes()
    }

    /// Digest of the manifest.
    pub fn digest(&self) -> String {
        digest(&self.manifest())
    }
}

/// gzip of nothing.
const EMPTY_GZIP: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
