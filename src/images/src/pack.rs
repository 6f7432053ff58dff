//! A file of wasm as the CNCF wasm artifact: what `push` writes, and the form in which local files are kept.

use serde_json::json;

use crate::describe::{Description, describe};
use crate::digest::Digest;
use crate::image::{Engine, Kind};
use crate::manifest::OCI_MANIFEST;
use crate::packaging::{ARTIFACT_CONFIG, ARTIFACT_LAYER};

/// The same file gives the same artifact, whenever it is packed.
const CREATED: &str = "1970-01-01T00:00:00Z";
const TITLE: &str = "org.opencontainers.image.title";

/// An artifact besides its layer.
pub(crate) struct Packed {
    pub(crate) wasm: Digest,
    pub(crate) config: (Digest, Vec<u8>),
    pub(crate) manifest: (Digest, Vec<u8>),
}

/// Packs a file.
///
/// # Errors
/// What the parser says is wrong with it.
pub(crate) fn pack(wasm: &[u8], title: Option<&str>) -> Result<Packed, String> {
    let digest = Digest::of(wasm);
    let config = config(&describe(wasm)?, digest).to_string().into_bytes();
    let config = (Digest::of(&config), config);
    let annotations = title.map(|title| json!({ TITLE: title })).unwrap_or_else(|| json!({}));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": { "mediaType": ARTIFACT_CONFIG, "digest": config.0.to_string(), "size": config.1.len() },
        "layers": [{ "mediaType": ARTIFACT_LAYER, "digest": digest.to_string(), "size": wasm.len(),
            "annotations": annotations }],
    });
    let manifest = manifest.to_string().into_bytes();
    Ok(Packed { wasm: digest, config, manifest: (Digest::of(&manifest), manifest) })
}

fn config(found: &Description, layer: Digest) -> serde_json::Value {
    let os = match (found.kind, found.engine) {
        (Kind::Module, _) => "wasip1",
        // The artifact specification knows no name for 0.3, and tools write this one for every component.
        (Kind::Component, Engine::Base | Engine::Wasip3) => "wasip2",
    };
    let interfaces = json!({ "exports": found.exports, "imports": found.imports, "target": null });
    let mut config =
        json!({ "created": CREATED, "architecture": "wasm", "os": os, "layerDigests": [layer.to_string()] });
    if found.kind == Kind::Component {
        config["component"] = interfaces;
    }
    config
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::manifest::{Document, ImageConfig};
    use crate::packaging;

    #[test]
    fn what_is_packed_is_recognised() {
        let wasm = wat::parse_str("(component (import \"wasi:cli/environment@0.2.0\" (instance)))").unwrap();
        let packed = pack(&wasm, Some("a.wasm")).unwrap();
        let Document::Manifest(manifest) = Document::parse(&packed.manifest.1).unwrap() else { panic!() };
        let layout = packaging::recognise(&manifest, &ImageConfig::parse(&packed.config.1)).unwrap();
        assert_eq!(
            (layout.content.blobs()[0].digest, layout.content.title().as_deref()),
            (packed.wasm, Some("a.wasm"))
        );
        let config: serde_json::Value = serde_json::from_slice(&packed.config.1).unwrap();
        assert_eq!(
            (&config["os"], &config["component"]["imports"][0]),
            (&json!("wasip2"), &json!("wasi:cli/environment@0.2.0"))
        );
    }
}
