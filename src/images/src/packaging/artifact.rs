//! The CNCF wasm artifact (TAG Runtime): a describing configuration and one `application/wasm`
//! layer. Written by `wkg oci push`, `wash push`, the `oci-wasm` crate, and `oras` by hand.

use super::{Content, Layout, single_layer};
use crate::image::RunConfig;
use crate::manifest::{ImageConfig, Manifest, OCI_EMPTY};

/// Media type of the configuration, or the artifact type where the configuration is the empty one.
pub(crate) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const LAYER: &str = "application/wasm";

pub(super) fn recognise(manifest: &Manifest, _: &ImageConfig) -> Option<Layout> {
    let layer = single_layer(manifest, LAYER)?;
    // `oras push NAME file:application/wasm` writes the empty configuration.
    let known = [CONFIG, OCI_EMPTY].contains(&manifest.config.media_type.as_str());
    known.then(|| Layout { content: Content::Wasm(layer.clone()), config: RunConfig::default() })
}
