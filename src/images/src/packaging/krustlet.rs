//! Krustlet's packaging: an empty configuration and one layer of wasm. Written by `wasm-to-oci`
//! and by the defaults of the oci-distribution and oci-client libraries.

use super::{Content, Layout, single_layer};
use crate::image::RunConfig;
use crate::manifest::{ImageConfig, Manifest, OCI_EMPTY};

pub(super) const CONFIG: &str = "application/vnd.wasm.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";

pub(super) fn recognise(manifest: &Manifest, _: &ImageConfig) -> Option<Layout> {
    let layer = single_layer(manifest, LAYER)?;
    let known = [CONFIG, OCI_EMPTY].contains(&manifest.config.media_type.as_str());
    known.then(|| Layout { content: Content::Wasm(layer.clone()), config: RunConfig::default() })
}
