//! Container images whose platform is a wasm machine: with a root file system (`docker buildx --platform wasi/wasm`,
//! buildah), or with the wasm itself as the only layer (runwasi's `oci-tar-builder`).

use super::{Content, Layout, artifact, single_layer};
use crate::manifest::{IMAGE_CONFIGS, ImageConfig, Manifest};

pub(super) const COMPONENT_LAYER: &str = "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm";
/// Media types of layers that are tar streams, without how they are compressed: that is seen in the bytes.
const TAR_LAYERS: [&str; 4] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
];
const COMPRESSIONS: [&str; 5] = ["", "+gzip", "+zstd", ".gzip", ".zstd"];

/// A root file system.
pub(super) fn root(manifest: &Manifest, config: &ImageConfig) -> Option<Layout> {
    if is_for_wasm(manifest, config) { root_of(manifest, config) } else { None }
}

/// The same of an image for any platform.
pub(super) fn root_of(manifest: &Manifest, config: &ImageConfig) -> Option<Layout> {
    let tars = !manifest.layers.is_empty() && manifest.layers.iter().all(|layer| is_tar(&layer.media_type));
    let content = || Content::Root { layers: manifest.layers.clone(), diff_ids: config.rootfs.diff_ids.clone() };
    (tars && is_image(manifest)).then(|| Layout { content: content(), config: config.run_config() })
}

/// One layer of wasm.
pub(super) fn wasm_layer(manifest: &Manifest, config: &ImageConfig) -> Option<Layout> {
    let layer = single_layer(manifest, artifact::LAYER).or_else(|| single_layer(manifest, COMPONENT_LAYER))?;
    let content = || Content::Wasm(layer.clone());
    is_for_wasm(manifest, config).then(|| Layout { content: content(), config: config.run_config() })
}

fn is_for_wasm(manifest: &Manifest, config: &ImageConfig) -> bool {
    is_image(manifest) && config.platform().is_wasm()
}

pub(super) fn is_image(manifest: &Manifest) -> bool {
    IMAGE_CONFIGS.contains(&manifest.config.media_type.as_str())
}

fn is_tar(media_type: &str) -> bool {
    let rest = TAR_LAYERS.iter().find_map(|tar| media_type.strip_prefix(tar));
    rest.is_some_and(|rest| COMPRESSIONS.contains(&rest))
}
